"""Faces hidden within a Ray Data job."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastblur import transforms
from fastblur.options import BoxFormat, OnRowError, check_choice
from fastblur.torch_threads import one_torch_thread

__all__ = ["HideFaces"]


class HideFaces:
    """Hides the faces in a column of images of a Ray Data set, for `ray.data.Dataset.map_batches`.

    A cell is the bytes of an image file, Hugging Face's {"bytes": .., "path": ..}, or an array (H, W, C), uint8 or
    floating in 0..1, RGB unless `channels` says otherwise. A row whose image fails is left out, and the reason goes to
    the log; or it is raised. All other columns come back as they are; with `batch_format="pyarrow"` also those of
    nested lists, which Ray's own format pickles.

    Args:
        image_column: the column of images.
        box_column: a column with the boxes to hide, (n, 4), or structs with these as "bbox", instead of a detector.
        box_format: what the numbers of those boxes are, "xyxy" in pixels by default; "xyxyn" is relative to the image's
            sides, as img2dataset keeps them. The names are those of `fastblur.Regions.from_boxes`.
        on_error: "drop" the row, or "raise".
        options: those of `fastblur.transforms.HideFaces`: detector, also one of your own, method, channels, and the
            options of both.

    Raises ValueError (UsageError) or TypeError for arguments that do not fit.

    Example:
        >>> import numpy as np
        >>> from fastblur.integrations.ray_data import HideFaces
        >>> hide = HideFaces("image", box_column="faces", method="fill", color=7)
        >>> faces = np.empty(2, object)
        >>> faces[:] = [[[10, 10, 50, 40]], []]
        >>> hidden = hide({"image": np.zeros((2, 60, 80, 3), np.uint8), "faces": faces})
        >>> hidden["image"][:, 20, 20].tolist()
        [[7, 7, 7], [0, 0, 0]]

    In a Ray Data job, with a detector for each of four actors:

        pool = ray.data.ActorPoolStrategy(size=4)
        dataset.map_batches(HideFaces, fn_constructor_kwargs={"threshold": 0.4}, batch_format="pyarrow", compute=pool)
    """

    def __init__(
        self,
        image_column: str = "image",
        *,
        box_column: str | None = None,
        box_format: BoxFormat | None = None,
        on_error: OnRowError = "drop",
        **options: Any,
    ) -> None:
        check_choice("on_error", on_error, OnRowError)
        self._image_column, self._box_column = image_column, box_column
        self._on_error = on_error
        boxes = None if box_column is None else "boxes"
        self._hide = transforms.HideFaces(images="image", boxes=boxes, box_format=box_format, **options)

    def __call__(self, batch: Any) -> Any:
        """Return the batch with the faces in its images hidden.

        Args:
            batch: a dict of columns as arrays, a pyarrow.Table or a pandas.DataFrame, as Ray hands it over.
        """
        is_frame = hasattr(batch, "iloc")
        names = list(batch) if isinstance(batch, dict) or is_frame else batch.column_names
        for column in (self._image_column, self._box_column):
            if column is not None and column not in names:
                raise ValueError(f"the batch has the columns {names}, expected {column!r} among them")
        with one_torch_thread():
            if is_frame:
                return self._frame(batch)
            return self._arrays(batch) if isinstance(batch, dict) else self._table(batch)

    def _frame(self, frame: Any) -> Any:
        boxes = None if self._box_column is None else list(frame[self._box_column])
        kept, images = self._hidden(map(_plain, frame[self._image_column]), boxes)
        left = frame.iloc[kept].copy()
        hidden: np.ndarray[Any, Any] = np.empty(len(images), object)
        hidden[:] = images
        left[self._image_column] = hidden
        return left

    def _table(self, table: Any) -> Any:
        import pyarrow as pa

        column = table.column(self._image_column)
        boxes = None if self._box_column is None else table.column(self._box_column).to_pylist()
        kept, images = self._hidden(column.to_pylist(), boxes)
        left = table.take(pa.array(kept, pa.int64()))
        place = left.column_names.index(self._image_column)
        return left.set_column(place, left.schema.field(place), pa.array(images, column.type))

    def _arrays(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        boxes = None if self._box_column is None else batch[self._box_column]
        kept, images = self._hidden(batch[self._image_column], boxes)
        hidden: np.ndarray[Any, Any] = np.empty(len(images), object)
        hidden[:] = images
        whole = batch[self._image_column]
        if whole.dtype != object and len(images):
            hidden = np.stack(images)
        return {
            name: hidden if name == self._image_column else column[np.array(kept, np.int64)]
            for name, column in batch.items()
        }

    def _hidden(self, cells: Iterable[Any], boxes: Any) -> tuple[list[int], list[Any]]:
        """Return the rows that did not fail, and their images."""
        kept, images = [], []
        for row, cell in enumerate(cells):
            try:
                images.append(self._cell(cell, None if boxes is None else boxes[row]))
            except Exception as error:
                if self._on_error == "raise":
                    raise
                logging.getLogger(__name__).warning("a row is left out: %s", error)
                continue
            kept.append(row)
        return kept, images

    def _cell(self, cell: Any, boxes: Any) -> Any:
        image = cell["bytes"] if isinstance(cell, dict) else cell
        sample = {"image": image}
        if self._box_column is not None:
            if boxes is None:
                raise ValueError("the row has no boxes")
            has_fields = isinstance(boxes, dict) or (len(boxes) > 0 and isinstance(boxes[0], dict))
            if has_fields:
                sample["boxes"] = boxes if isinstance(boxes, dict) else list(boxes)
            else:
                sample["boxes"] = np.array([np.asarray(box, np.float32) for box in boxes], np.float32).reshape(-1, 4)
        changed = self._hide(sample)["image"]
        return {**cell, "bytes": changed} if isinstance(cell, dict) else changed


def _plain(cell: Any) -> Any:
    """Return a cell of a data frame, where Ray wraps arrays in a type of its own, as an array."""
    is_wrapped = hasattr(cell, "to_numpy") and not isinstance(cell, np.ndarray)
    return cell.to_numpy() if is_wrapped else cell
