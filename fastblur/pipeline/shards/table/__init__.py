"""Parquet and Arrow shards."""
