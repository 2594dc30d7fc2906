"""A detector that fails, or answers nonsense: no image is written that was not searched."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fastblur.pipeline import run
from fastblur.regions import Regions
from tests.pipeline.helpers import failures, files_below


class Detector:
    """A detector that finds the astronaut's face, and raises, or gives nonsense, for pictures of some widths."""

    name, threshold, detect_size, weights_sha256 = "test", 0.5, None, "0" * 64

    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        self.answer = answer
        self.batches: list[int] = []

    def __call__(self, images: list[torch.Tensor]) -> Regions:
        self.batches.append(len(images))
        return Regions.from_boxes([self.answer(image) for image in images])

    def with_near_misses(self, images: list[torch.Tensor]) -> tuple[Regions, Regions]:
        return self(images), Regions.from_boxes([[] for _ in images])


class TestDetectorTrouble:
    """A detector that raises never lets an image through."""

    def use(self, monkeypatch: pytest.MonkeyPatch, answer: Callable[[torch.Tensor], object]) -> Detector:
        detector = Detector(answer)
        monkeypatch.setattr("fastblur.detectors.load_detector", lambda *args, **options: detector)
        return detector

    def test_only_the_image_that_stops_it_fails(
        self, numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def answer(image: torch.Tensor) -> list[list[float]]:
            if image.shape[2] in (41, 46):
                raise RuntimeError("no memory for this one")
            return [[2, 2, 12, 12]] if image.shape[2] % 2 else []

        detector = self.use(monkeypatch, answer)
        summary = run(numbered, tmp_path / "out", workers=1)
        assert max(detector.batches) > 1, "images went to the detector together"
        reason = "detect: RuntimeError: no memory for this one"
        assert failures(tmp_path / "out") == {"41.png": reason, "46.png": reason}
        assert (summary.with_regions, summary.copied, summary.failed) == (3, 3, 2)
        assert files_below(tmp_path / "out") == {f"{width}.png" for width in (40, 42, 43, 44, 45, 47)}
        for width in range(40, 48, 2):
            if width != 46:
                assert (tmp_path / "out" / f"{width}.png").read_bytes() == (numbered / f"{width}.png").read_bytes()

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_regions_that_are_not_finite(
        self, numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
    ) -> None:
        detector = self.use(monkeypatch, lambda image: [])
        box = torch.tensor([[[1.0, 1.0, value, 9.0]]])
        monkeypatch.setattr(
            Detector,
            "__call__",
            lambda self, images: Regions(box.repeat(len(images), 1, 1), torch.ones(len(images), dtype=torch.int64)),
        )
        summary = run(numbered, tmp_path / "out")
        assert detector.batches == []
        assert (summary.failed, files_below(tmp_path / "out")) == (8, set())
        assert all("expected finite coordinates" in reason for reason in failures(tmp_path / "out").values())

    def test_regions_for_another_number_of_images(
        self, numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.use(monkeypatch, lambda image: [])
        monkeypatch.setattr(Detector, "__call__", lambda self, images: Regions.from_boxes([[]]))
        summary = run(numbered, tmp_path / "out", workers=1)
        assert summary.copied + summary.failed == 8
        # A batch of one gets the one answer that it waits for; no image of a larger batch may borrow it.
        monkeypatch.setattr(Detector, "__call__", lambda self, images: Regions.from_boxes([]))
        summary = run(numbered, tmp_path / "none", workers=1)
        assert (summary.failed, files_below(tmp_path / "none")) == (8, set())

    def test_regions_without_an_area_hide_nothing_and_the_image_is_copied(
        self, numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.use(monkeypatch, lambda image: [[5, 5, 5, 9]])
        assert run(numbered, tmp_path / "out").copied == 8

    def test_large_images_go_to_the_detector_in_smaller_batches(
        self, numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        detector = self.use(monkeypatch, lambda image: [])
        monkeypatch.setattr("fastblur.pipeline.images.detection.PIECE_PIXELS", 2000)
        assert run(numbered, tmp_path / "out", workers=1).copied == 8
        assert max(detector.batches) == 2
