"""The kinds of sources, as shards: folders, tars and tables."""
