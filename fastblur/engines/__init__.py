"""Others who do the shards of a run."""
