"""The real servers and the whole product in one process tree, for `dev` and `demo`."""
