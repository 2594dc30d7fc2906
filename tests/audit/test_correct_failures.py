"""`fastblur correct` killed, stopped and refused, and images that cannot be done again: nothing is lost or shown."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fastblur.audit import audit
from fastblur.errors import FileError, UsageError
from fastblur.pipeline import correct, run
from fastblur.pipeline.execution.record import RunRecord
from fastblur.pipeline.images.task import ImageTask, Outcome
from tests.audit.correct_cases import fresh, judged, write_judgements
from tests.audit.run_cases import BOXES, FILES, journal, journal_names, make_run, outputs, pixels, write_boxes


class Failing:
    """Lets an image fail, whatever is done to it, and optionally the call end before it can tell the journal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self._patched, finish = monkeypatch, ImageTask.finish

        def failing(task: ImageTask, outcome: Outcome, result: bytes | None = None) -> None:
            lost = task.item.name == name
            finish(task, Outcome.FAILED if lost else outcome, None if lost else result)

        monkeypatch.setattr(ImageTask, "finish", failing)

    def kill(self, source: Path, out: Path, judgements: Path) -> None:
        from fastblur.pipeline.storage.local import LocalSink

        write = LocalSink.write

        def killed(sink: LocalSink, name: str, data: bytes, *, durable: bool = False) -> None:
            if "journal/" in name:
                raise KeyboardInterrupt
            write(sink, name, data, durable=durable)

        with self._patched.context() as patched:
            patched.setattr(LocalSink, "write", killed)
            with pytest.raises(KeyboardInterrupt):
                correct(source, out, judgements, workers=1)


@pytest.mark.parametrize("kind", ["tar", "table"])
def test_killed_when_an_image_had_failed_it_goes_on(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output's file has lost the image, and the journal does not say so yet."""
    source, out, judgements = judged(tmp_path, kind)
    name = journal_names(kind)["a/2.jpg"]
    Failing(monkeypatch, name).kill(source, out, judgements)
    assert FILES["a/2.jpg"] not in outputs(out, kind).values()
    assert correct(source, out, judgements, workers=1).exit_status == 1
    assert journal(out)[name]["fate"] == "failed"
    assert audit(out, sample=0).exit_status == 0


def sample_of_two(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Make a run of a tar with a sample of two images, and judgements of one of them."""
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    members = {"x.left.png": "a/1.png", "x.right.jpg": "a/2.jpg", "y.png": "b/5.png"}
    with tarfile.open(source / "s.tar", "w") as tar:
        for member, name in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(FILES[name])
            tar.addfile(info, io.BytesIO(FILES[name]))
    boxes = write_boxes(tmp_path / "b.jsonl", {f"s.tar/{member}": BOXES[name] for member, name in members.items()})
    run(source, out, boxes=boxes, engine="threads")
    return source, out, write_judgements(tmp_path / "j.jsonl", out, {"s.tar/x.right.jpg": [(10, 10, 50, 50)]})


def test_killed_when_an_image_of_a_sample_had_failed_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output's file has lost the other image of the sample too."""
    source, out, judgements = sample_of_two(tmp_path)
    failing = Failing(monkeypatch, "s.tar/x.right.jpg")
    failing.kill(source, out, judgements)
    with tarfile.open(out / "s.tar") as tar:
        assert tar.getnames() == ["y.png"]
    assert correct(source, out, judgements, workers=1).exit_status == 1
    assert {name: line["fate"] for name, line in journal(out).items()} == {
        "s.tar/x.left.png": "failed",
        "s.tar/x.right.jpg": "failed",
        "s.tar/y.png": "copied",
    }
    assert audit(out, source=source, sample=0).exit_status == 0


def test_counts_of_what_cannot_be_read_any_more(tmp_path: Path) -> None:
    """A progressive JPEG, and one with a box without an area, which were counted as such."""
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    Image.fromarray(pixels(1)).save(source / "a.jpg", progressive=True)
    Image.fromarray(pixels(2)).save(source / "b.png")
    Image.fromarray(pixels(3)).save(source / "c.png")
    rows = [(20, 15, 60, 60), (70, 70, 70, 70)]
    run(source, out, boxes=write_boxes(tmp_path / "b.jsonl", dict.fromkeys(("a.jpg", "b.png", "c.png"), rows)))
    assert audit(out, source=source, sample=0).exit_status == 0
    judgements = write_judgements(tmp_path / "j.jsonl", out, {"a.jpg": [], "b.png": [(10, 10, 50, 50)]})
    (source / "a.jpg").write_bytes(b"")
    assert correct(source, out, judgements).exit_status == 1
    assert audit(out, sample=0).content["account"]["problems"] == []
    (entry,) = RunRecord(out).entries()
    counts = {name: entry.counts[name] for name in ("failed", "regions", "degenerate_regions", "jpeg_progressive")}
    assert counts == {"failed": 1, "regions": 2, "degenerate_regions": 1, "jpeg_progressive": 0}


def test_a_sample_comes_back_when_its_image_does_not_fail_any_more(tmp_path: Path) -> None:
    source, out, judgements = sample_of_two(tmp_path)
    before = journal(out)
    with pytest.MonkeyPatch.context() as patched:
        Failing(patched, "s.tar/x.right.jpg")
        assert correct(source, out, judgements).exit_status == 1
    assert set(outputs(out, "tar")) == {"s.tar/y.png"}
    assert (again := correct(source, out, judgements)).exit_status == 0
    assert again.changed == 2
    after = journal(out)
    assert after["s.tar/x.left.png"].pop("corrected") == after["s.tar/x.right.jpg"].pop("corrected")
    assert after["s.tar/x.left.png"] == before["s.tar/x.left.png"]
    assert after["s.tar/x.right.jpg"]["boxes"] == [[10, 10, 50, 50]]
    boxes = {"s.tar/x.left.png": BOXES["a/1.png"], "s.tar/x.right.jpg": [(10, 10, 50, 50)], "s.tar/y.png": []}
    run(source, tmp_path / "new", boxes=write_boxes(tmp_path / "new.jsonl", boxes), engine="threads")
    assert outputs(out, "tar") == outputs(tmp_path / "new", "tar")
    assert audit(out, source=source, sample=0).exit_status == 0
    assert correct(source, out, judgements).changed == 0


def test_an_image_that_failed_is_tried_again(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    whole = (source / "a/2.jpg").read_bytes()
    (source / "a/2.jpg").write_bytes(whole[:400])
    assert correct(source, out, judgements).exit_status == 1
    assert correct(source, out, judgements).exit_status == 1, "it is still not there"
    assert not (out / "a/2.jpg").exists()
    assert len((out / ".fastblur/failures.jsonl").read_text().splitlines()) == 1
    (source / "a/2.jpg").write_bytes(whole)
    assert (again := correct(source, out, judgements)).exit_status == 0
    assert again.changed == 1
    assert not (out / ".fastblur/failures.jsonl").exists()
    assert outputs(out, "folder") == fresh(tmp_path, "folder", source)
    assert audit(out, source=source, sample=0).exit_status == 0
    assert correct(source, out, judgements).changed == 0


def test_a_record_with_something_else_in_place_of_its_parts(tmp_path: Path) -> None:
    """It is refused before anything is written, and nothing waits for a pipe."""
    source, out, judgements = judged(tmp_path, "folder")
    before = outputs(out, "folder")
    failures, correcting = out / ".fastblur/failures.jsonl", out / ".fastblur/correcting"
    os.mkfifo(failures)
    with pytest.raises(FileError, match=r"failures.jsonl cannot be read: it is not a regular file"):
        correct(source, out, judgements)
    failures.unlink()
    for make in (os.mkfifo, Path.touch):
        make(correcting)
        with pytest.raises(UsageError, match=r"'.fastblur/correcting' in DST is a link or a file, expected a folder"):
            correct(source, out, judgements)
        correcting.unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ("1f" * 32)).touch()
    correcting.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link or a file"):
        correct(source, out, judgements)
    assert outputs(out, "folder") == before
    correcting.unlink()
    assert correct(source, out, judgements).exit_status == 0


def test_a_shard_that_nobody_judged_and_whose_entry_was_edited(tmp_path: Path) -> None:
    """The audit names it; the list of failures does without its lines."""
    source, out = make_run(tmp_path, "tar")
    for entry in (out / ".fastblur/journal").iterdir():
        head, first, *lines = entry.read_text().splitlines()
        if '"a.tar"' in head:
            head, first = head.replace('"failed":0', '"failed":1'), first.replace("fate", "fat")
            entry.write_text("".join(f"{line}\n" for line in (head, first, *lines)))
    (out / ".fastblur/failures.jsonl").write_text("")
    judgements = write_judgements(tmp_path / "j.jsonl", out, {"b.tar/4.jpg": [(20, 20, 60, 60)]})
    with pytest.MonkeyPatch.context() as patched:
        Failing(patched, "b.tar/4.jpg")
        assert correct(source, out, judgements).exit_status == 1
    assert len((out / ".fastblur/failures.jsonl").read_text().splitlines()) == 1
    assert "journal" in {one["kind"] for one in audit(out, sample=0).content["account"]["problems"]}


def test_another_picture_in_place_of_one_that_failed(tmp_path: Path) -> None:
    """Of the same size: the boxes were not drawn on it. It is refused, however often, and the right one is taken."""
    source, out, judgements = judged(tmp_path, "folder")
    whole = (source / "a/2.jpg").read_bytes()
    other = io.BytesIO()
    Image.fromarray(pixels(77)).save(other, "JPEG", quality=92)
    for _ in range(2):
        (source / "a/2.jpg").write_bytes(whole[:400])
        assert correct(source, out, judgements).exit_status == 1
        (source / "a/2.jpg").write_bytes(other.getvalue())
        with pytest.raises(UsageError, match=r"'a/2.jpg' of SRC is not the image that left OUT when it failed"):
            correct(source, out, judgements)
        assert not (out / "a/2.jpg").exists()
    assert audit(out, sample=0).exit_status == 0
    (source / "a/2.jpg").write_bytes(whole)
    assert correct(source, out, judgements).exit_status == 0
    assert outputs(out, "folder") == fresh(tmp_path, "folder", source)
    assert audit(out, source=source, sample=0).exit_status == 0


def test_an_image_that_failed_is_done_by_other_judgements(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    whole = (source / "a/2.jpg").read_bytes()
    (source / "a/2.jpg").write_bytes(whole[:400])
    correct(source, out, judgements)
    (source / "a/2.jpg").write_bytes(whole)
    second = write_judgements(tmp_path / "second.jsonl", out, {"a/2.jpg": BOXES["a/2.jpg"]})
    assert correct(source, out, second).exit_status == 0
    assert (out / "a/2.jpg").read_bytes() == outputs(make_run(tmp_path / "again")[1], "folder")["a/2.jpg"]
    assert audit(out, source=source, sample=0).exit_status == 0


def test_an_image_that_cannot_be_done_again_leaves_the_output(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    (source / "a/2.jpg").write_bytes(b"gone bad")
    summary = correct(source, out, judgements)
    assert (summary.failed, summary.exit_status) == (1, 1)
    assert not (out / "a/2.jpg").exists()
    assert journal(out)["a/2.jpg"]["fate"] == "failed"
    assert "a/2.jpg" in (out / ".fastblur/failures.jsonl").read_text()
    assert audit(out, sample=0).content["account"]["problems"] == []


KILLED = """
import os, random, sys, threading, time
from fastblur.errors import FileError, UsageError
from fastblur.pipeline import correct
source, out, judgements, delay = sys.argv[1:]
threading.Thread(target=lambda: (time.sleep(float(delay)), os.kill(os.getpid(), 9)), daemon=True).start()
correct(source, out, judgements, workers=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_killed_it_goes_on(tmp_path: Path, kind: str) -> None:
    """Killed at moments spread over its work, again and again, then let through: as if it had never been killed."""
    source, out, judgements = judged(tmp_path, kind)
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
        subprocess.run([sys.executable, "-c", KILLED, source, out, judgements, str(delay)], check=False)
        for data in outputs(out, kind).values():
            assert data, "every file is whole"
    correct(source, out, judgements)
    assert outputs(out, kind) == fresh(tmp_path, kind, source)
    assert audit(out, source=source, sample=0).content["account"]["problems"] == []


@pytest.mark.parametrize("step", ["write", "flush"])
def test_stopped_between_any_two_steps_it_goes_on(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink stops at each of its calls in turn: what was written is whole, and the next call ends the work."""
    from fastblur.pipeline.storage.local import LocalSink

    source, out, judgements = judged(tmp_path, "folder")
    real: Callable[..., None] = getattr(LocalSink, step)
    for allowed in range(6):
        calls = iter(range(allowed))

        def stopping(self: LocalSink, *args: Any, calls: Any = calls, **named: Any) -> None:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            real(self, *args, **named)

        before = outputs(out, "folder")
        monkeypatch.setattr(LocalSink, step, stopping)
        try:
            correct(source, out, judgements, workers=1)
        except KeyboardInterrupt:
            monkeypatch.setattr(LocalSink, step, real)
            named = [one["sentence"] for one in audit(out, sample=0).content["account"]["problems"]]
            assert named or outputs(out, "folder") == before, "what has begun and not ended is said"
            assert all("began and did not end" in one for one in named)
            continue
        break
    monkeypatch.setattr(LocalSink, step, real)
    correct(source, out, judgements)
    assert outputs(out, "folder") == fresh(tmp_path, "folder", source)
    assert not list((out / ".fastblur/tmp").iterdir())
    assert not list((out / ".fastblur/correcting").iterdir())
    assert audit(out, source=source, sample=0).content["account"]["problems"] == []
