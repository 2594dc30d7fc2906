"""An image's boxes from a boxes file, or what is wrong about them."""

from dataclasses import replace

from fastblur.annotations.rows import NO_BOXES
from fastblur.pipeline.boxes.matching import BY_KEY, BoxAssignment, SharedBoxes
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.tar.names import is_tar_name, tar_stem


def assign_boxes(item: Item, assignment: BoxAssignment | None, unlisted: str) -> Item:
    """Return the image with its boxes from the file, or with what is wrong about them; as it is without a file.

    Args:
        item: an image.
        assignment: the boxes given, or None.
        unlisted: what becomes of an image that the file does not name: "fail", "copy" or "detect".

    Raises RunStopped where the boxes would go to several images.
    """
    if assignment is None or item.problem is not None or item.unsearched is not None:
        return item
    try:
        found = assignment.lookup(item.name)
        if found is None and item.key is not None:
            found = assignment.lookup(*_keys(item.name, item.key), how=BY_KEY)
    except ValueError as error:
        return replace(item, problem=f"boxes: {error}")
    except SharedBoxes as error:  # the image before this one may have got wrong boxes too
        raise RunStopped(f"the run stopped at {item.name!r}: {error}") from error
    if found is not None:
        return replace(item, boxes=found[0], size=found[1], coordinates=assignment.index.coordinates)
    if unlisted == "detect":
        return item
    if unlisted == "copy":
        return replace(item, boxes=NO_BOXES)
    return replace(item, problem="boxes: the boxes file does not name this image")


def _keys(name: str, key: str) -> tuple[str, ...]:
    """Return what a boxes file may call an image of a tar or table, besides its name.

    That is its key, and for a tar, or tars within a tar, the same path with folders in their place: the image
    "train.tar/n01.tar/a.jpg" with the key "n01.tar/a.jpg" may be "n01/a.jpg", "a.jpg" or "train/n01/a.jpg".
    """
    *folders, last = key.split("/")
    tars = [number for number, folder in enumerate(folders, 1) if is_tar_name(folder)]
    own = "/".join((*folders, last)[tars[-1] :]) if tars else key
    return tuple(dict.fromkeys((key, _as_folders(key), own, _as_folders(name))))


def _as_folders(name: str) -> str:
    """Return a path with tars as folders of their names without ".tar"."""
    *folders, last = name.split("/")
    return "/".join((*(tar_stem(folder) for folder in folders), last))
