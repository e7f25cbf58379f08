"""Benchmarks: measures the server, and the alternatives that a user might choose. Run them with `make bench`."""
