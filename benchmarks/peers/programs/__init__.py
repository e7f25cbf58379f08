"""Programs that run in the environments of the peers: the one job, set up as each documentation says."""
