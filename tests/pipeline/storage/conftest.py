import uuid
from collections.abc import Iterator

import pytest


@pytest.fixture
def url() -> Iterator[str]:
    """A new folder in memory."""
    fsspec = pytest.importorskip("fsspec", reason="the package fsspec is not installed")
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    system = fsspec.filesystem("memory")
    if system.exists(name):
        system.rm(name, recursive=True)
