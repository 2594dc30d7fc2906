"""The run from end to end, on real photographs: what is hidden, what is left, what is copied, and how it ends."""

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fastblur.ops import blur, fill, pixelate
from fastblur.pipeline import config, run
from fastblur.pipeline.summary import Summary, Tally
from tests.pipeline.helpers import FACE, NAMES, all_empty, decoded, detail, failures, files_below, outside

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def test_faces_are_found_and_hidden_and_nothing_else_changes(src: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    before = {path: path.read_bytes() for path in src.rglob("*.*")}
    summary = run(src, out, report=report, device="cpu")
    assert files_below(out) == NAMES
    assert (summary.images, summary.with_regions, summary.copied, summary.failed) == (3, 2, 1, 0)
    assert (summary.regions, summary.other_files, summary.exit_status) == (2, 1, 0)
    assert failures(out) == {}

    assert (out / "a/b/plain.JPEG").read_bytes() == (src / "a/b/plain.JPEG").read_bytes()
    # PNG: bit for bit outside what the recipe may touch, and hardly any detail left in the face.
    was, now = decoded(src / "a/face.png"), decoded(out / "a/face.png")
    far = outside(was.shape, margin=0.6)  # the detector's box may be larger than the one seen by eye
    assert np.array_equal(was[far], now[far])
    assert detail(now) < 0.25 * detail(was)
    # JPEG with the same tables: the rest comes out nearly as it was.
    was, now = decoded(src / "face é 1.jpg"), decoded(out / "face é 1.jpg")
    assert np.abs(was - now)[far].mean() < 0.7
    assert detail(now) < 0.25 * detail(was)
    assert {path: path.read_bytes() for path in src.rglob("*.*")} == before

    written = json.loads(report.read_text())
    assert (written["images"], written["with_regions"], written["failed"]) == (3, 2, 0)
    assert written["images_a_second"] == pytest.approx(3 / written["seconds"])
    assert written["parameters"]["detector"] == "centerface"
    assert written["parameters"]["strength"] == 0.15
    assert {"fastblur", "torch", "numpy"} <= written["versions"].keys()


@pytest.mark.parametrize(
    ("options", "operator", "arguments"),
    [
        ({}, blur, {}),
        ({"recipe": "ilsvrc", "margin": 0.2}, blur, {"recipe": "ilsvrc", "margin": 0.2}),
        ({"method": "pixelate", "blocks": 5}, pixelate, {"blocks": 5}),
        ({"method": "fill", "color": "9"}, fill, {"color": 9}),
    ],
)
def test_given_boxes_get_exactly_the_operator(
    src: Path,
    tmp_path: Path,
    face_pixels: np.ndarray,
    write_boxes: Write,
    options: dict,
    operator: Callable,
    arguments: dict,
) -> None:
    boxes = write_boxes({"src/a/face.png": [FACE], "src/face é 1.jpg": [], "src/a/b/plain.JPEG": []})
    summary = run(src, tmp_path / "out", boxes=boxes, device="cpu", **options)
    assert (summary.with_regions, summary.regions, summary.copied, summary.failed) == (1, 1, 2, 0)
    image = torch.from_numpy(face_pixels).permute(2, 0, 1)
    expected = operator(image, np.array([FACE], np.float32), **arguments).permute(1, 2, 0).numpy()
    assert np.array_equal(decoded(tmp_path / "out/a/face.png"), expected)
    for name in ("face é 1.jpg", "a/b/plain.JPEG"):  # a face by eye, but none by the file's word
        assert (tmp_path / "out" / name).read_bytes() == (src / name).read_bytes()


def test_the_imagenet_sample(shared: Path, tmp_path: Path) -> None:
    data = shared / "imagenet-sample"
    out = tmp_path / "out"
    summary = run(data, out, boxes=data / "face_annotations.json")
    assert (summary.images, summary.with_regions, summary.regions, summary.copied, summary.failed) == (
        250,
        80,
        125,
        170,
        0,
    )
    entries = {entry["url"]: entry["bboxes"] for entry in json.loads((data / "face_annotations.json").read_text())}
    assert files_below(out) == set(entries)
    for name, boxes in entries.items():
        if not boxes:
            assert (out / name).read_bytes() == (data / name).read_bytes()
            continue
        was, now = decoded(data / name), decoded(out / name)
        assert was.shape == now.shape
        far = np.ones(was.shape[:2], bool)
        for box in boxes:
            x0, y0, x1, y1 = (int(box["x0"]), int(box["y0"]), int(box["x1"]) + 1, int(box["y1"]) + 1)
            far &= outside(was.shape, (x0, y0, x1, y1))
            if min(x1 - x0, y1 - y0) >= 24 and detail(was, (x0, y0, x1, y1)) > 4:
                assert detail(now, (x0, y0, x1, y1)) < 0.6 * detail(was, (x0, y0, x1, y1)), (name, box)
        if far.sum() > 1000:
            assert np.abs(was - now)[far].mean() < 1.5, name


@pytest.mark.parametrize("root", ["", "train", "train/n00007846"])
def test_boxes_are_found_from_every_root(tmp_path: Path, face_png: bytes, write_boxes: Write, root: str) -> None:
    (tmp_path / "src/train/n00007846").mkdir(parents=True)
    (tmp_path / "src/train/n00007846/x.png").write_bytes(face_png)
    boxes = write_boxes({"train/n00007846/x.png": [FACE]})
    summary = run(tmp_path / "src" / root, tmp_path / "out", boxes=boxes)
    assert (summary.with_regions, summary.failed) == (1, 0)


class TestUnlisted:
    """What becomes of an image that the box file does not name."""

    @pytest.fixture
    def boxes(self, write_boxes: Write) -> Path:
        return write_boxes({"a/b/plain.JPEG": []})

    @pytest.mark.parametrize("unlisted", [None, "fail"])
    def test_it_fails(self, src: Path, tmp_path: Path, boxes: Path, unlisted: str | None) -> None:
        summary = run(src, tmp_path / "out", boxes=boxes, unlisted=unlisted)
        assert files_below(tmp_path / "out") == {"a/b/plain.JPEG"}
        reason = "boxes: the boxes file does not name this image"
        assert failures(tmp_path / "out") == {"a/face.png": reason, "face é 1.jpg": reason}
        assert (summary.copied, summary.failed, summary.exit_status) == (1, 2, 1)

    def test_it_is_copied(self, src: Path, tmp_path: Path, boxes: Path) -> None:
        summary = run(src, tmp_path / "out", boxes=boxes, unlisted="copy")
        assert (summary.copied, summary.failed) == (3, 0)
        assert all((tmp_path / "out" / name).read_bytes() == (src / name).read_bytes() for name in NAMES)

    def test_it_is_searched(self, src: Path, tmp_path: Path, boxes: Path) -> None:
        summary = run(src, tmp_path / "out", boxes=boxes, unlisted="detect")
        assert (summary.with_regions, summary.copied, summary.failed) == (2, 1, 0)
        assert detail(decoded(tmp_path / "out/a/face.png")) < 0.25 * detail(decoded(src / "a/face.png"))


def test_boxes_that_do_not_match_the_image_fail(src: Path, tmp_path: Path, write_boxes: Write) -> None:
    outside_it, flat = (600.0, 10.0, 700.0, 90.0), (50.0, 10.0, 50.0, 90.0)
    boxes = write_boxes(
        {"a/face.png": [FACE, outside_it], "face é 1.jpg": [flat], "a/b/plain.JPEG": [(1, 1, 50, 50), flat]}
    )
    summary = run(src, tmp_path / "out", boxes=boxes)
    assert files_below(tmp_path / "out") == {"a/b/plain.JPEG"}
    assert "outside the image of 512 x 512" in failures(tmp_path / "out")["a/face.png"]
    assert "no box has an area" in failures(tmp_path / "out")["face é 1.jpg"]
    assert (summary.regions, summary.degenerate_regions) == (1, 1)


class TestOneFile:
    """A source that is one file."""

    def test_to_a_folder(self, src: Path, tmp_path: Path) -> None:
        summary = run(src / "a/face.png", tmp_path / "out")
        assert files_below(tmp_path / "out") == {"face.png"}
        assert (summary.images, summary.with_regions) == (1, 1)

    def test_to_a_name(self, src: Path, tmp_path: Path) -> None:
        run(src / "a/face.png", tmp_path / "out" / "hidden.png")
        assert files_below(tmp_path / "out") == {"hidden.png"}
        assert not (tmp_path / "out" / ".fastblur").exists(), "nothing failed, so no list of failures"
        assert detail(decoded(tmp_path / "out/hidden.png")) < 0.25 * detail(decoded(src / "a/face.png"))

    def test_its_boxes_are_found(self, src: Path, tmp_path: Path, write_boxes: Write) -> None:
        summary = run(src / "a/face.png", tmp_path / "out", boxes=write_boxes({"src/a/face.png": [FACE]}))
        assert (summary.with_regions, summary.failed) == (1, 0)

    def test_a_failure_is_listed_beside_it(self, src: Path, tmp_path: Path) -> None:
        (src / "bad.jpg").write_bytes(b"no image")
        summary = run(src / "bad.jpg", tmp_path / "out" / "hidden.jpg")
        assert files_below(tmp_path / "out") == set()
        assert list(failures(tmp_path / "out")) == ["bad.jpg"]
        assert summary.exit_status == 1


class TestOverwrite:
    """A destination that is not empty."""

    def test_with_files_of_others_is_refused_and_left_alone(self, src: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")
        before = stats(tmp_path / "out")
        with pytest.raises(ValueError, match="is not empty and holds no run"):
            run(src, tmp_path / "out", method="fill")
        assert stats(tmp_path / "out") == before

    def test_of_a_run_with_other_parameters_is_refused_and_left_alone(self, src: Path, tmp_path: Path) -> None:
        (src / "bad.jpg").write_bytes(b"no image")
        run(src, tmp_path / "out")
        before = stats(tmp_path / "out")
        assert failures(tmp_path / "out").keys() == {"bad.jpg"}
        with pytest.raises(ValueError, match=r"other parameters \(.*method was 'blur' and is 'fill'.*--overwrite"):
            run(src, tmp_path / "out", method="fill")
        assert stats(tmp_path / "out") == before

    def test_of_a_run_that_ended_stays_as_it_is(self, src: Path, tmp_path: Path) -> None:
        first = run(src, tmp_path / "out")
        before = stats(tmp_path / "out")
        again = run(src, tmp_path / "out")
        assert stats(tmp_path / "out") == before
        assert (again.images, again.with_regions, again.regions, again.copied, again.failed) == (
            first.images, first.with_regions, first.regions, first.copied, first.failed,
        )  # fmt: skip
        assert (first.resumed, again.resumed, again.exit_status) == (0, 3, 0)

    def test_replaces_and_removes_what_failed(self, src: Path, tmp_path: Path, write_boxes: Write) -> None:
        out = tmp_path / "out"
        run(src, out, boxes=write_boxes({name: [] for name in NAMES}))
        assert (out / "a/face.png").read_bytes() == (src / "a/face.png").read_bytes()
        (out / "mine.txt").write_text("kept")
        (src / "face é 1.jpg").write_bytes(b"broken by now")
        summary = run(src, out, overwrite=True)
        assert detail(decoded(out / "a/face.png")) < 0.25 * detail(decoded(src / "a/face.png"))
        assert files_below(out) == {"a/face.png", "a/b/plain.JPEG", "mine.txt"}, "the old copy with its face is gone"
        assert (summary.with_regions, summary.failed) == (1, 1)

    def test_a_source_reached_through_a_link_in_the_output_is_safe(self, src: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").symlink_to(src / "a")
        before = (src / "a/face.png").read_bytes()
        run(src, tmp_path / "out", overwrite=True)
        assert (src / "a/face.png").read_bytes() == before
        assert set(failures(tmp_path / "out")) == {"a/face.png", "a/b/plain.JPEG"}


def stats(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """The files below a folder, the journal's too: what changes where a file is written again."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {path: (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_failures_that_cannot_be_recorded_stop_the_run(
    numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in numbered.iterdir():
        path.write_bytes(b"no image")

    def full(self: object, name: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("fastblur.pipeline.storage.local.LocalSink.append", full)
        with pytest.raises(RuntimeError, match=r"DST cannot be written: No space left on device; .* goes on"):
            run(numbered, tmp_path / "out", boxes=all_empty(numbered, tmp_path), workers=2)
    summary = run(numbered, tmp_path / "out", boxes=all_empty(numbered, tmp_path), workers=2)
    assert (summary.images, summary.failed, summary.resumed) == (8, 8, 0)
    assert failures(tmp_path / "out").keys() == {path.name for path in numbered.iterdir()}


def test_stopping_at_the_first_error_writes_no_journal_for_its_shard(numbered: Path, tmp_path: Path) -> None:
    (numbered / "44.png").write_bytes(b"no image")
    boxes = all_empty(numbered, tmp_path)
    for _ in range(2):  # when it goes on it meets the same image again
        with pytest.raises(RuntimeError, match=r"the run stopped at '44.png': decode: "):
            run(numbered, tmp_path / "out", boxes=boxes, on_error="stop")
        assert "44.png" not in files_below(tmp_path / "out")
    assert run(numbered, tmp_path / "out", boxes=boxes).failed == 1


@pytest.mark.slow
def test_ctrl_c_ends_the_run_with_whole_files_only(
    tmp_path: Path, face_png: bytes, write_boxes: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    for number in range(200):
        (tmp_path / "src" / f"{number}.png").write_bytes(face_png)
    boxes = write_boxes({f"{number}.png": [FACE] for number in range(200)})
    real = config.make_hide

    def slow(*args: object, **options: object) -> object:
        hide, parameters = real(*args, **options)

        def do(pictures: list, boxes: list) -> None:
            time.sleep(0.02 * len(pictures))
            hide(pictures, boxes)

        return do, parameters

    def press(tally: Tally, total: int | None) -> None:
        if tally.images >= 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(config, "make_hide", slow)
    before = threading.active_count()
    summary: Summary = run(tmp_path / "src", tmp_path / "out", boxes=boxes, workers=2, progress=press)
    assert (summary.interrupted, summary.exit_status) == (signal.SIGINT, 130)
    assert 1 <= summary.images < 200
    assert "the same command goes on" in summary.text()
    names = files_below(tmp_path / "out")
    assert len(names) == summary.images
    for name in names:
        assert detail(decoded(tmp_path / "out" / name)) < 0.3 * detail(decoded(face_png))
    assert threading.active_count() <= before + 1  # the counting of images may still be at work
    monkeypatch.setattr(config, "make_hide", real)
    summary = run(tmp_path / "src", tmp_path / "out", boxes=boxes)
    assert (summary.images, summary.with_regions, summary.exit_status) == (200, 200, 0)


def test_progress_is_told_how_many_there_are(numbered: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    run(
        numbered,
        tmp_path / "out",
        boxes=all_empty(numbered, tmp_path),
        progress=lambda tally, total: seen.append((tally.images, total)),
    )
    assert seen[-1] == (8, 8)
    assert {total for _, total in seen} <= {None, 8}


def test_names_of_every_kind_come_through(tmp_path: Path, plain_jpeg: bytes) -> None:
    root = tmp_path / "src"
    root.mkdir()
    names = [
        "two words.jpg",
        "é ü 日本.jpg",
        "two\nlines.jpg",
        "-dash.jpg",
        "a" * 251 + ".jpg",
        "\udcff\udcfe.jpg",
        "%41.jpg",
    ]
    for name in names:
        (root / name).write_bytes(plain_jpeg)
    (root / "\udcfd.jpg").write_bytes(b"no image")
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"url": name, "bboxes": []} for name in [*names, "\udcfd.jpg"]]))
    summary = run(root, tmp_path / "out", boxes=boxes)
    assert files_below(tmp_path / "out") == set(names)
    assert summary.failed == 1
    assert [os.fsencode(name) for name in failures(tmp_path / "out")] == [b"\xfd.jpg"]


def test_threads_of_torch_are_as_before(numbered: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    run(numbered, tmp_path / "out", boxes=all_empty(numbered, tmp_path))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"detector": "nothing"}, "'nothing'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"detect_size": 0}, "detect_size is 0"),
        ({"unlisted": "copy"}, "unlisted has no effect without boxes"),
        ({"boxes": "{boxes}", "unlisted": "drop"}, "unlisted is 'drop'"),
        ({"boxes": "{boxes}", "detector": "centerface"}, "detector has no effect with boxes"),
        ({"boxes": "{boxes}", "threshold": 0.5}, "threshold has no effect with boxes"),
        ({"boxes": "{boxes}", "detect_size": 64}, "detect_size has no effect with boxes"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"engine": "cloud"}, "engine is 'cloud'"),
        ({"on_error": "ask"}, "on_error is 'ask'"),
        ({"format": "zip"}, "format is 'zip'"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"boxes": "{boxes}", "box_column": "boxes"}, "boxes and box_column"),
        ({"recipe": "strong"}, "recipe is 'strong'"),
        ({"report": "{tmp}/absent/report.json"}, "the summary cannot be written"),
        ({"report": "{tmp}"}, "the summary cannot be written"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    src: Path, tmp_path: Path, write_boxes: Write, options: dict[str, object], word: str
) -> None:
    places = {
        "{boxes}": str(write_boxes({})),
        "{tmp}/absent/report.json": str(tmp_path / "absent/report.json"),
        "{tmp}": str(tmp_path),
    }
    given = {name: places.get(str(value), value) for name, value in options.items()}
    with pytest.raises(ValueError, match=word):
        run(src, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_report_may_lie_in_the_new_destination(src: Path, tmp_path: Path, write_boxes: Write) -> None:
    run(src, tmp_path / "out", boxes=write_boxes({}), unlisted="copy", report=tmp_path / "out" / "report.json")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["copied"] == 3
