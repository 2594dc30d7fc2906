"""The images that people should look at: their pictures, their boxes, and what the harder search finds in them."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastblur.audit.compare import Coverage
from fastblur.audit.output import Output
from fastblur.audit.pictures import Seen, pictures, see
from fastblur.audit.problems import Problems
from fastblur.audit.selection import Chosen
from fastblur.codecs import CodecError
from fastblur.pipeline.images.near_misses import from_journal
from fastblur.pipeline.storage.paths import error_reason
from fastblur.torch_threads import one_torch_thread

if TYPE_CHECKING:
    from fastblur.audit.search import HarderSearch, Suspect

SAMPLE_WEIGHT = 2  # an image of the sample is judged as a whole, and gets as many times the bytes of another


class Looks:
    """Looks at the chosen images: their pictures, their boxes, and what the harder search finds."""

    def __init__(
        self,
        output: Output,
        search: "HarderSearch | None",
        coverage: Coverage | None,
        problems: Problems,
        folder: Path | None,
        keep_pixels: bool,
        most: int,  # bytes of all pictures
    ) -> None:
        self._output, self._search, self._coverage, self._problems = output, search, coverage, problems
        self._folder, self._keep_pixels, self._most = folder, keep_pixels, most

    def images(self, chosen: list[Chosen], workers: int) -> list[dict[str, Any]]:
        """Return what audit.json says of the images, in the order in which they were chosen."""
        weights = [SAMPLE_WEIGHT if "sample" in one.found else 1 for one in chosen]
        self._unit = self._most / max(1, sum(weights))
        order = {one.line["path"]: number for number, one in enumerate(chosen, 1)}
        looks: list[dict[str, Any]] = []
        waiting: list[Future[dict[str, Any] | None]] = []
        one_thread = nullcontext() if self._search is None else one_torch_thread()
        with one_thread, ThreadPoolExecutor(workers) as pool:
            for one, data in self._files(chosen):
                waiting.append(pool.submit(self._look, one, data, order[one.line["path"]]))
                if len(waiting) >= 4 * workers and (done := waiting.pop(0).result()) is not None:
                    looks.append(done)
            looks += [done for future in waiting if (done := future.result()) is not None]
        return sorted(looks, key=lambda look: int(look["id"]))

    def _files(self, chosen: list[Chosen]) -> Iterator[tuple[Chosen, bytes]]:
        """Yield the chosen images with their files, those of a tar or table together."""
        inside: dict[str, dict[int, Chosen]] = {}
        for one in chosen:
            if one.container:
                inside.setdefault(one.shard, {})[one.place] = one
                continue
            name = one.line["path"]
            try:
                yield one, self._output.read(name)
            except FileNotFoundError:
                continue  # the account says so
            except (ValueError, OSError) as error:
                self._problems.add(name, one.shard, "changed", f"{name!r} cannot be read: {error_reason(error)}")
        for container, places in inside.items():
            with suppress(ValueError, OSError):
                for place, item in enumerate(self._output.items(container)):
                    if place in places and item.data is not None:
                        yield places[place], item.data
                    if place >= max(places):
                        break

    def _look(self, one: Chosen, data: bytes, number: int) -> dict[str, Any] | None:
        line, name = one.line, one.line["path"]
        try:
            seen = see(data)
        except CodecError as error:
            self._problems.add(name, one.shard, "changed", f"{name!r} cannot be decoded: {error_reason(error)}")
            return None
        boxes = line["boxes"] if line["fate"] == "hidden" else []
        scores = line.get("scores") or [None] * len(boxes)
        coverages = [] if self._coverage is None else self._coverage.of_image.get(name, [])
        upright = seen.upright_boxes(boxes)
        near = from_journal(line.get("near", ()))
        found: list[Suspect] = []
        if self._search is not None and "sample" in one.found:
            found = self._search.suspects(seen.pixels, upright)
        look: dict[str, Any] = {
            "id": number,
            "image": name,
            "shard": one.shard,
            "fate": line["fate"],
            "sampled": "sample" in one.found,
            "found": one.found,
            "width": seen.pixels.shape[1],
            "height": seen.pixels.shape[0],
            "stored_width": seen.stored_size[0],
            "stored_height": seen.stored_size[1],
            "to_stored": list(seen.to_stored),
            "regions": [
                {"box": box, "score": score, "coverage": coverages[place] if place < len(coverages) else None}
                for place, (box, score) in enumerate(zip(upright, scores, strict=True))
            ],
            "near_misses": [
                {"box": box, "score": score}
                for box, (_, score) in zip(seen.upright_boxes([box for box, _ in near]), near, strict=True)
            ],
            "suspects": [{"box": each.box, "score": each.score, "found_by": each.found_by} for each in found],
        }
        self._add_pictures(look, seen)
        return look

    def _add_pictures(self, look: dict[str, Any], seen: Seen) -> None:
        """Write an image's picture and the crops of its boxes, and add what audit.json says of them."""
        regions = sorted(look["regions"], key=lambda one: (one["score"] is None, one["score"]))
        boxes = [*look["suspects"], *look["near_misses"], *regions]  # as they matter
        most = self._unit * (SAMPLE_WEIGHT if look["sampled"] else 1)
        made = pictures(seen.pixels, [one["box"] for one in boxes], int(most))
        stem = f"pictures/{look['id']:06}"
        look |= {"picture": f"{stem}.jpg", "picture_width": made.width, "picture_height": made.height}
        files = {f"{stem}.jpg": made.picture}
        for number, (one, crop) in enumerate(zip(boxes, made.crops, strict=True), 1):
            one["crop"] = None
            if crop is not None:
                files[f"{stem}-{number}.jpg"] = crop[0]
                one["crop"] = {"picture": f"{stem}-{number}.jpg", "box": crop[1]}
        if self._folder is not None:
            for name, data in files.items():
                (self._folder / name).write_bytes(data)
        if self._keep_pixels:
            look["pixels"] = made.picture
