"""Peers: the alternatives that a user might choose, each in an environment of its own."""
