"""The journal: what is recorded, what a resumed run makes of it, and what is refused."""

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastblur.codecs.written_by import written_by
from fastblur.pipeline.execution.journal import Journal, count, entry_name, journal_line, locked
from fastblur.pipeline.images.task import ImageTask, Outcome
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.storage.local import LocalSink
from tests.pipeline.helpers import failures


@dataclass(frozen=True)
class Named:
    """A shard of which only name and fingerprint matter."""

    name: str = "a/0.jpg"
    stamp: str = "1 2"

    def fingerprint(self) -> str:
        return self.stamp

    def batches(self, size: int) -> Any:
        yield Batch([])

    def output(self, sink: Any) -> Any:
        raise NotImplementedError


def image(
    name: str, outcome: Outcome = Outcome.COPIED, reason: str = "", boxes: Any = None, scores: Any = None
) -> ImageTask:
    one = ImageTask(Item(name))
    one.boxes = None if boxes is None else np.array(boxes, np.float32).reshape(-1, 4)
    one.scores, one.reason = scores, reason
    one.finish(outcome)
    return one


IMAGES = [
    image("a/0.jpg", boxes=[]),
    image("a/1.jpg", Outcome.HIDDEN, boxes=[[1, 2, 3.5, 4], [5, 6, 70, 80]], scores=[0.9, 0.5]),
    image("a/\udcff\n.jpg", Outcome.FAILED, "decode: broken"),
    image("a/3.jpg", Outcome.HIDDEN, boxes=[[1, 2, 3, 4]]),
]


def begun(root: Path, parameters: dict[str, Any] | None = None, **options: bool) -> Journal:
    journal = Journal(LocalSink(root))
    journal.begin(parameters or {"method": "blur"}, {"fastblur": "0"}, **{"overwrite": False, **options})
    return journal


def finish(journal: Journal, shard: Named, images: list[ImageTask] = IMAGES, broken: str = "") -> None:
    journal.finish(shard, count(images), broken, map(journal_line, images))


def entries(root: Path) -> list[Path]:
    return sorted((root / ".fastblur" / "journal").iterdir())


def test_an_entry_says_what_became_of_every_image(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    IMAGES[3].degenerate = 2
    finish(journal, Named())
    (path,) = entries(tmp_path)
    head, *lines = map(json.loads, path.read_text("ascii").splitlines())
    assert head == {
        "shard": "a/0.jpg", "images": 4, "with_regions": 2, "regions": 3, "degenerate_regions": 2, "copied": 1,
        "failed": 1, "unsearched": 0, "skipped": 0, "without_previews": 0,
        "jpeg_blocks": 0, "jpeg_progressive": 0, "jpeg_unsupported": 0,
            "jpeg_irregular": 0, "broken": "", "written_by": written_by(),
    }  # fmt: skip
    assert lines == [
        {"path": "a/0.jpg", "fate": "copied", "boxes": []},
        {"path": "a/1.jpg", "fate": "hidden", "boxes": [[1, 2, 3.5, 4], [5, 6, 70, 80]], "scores": [0.9, 0.5]},
        {"path": "a/\udcff\n.jpg", "fate": "failed", "reason": "decode: broken"},
        {"path": "a/3.jpg", "fate": "hidden", "boxes": [[1, 2, 3, 4]], "degenerate": 2},
    ]
    assert os.fsencode(lines[2]["path"]) == b"a/\xff\n.jpg"


def test_the_record_of_the_run_has_its_parameters_and_versions(tmp_path: Path) -> None:
    begun(tmp_path, {"method": "fill", "color": (1, 2, 3), "threshold": 0.3})
    assert json.loads((tmp_path / ".fastblur/run.json").read_text()) == {
        "parameters": {"method": "fill", "color": [1, 2, 3], "threshold": 0.3},
        "versions": {"fastblur": "0"},
    }


def test_a_resumed_run_knows_what_is_finished(tmp_path: Path) -> None:
    shards = [Named("a/0.jpg"), Named("b.tar")]
    first = begun(tmp_path)
    for shard in shards:
        assert first.finished_counts(shard) is None
        finish(first, shard)
        assert first.finished_counts(shard) is None, "what this run did itself is counted already"
    again = begun(tmp_path)
    assert [again.finished_counts(shard) for shard in shards] == [count(IMAGES)] * 2
    assert again.finished_counts(Named("c.tar")) is None


def test_a_changed_shard_is_done_again(tmp_path: Path) -> None:
    finish(begun(tmp_path), Named(stamp="1000 17"))
    again = begun(tmp_path)
    assert again.finished_counts(Named(stamp="1001 17")) is None
    assert again.finished_counts(Named(stamp="1000 17")) == count(IMAGES)
    finish(again, Named(stamp="1001 17"), IMAGES[:1])
    assert begun(tmp_path).finished_counts(Named(stamp="1001 17")) == count(IMAGES[:1])


def test_names_and_fingerprints_are_not_mixed_up() -> None:
    names = {entry_name(Named(*pair)) for pair in [("a", "b"), ("ab", ""), ("", "ab"), ("a", "b\0"), ("\udcff", "b")]}
    assert len(names) == 5
    assert entry_name(Named("a", "b")) == entry_name(Named("a", "b"))


def test_failures_are_listed_again_when_a_run_goes_on(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    finish(journal, Named("a/0.jpg"))
    finish(journal, Named("b.tar"), [image("b.tar/0.jpg")], "the tar ends in the middle")
    finish(journal, Named("c.tar"), [image("c.tar/0.jpg")])
    journal.fail("a/\udcff\n.jpg", "decode: broken")
    journal.fail("d/of a shard that is not finished.jpg", "read: gone for a moment")
    again = begun(tmp_path)
    assert failures(tmp_path) == {}, "those of shards that are done again are told again"
    for name in ("a/0.jpg", "b.tar", "c.tar"):
        again.finished_counts(Named(name))
    assert failures(tmp_path) == {"a/\udcff\n.jpg": "decode: broken", "b.tar": "the tar ends in the middle"}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"method": "fill", "size": None}, ["method was 'blur' and is 'fill'"]),
        ({"method": "blur", "size": 640}, ["size was None and is 640"]),
        ({"method": "blur"}, []),  # a parameter that is not told is as one that is None
        ({"method": "blur", "size": None, "margin": 0.1}, ["margin was None and is 0.1"]),
        ({"method": "pixelate", "size": None, "blocks": 8}, ["method was 'blur' and is 'pixelate'"]),  # its own option
        ({"method": "fill", "size": 3}, ["method was 'blur' and is 'fill', size was None and is 3"]),
    ],
)
def test_other_parameters_are_refused_with_the_difference_named(
    tmp_path: Path, now: dict[str, Any], words: list[str]
) -> None:
    journal = begun(tmp_path, {"method": "blur", "size": None})
    finish(journal, Named())
    journal.fail("a.jpg", "decode: broken")
    if not words:
        assert begun(tmp_path, now).finished_counts(Named()) is not None
        return
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="DST holds a run with other parameters") as caught:
        begun(tmp_path, now)
    assert all(word in str(caught.value) for word in [*words, "--overwrite"])
    assert ("blocks" in str(caught.value)) == ("blocks" in "".join(words))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_record_whose_parameters_are_none_is_refused(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / ".fastblur" / "run.json").write_text('{"parameters": 5}')
    with pytest.raises(ValueError, match="is not a run's record"):
        begun(tmp_path)


def test_values_are_compared_as_they_are_read_again(tmp_path: Path) -> None:
    begun(tmp_path, {"color": (1, 2, 3), "strength": 0.1 + 0.2})
    begun(tmp_path, {"color": (1, 2, 3), "strength": 0.1 + 0.2})
    with pytest.raises(ValueError, match=r"strength was 0\.30000000000000004 and is 0\.3\b"):
        begun(tmp_path, {"color": (1, 2, 3), "strength": 0.3})


def test_overwriting_starts_over(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    finish(journal, Named())
    journal.fail("a.jpg", "decode: broken")
    again = begun(tmp_path, {"method": "fill"}, overwrite=True)
    assert entries(tmp_path) == []
    assert failures(tmp_path) == {}
    assert again.finished_counts(Named()) is None
    assert begun(tmp_path, {"method": "fill"}).finished_counts(Named()) is None


def test_overwriting_that_was_killed_on_the_way_leaves_nothing_of_the_old_run_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path)
    for number in range(4):
        finish(journal, Named(f"{number}.tar"))
    real = LocalSink.write

    def killed(self: LocalSink, name: str, data: bytes, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalSink, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path, {"method": "fill"}, overwrite=True)
    monkeypatch.setattr(LocalSink, "write", real)
    assert entries(tmp_path) == [], "an entry that stays would be taken for one of the new run"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"parameters"', b"{}", b"\xff", b"null"])
def test_a_record_that_cannot_be_read_is_refused_and_can_be_started_over(tmp_path: Path, content: bytes) -> None:
    begun(tmp_path)
    (tmp_path / ".fastblur/run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run.json is not a run's record, expected --overwrite"):
        begun(tmp_path)
    begun(tmp_path, overwrite=True)
    begun(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"shard": "a"', b"{}\n", b"null\n", b"\xff\n", b"\n", b"1e999", b"-1"]
)
def test_an_entry_that_cannot_be_read_is_done_again(tmp_path: Path, content: bytes) -> None:
    finish(begun(tmp_path), Named())
    (path,) = entries(tmp_path)
    if content in (b"1e999", b"-1"):  # as the number of images
        content = path.read_bytes().replace(b'"images":4', b'"images":' + content, 1)
        assert content != path.read_bytes()
    path.write_bytes(content)
    again = begun(tmp_path)
    assert again.finished_counts(Named()) is None
    finish(again, Named())
    assert begun(tmp_path).finished_counts(Named()) == count(IMAGES)


def _finish_in_a_process(arguments: tuple[str, int]) -> None:
    root, number = arguments
    journal = Journal(LocalSink(Path(root)))
    for turn in range(30):
        images = [image(f"{turn}/{place}.jpg", boxes=[[number, 0, 5, 5]]) for place in range(200)]
        finish(journal, Named(f"{turn}.tar"), images)


@pytest.mark.slow
def test_of_many_processes_that_finish_a_shard_one_records_it(tmp_path: Path) -> None:
    begun(tmp_path)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_finish_in_a_process, [(str(tmp_path), number) for number in range(4)], chunksize=1)
    found = entries(tmp_path)
    assert len(found) == 30
    for path in found:
        head, *lines = map(json.loads, path.read_bytes().splitlines())
        assert (head["images"], len(lines)) == (200, 200)
        assert len({line["boxes"][0][0] for line in lines}) == 1, "two processes' entries are mixed"
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []


def test_an_entry_is_on_the_disk_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)
    steps: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "link", lambda *names: (steps.append("link"), link(*names)))
    finish(journal, Named())
    assert steps == ["fsync", "link"]


def test_the_record_of_the_run_is_on_the_disk_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without that a power cut may leave an empty file, and with it a run that cannot go on.
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    begun(tmp_path)
    assert steps == ["fsync", "replace"]


class TestLock:
    """One run at a time."""

    HOLD = (
        "import sys; from pathlib import Path; from fastblur.pipeline.execution.journal import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )

    def test_a_second_run_is_refused_until_the_first_has_ended(self, tmp_path: Path) -> None:
        with locked(tmp_path), pytest.raises(ValueError, match="another run is writing to DST"), locked(tmp_path):
            pass
        with locked(tmp_path):
            pass

    def test_a_killed_process_lets_it_go(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="another run is writing"), locked(tmp_path):
            pass
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("name", ["run.json", "journal"])
def test_nothing_waits_for_a_pipe(tmp_path: Path, name: str) -> None:
    finish(begun(tmp_path), Named())
    path = tmp_path / ".fastblur/run.json" if name == "run.json" else entries(tmp_path)[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is not a regular file"):
        begun(tmp_path).finished_counts(Named())
