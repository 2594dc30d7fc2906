"""Bytes in and out: paths, URLs, and the sinks that results go to."""
