"""What runs in the peers' own environments: the one job, set up as its pages say. Only `own_jobs` is of ours."""
