"""Embedded servers: MongoDB, Valkey, the simulator, the API and workers as child processes, for `dev` and `demo`."""
