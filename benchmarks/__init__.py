"""Measures the server, and beside it what a user would pick instead: `make bench`."""
