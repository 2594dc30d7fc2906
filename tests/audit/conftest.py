"""Photographs that tests of the audit share with those of the pipeline."""

from tests.pipeline.conftest import face_pixels, plain_pixels

__all__ = ["face_pixels", "plain_pixels"]
