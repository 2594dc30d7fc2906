"""Tar shards."""
