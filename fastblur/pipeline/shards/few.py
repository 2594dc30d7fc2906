"""Which sources are small; nothing heavy is imported here."""

import os
from contextlib import suppress

from fastblur.pipeline.shards.tar import names as tar_names

FEW = 400  # images that threads finish in the time that processes take to start
IMAGE_BYTES = 50_000  # what an image takes in a tar or table file, about
CONTAINERS = (*tar_names.SUFFIXES, ".parquet", ".arrow")


def has_many(*sources: str) -> bool:
    """Return whether folders hold more than a few files, or large ones, whatever is in them.

    A first look, which ends as soon as it knows: `Source.is_small` tells what can be searched from what cannot.
    """
    room, folders = FEW, list(sources)
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    contained = entry.stat().st_size // IMAGE_BYTES if entry.name.lower().endswith(CONTAINERS) else 1
                    room -= max(1, contained)
                if room < 0:
                    return True
    return False
