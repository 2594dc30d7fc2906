"""Whether SRC still has the images of a finished run, as far as they are to be done again."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from fastblur.annotations.judgements import Judgement
from fastblur.codecs import CodecError, decode, size_of
from fastblur.errors import UsageError
from fastblur.pipeline.boxes.checks import hiding_boxes
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution.record import RunRecord
from fastblur.pipeline.images.hiding import HidingStages
from fastblur.pipeline.images.redo import redo, with_boxes
from fastblur.pipeline.images.task import ImageTask, Outcome
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.storage.paths import IMAGE_BYTES, check_regular, error_reason, read_file

LEVELS = 24  # by which other kernels and codecs may differ ..
MOST_APART = 0.001  # .. in all but this share of the values


def check_source(
    stages: HidingStages,
    item: Item,
    path: str,
    boxes: Sequence[Sequence[float]],  # (n, 4) xyxy px, stored
    new: Sequence[Sequence[float]],  # (m, 4) xyxy px, stored
) -> None:
    """Check that an image of the output was made of this image of the source, by its old boxes or already by the new.

    Names alone do not tell: another picture with boxes that were drawn on this one would show its faces. An image that
    is not in the output, or cannot be done, passes: it fails when it is done again, or is as good as new.

    Args:
        stages: of the run.
        item: of the source.
        path: of the output's image.
        boxes: that the journal has.
        new: that it is to have.

    Raises UsageError where it is another one.
    """
    try:
        check_regular(path)
        output = read_file(path, IMAGE_BYTES)
    except OSError:
        return
    for rows in (boxes, new):
        (again,) = redo(stages, [with_boxes(item, rows)])
        if again.outcome is Outcome.FAILED or is_made_of(output, again):
            return
    raise UsageError(
        f"{item.name!r} of SRC is not the image that OUT has of this name, expected the source and output of one run"
    )


def check_failed(stages: HidingStages, item: Item, line: dict[str, Any]) -> None:
    """Check that an image that failed in a correction is the one that left the output, as far as it can be done now.

    Raises UsageError where its old boxes do not give what was there.
    """
    (again,) = redo(stages, [with_boxes(item, line["boxes"])])
    if again.result is not None and sha256(again.result).hexdigest() != line["output"]:
        told = f"{item.name!r} of SRC is not the image that left OUT when it failed"
        raise UsageError(f"{told}, expected it as it was, with the versions of that time")


class ContainerImages:
    """The images of a tar or table of the output, held against those of the source in their order.

    Another file may have the size and the time of the run's. Of images that fail now, the output may have lost theirs
    already, in a call that was killed before it could tell the journal.
    """

    def __init__(self, record: RunRecord, container: str) -> None:
        self._images = self._read(record, container)
        self._may_lack = 0

    def pass_failed(self) -> None:
        """Pass an image that cannot be done any more."""
        self._may_lack += 1

    def has(self, is_made: Callable[[bytes], bool]) -> bool:
        """Return whether the next image is made of the source's."""
        for output in self._images:
            if is_made(output):
                return True
            if self._may_lack == 0:
                return False
            self._may_lack -= 1
        return False

    @staticmethod
    def _read(record: RunRecord, container: str) -> Iterator[bytes]:
        try:
            for batch in record.container(container).batches(64):
                yield from (item.data or b"" for item in batch.items)
        except (ValueError, OSError) as error:
            told = f"{container!r} of OUT cannot be read: {error_reason(error)}"
            raise RunStopped(f"{told}, expected it as the run left it") from error


def is_made_of(output: bytes, again: ImageTask) -> bool:
    """Return whether an image of the output is what the source gives again, here or on another machine."""
    return again.result is not None and (
        again.result.rstrip(b"\0") == output.rstrip(b"\0") or _looks_like(again, output)  # columns may pad with zeros
    )


def check_boxes(item: Item, judged: Judgement) -> None:
    """Raise UsageError where boxes that were judged are not of this image of the source, by its size."""
    try:
        width, height = size_of(item.data if item.data is not None else read_file(item.path, IMAGE_BYTES))
    except OSError:
        return
    if (width, height) == (0, 0):  # it cannot be read, and fails when it is done again
        return
    where = f"the judgements of {judged.image!r}"
    if judged.size is not None and judged.size != (width, height):
        sides = " x ".join(map(str, judged.size))
        raise UsageError(f"{where} are of an image of {sides} pixels, expected {width} x {height} as in SRC")
    try:
        hiding_boxes(judged.boxes, height, width)
    except ValueError as error:
        raise UsageError(f"{where} do not fit SRC: {error}") from error


def _looks_like(again: ImageTask, output: bytes) -> bool:
    """Return whether an output is what another machine makes of the same image."""
    assert again.result is not None
    try:
        mine, theirs = decode(again.result).pixels, decode(output).pixels
    except CodecError:
        return False
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    levels = LEVELS * (257 if mine.dtype == np.uint16 else 1)
    return bool((np.abs(mine.astype(np.int32) - theirs) > levels).mean() <= MOST_APART)
