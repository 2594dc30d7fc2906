"""`fastblur correct`: the images judged are done again, and nothing else; the result is that of a fresh run."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.audit import audit
from fastblur.codecs import decode, encode
from fastblur.codecs.written_by import written_by
from fastblur.errors import UsageError
from fastblur.pipeline import RunStopped, correct, run
from fastblur.pipeline.execution.journal_lines import to_text
from fastblur.pipeline.execution.record import OPTIONS, RunRecord
from tests.audit.correct_cases import CHANGED, fresh, judged, shards, write_judgements
from tests.audit.run_cases import (
    BOXES,
    FILES,
    journal,
    journal_names,
    make_run,
    outputs,
    with_other_preview,
    write_boxes,
)


@pytest.mark.parametrize("kind", ["folder", "tar", "table"])
@pytest.mark.parametrize(
    "options",
    [{}, {"jpeg": "encode", "strength": 0.3}, {"method": "fill", "color": "9"}, {"strip_metadata": True}],
    ids=str,
)
def test_the_result_is_that_of_a_fresh_run(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    source, out, judgements = judged(tmp_path, kind, **options)
    before = outputs(out, kind)
    summary = correct(source, out, judgements, workers=1)
    assert (summary.judged, summary.changed, summary.failed, summary.exit_status) == (5, 4, 0, 0)
    after, names = outputs(out, kind), journal_names(kind)
    assert after == fresh(tmp_path, kind, source, **options)
    differing = {name for name in after if after[name] != before[name]}
    assert differing == {names[name] for name in CHANGED}
    assert after[names["b/6.webp"]].startswith(FILES["b/6.webp"]), "without regions it is copied"
    assert audit(out, source=source, sample=0).content["account"]["problems"] == []


# What a run records and a correction need not know: it has the boxes, and takes the source from its arguments.
OF_THE_SEARCH = {
    "source", "detector", "detector_version", "threshold", "detect_size", "weights_sha256", "unlisted", "boxes_sha256",
    "box_categories", "box_coordinates", "box_format",
}  # fmt: skip
OF_THE_METHOD = {"recipe", "strength", "margin", "feather", "shape", "scope", "blocks", "color"}


@pytest.mark.parametrize("method", ["blur", "pixelate", "fill"])
def test_every_recorded_option_reaches_a_correction(tmp_path: Path, method: str) -> None:
    source, out = make_run(tmp_path, "folder", method=method, unlisted="copy")
    recorded = json.loads((out / ".fastblur/run.json").read_text())["parameters"]
    assert recorded.keys() - OF_THE_SEARCH - OF_THE_METHOD <= {*OPTIONS, "image_columns", "members"}
    again = RunRecord(out).redo_config(source)
    assert {name: recorded[name] for name in recorded.keys() & OF_THE_METHOD} == dict(again.method_options)


def test_metadata_that_a_run_stripped_stay_away(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    (tmp_path / "src").mkdir()
    for seed, name in enumerate(("hidden.jpg", "copied.jpg")):
        pixels = np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "src" / name, exif=exif)
    boxes = write_boxes(tmp_path / "boxes.jsonl", {"hidden.jpg": [(10, 10, 30, 30)], "copied.jpg": []})
    run(tmp_path / "src", tmp_path / "out", boxes=boxes, strip_metadata=True)
    assert audit(tmp_path / "out", source=tmp_path / "src", sample=0).content["account"]["problems"] == []
    line = {"shard": shards(tmp_path / "out")["hidden.jpg"], "coordinates": "stored"}
    asked = [{"image": "hidden.jpg", **line, "boxes": []}, {"image": "copied.jpg", **line, "boxes": [[5, 5, 50, 50]]}]
    (tmp_path / "judgements.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    assert correct(tmp_path / "src", tmp_path / "out", tmp_path / "judgements.jsonl").changed == 2
    for name in ("hidden.jpg", "copied.jpg"):
        assert b"a maker" in (tmp_path / "src" / name).read_bytes()
        assert b"a maker" not in (tmp_path / "out" / name).read_bytes()
    assert audit(tmp_path / "out", source=tmp_path / "src", sample=0).content["account"]["problems"] == []


@pytest.mark.parametrize("kind", ["folder", "tar", "table"])
def test_a_second_time_does_nothing(tmp_path: Path, kind: str) -> None:
    source, out, judgements = judged(tmp_path, kind)
    correct(source, out, judgements)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    summary = correct(source, out, judgements)
    assert (summary.changed, summary.shards) == (0, 0)
    assert "nothing to do" in summary.text()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == times


@pytest.mark.parametrize(
    "change", [{"boxes": 7}, {"boxes": "x"}, {"boxes": [[1]]}, {"scores": 1e308}, {"jpeg": 7}, {"path": "../2.jpg"}]
)
def test_a_journal_that_was_edited_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    (entry,) = (out / ".fastblur/journal").iterdir()
    head, *lines = entry.read_text().splitlines()
    lines[1] = to_text({**json.loads(lines[1]), **change}).rstrip()
    entry.write_text("".join(f"{line}\n" for line in (head, *lines)))
    before = outputs(out, "folder")
    with pytest.raises(UsageError, match="is not what a run writes"):
        correct(source, out, judgements)
    assert outputs(out, "folder") == before


def test_a_file_without_judgements_is_nothing_to_do(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    judgements.write_text("\n")
    summary = correct(source, out, judgements)
    assert (summary.judged, summary.exit_status) == (0, 0)
    assert "the file has no judgements" in summary.text()


def test_only_the_images_judged_are_written(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    times = {name: (out / name).stat().st_mtime_ns for name in FILES}
    correct(source, out, judgements)
    assert {name for name in FILES if (out / name).stat().st_mtime_ns != times[name]} == set(CHANGED)


def test_the_journal_says_who_asked(tmp_path: Path) -> None:
    import hashlib

    source, out, judgements = judged(tmp_path, "folder")
    correct(source, out, judgements)
    digest = hashlib.sha256(judgements.read_bytes()).hexdigest()
    lines = journal(out)
    assert {name for name, line in lines.items() if line.get("corrected") == digest} == set(CHANGED)
    assert {name: line["fate"] for name, line in lines.items() if name in CHANGED} == {
        "a/2.jpg": "hidden",
        "a/3.jpg": "hidden",
        "b/4.jpg": "hidden",
        "b/6.webp": "copied",
    }
    for name, rows in CHANGED.items():
        assert np.array_equal(np.array(lines[name]["boxes"]).reshape(-1, 4), np.array(rows).reshape(-1, 4))
    (entry,) = (out / ".fastblur/journal").iterdir()
    head = json.loads(entry.read_text().splitlines()[0])
    assert head["corrected"] == [digest]
    assert (head["images"], head["with_regions"], head["regions"], head["copied"]) == (6, 4, 5, 2)
    assert audit(out, sample=0).content["account"]["corrected"] == 4


def test_the_counts_are_those_of_the_lines(tmp_path: Path) -> None:
    """Of a copy that lost its previews, too, which has boxes now, and then none again."""
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    (source / "a.jpg").write_bytes(with_other_preview()[0])
    run(source, out, boxes=write_boxes(tmp_path / "boxes.jsonl", {"a.jpg": []}), engine="threads")
    for number, boxes in enumerate([[(20, 20, 60, 60)], []]):
        judgements = write_judgements(tmp_path / f"{number}.jsonl", out, {"a.jpg": boxes})
        assert correct(source, out, judgements).exit_status == 0
        assert audit(out, source=source, sample=0).exit_status == 0


def test_judgements_after_judgements(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    correct(source, out, judgements)
    second = write_judgements(tmp_path / "second.jsonl", out, {name: BOXES[name] for name in CHANGED})
    assert correct(source, out, second).changed == 4
    assert outputs(out, "folder") == outputs(make_run(tmp_path / "again")[1], "folder")


def test_judgements_that_others_took_back_are_applied_again(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    first = write_judgements(tmp_path / "first.jsonl", out, {"a/2.jpg": CHANGED["a/2.jpg"]})
    second = write_judgements(tmp_path / "second.jsonl", out, {"a/2.jpg": []})
    assert correct(source, out, first).changed == 1
    after_first = outputs(out, "folder")
    assert correct(source, out, second).changed == 1
    assert outputs(out, "folder") != after_first
    assert correct(source, out, first).changed == 1
    assert outputs(out, "folder") == after_first
    assert correct(source, out, first).changed == 0
    assert audit(out, source=source, sample=0).exit_status == 0


def test_another_picture_under_a_name_of_the_source_is_refused(tmp_path: Path) -> None:
    """Its faces are not where boxes were drawn on the output's picture."""
    source, out, judgements = judged(tmp_path, "folder")
    before = outputs(out, "folder")
    for name, other in (("a/3.jpg", "a/2.jpg"), ("a/2.jpg", "b/4.jpg"), ("b/6.webp", "a/1.png")):
        picture = Image.open(source / other)
        kept = (source / name).read_bytes()
        picture.save(source / name, {"jpg": "JPEG", "webp": "WEBP"}[name.rpartition(".")[2]], lossless=True)
        with pytest.raises(UsageError, match=f"'{name}' of SRC is not the image that OUT has"):
            correct(source, out, judgements)
        (source / name).write_bytes(kept)
    assert outputs(out, "folder") == before
    assert correct(source, out, judgements).changed == len(CHANGED)


def exchange(path: Path, image: bytes) -> None:
    """Put another picture of as many bytes into a tar, which keeps its time."""
    told, data = path.stat(), path.read_bytes()
    other = bytearray(image)
    at = image.index(b"IHDR") + 4
    width, height = image[at : at + 4], image[at + 4 : at + 8]
    other[at : at + 8] = height + width
    other[at + 13 : at + 17] = zlib.crc32(other[at - 4 : at + 13]).to_bytes(4, "big")
    assert data.count(image) == 1
    path.write_bytes(data.replace(image, bytes(other)))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


def test_another_tar_of_the_same_size_and_time_is_refused(tmp_path: Path) -> None:
    """Of which an image that nobody judged shows a face that the run has not seen."""
    source, out, judgements = judged(tmp_path, "tar")
    path = source / "b.tar"
    told, data, before = path.stat(), path.read_bytes(), outputs(out, "tar")
    exchange(path, FILES["b/5.png"])
    with pytest.raises(RunStopped, match="of SRC is not the image that OUT has in its place"):
        correct(source, out, judgements, workers=1)
    assert outputs(out, "tar")["b.tar/5.png"] == before["b.tar/5.png"]
    assert outputs(out, "tar")["a.tar/2.jpg"] != before["a.tar/2.jpg"]
    (half,) = audit(out, sample=0).content["account"]["problems"]
    assert "began and did not end" in half["sentence"]
    path.write_bytes(data)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert correct(source, out, judgements).exit_status == 0
    assert outputs(out, "tar") == fresh(tmp_path, "tar", source)


def test_a_correction_that_was_refused_has_not_begun(tmp_path: Path) -> None:
    source, out = make_run(tmp_path, "tar")
    judgements = write_judgements(tmp_path / "j.jsonl", out, {"b.tar/4.jpg": [(20, 20, 60, 60)]})
    exchange(source / "b.tar", FILES["b/5.png"])
    with pytest.raises(RunStopped, match="of SRC is not the image"):
        correct(source, out, judgements)
    assert audit(out, sample=0).content["account"]["problems"] == []
    other = write_judgements(tmp_path / "other.jsonl", out, {"a.tar/3.jpg": [(20, 20, 60, 60)]})
    assert correct(source, out, other).exit_status == 0, "nothing has to come first"


def test_images_left_of_other_codecs(tmp_path: Path) -> None:
    """The audit must not hold them against those that are here."""
    for kind, by in (("folder", ""), ("tar", written_by())):
        (tmp_path / kind).mkdir()
        source, out, judgements = judged(tmp_path / kind, kind)
        for entry in (out / ".fastblur/journal").iterdir():
            entry.write_text(entry.read_text().replace(written_by(), "0123456789abcdef"))
        correct(source, out, judgements)
        assert {one.written_by for one in RunRecord(out).entries()} == {by}
        assert audit(out, source=source, sample=0).exit_status == 0


def test_a_tar_that_is_not_in_the_output_any_more(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "tar")
    (out / "a.tar").unlink()
    with pytest.raises(RunStopped, match=r"'a.tar' of OUT cannot be read"):
        correct(source, out, judgements, workers=1)


def test_an_output_of_another_machine_is_that_of_the_source(tmp_path: Path) -> None:
    """Its kernels may round otherwise."""
    source, out, judgements = judged(tmp_path, "folder")
    picture = decode((out / "b/6.webp").read_bytes())
    picture.pixels[60:90:7, 95:125] ^= 1
    (out / "b/6.webp").write_bytes(encode(picture, picture.pixels))
    assert correct(source, out, judgements).changed == len(CHANGED)


def test_one_correction_ends_before_another_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastblur.pipeline.storage.local import LocalSink

    source, out, judgements = judged(tmp_path, "folder")

    def stopping(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LocalSink, "flush", stopping)
        with pytest.raises(KeyboardInterrupt):
            correct(source, out, judgements)
    second = write_judgements(tmp_path / "second.jsonl", out, {"a/2.jpg": []})
    half = outputs(out, "folder")
    with pytest.raises(UsageError, match="began and did not end, expected that file first"):
        correct(source, out, second)
    assert outputs(out, "folder") == half
    correct(source, out, judgements)
    assert correct(source, out, second).changed == 1
    assert audit(out, source=source, sample=0).exit_status == 0


def test_a_run_goes_on_after_a_correction(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    correct(source, out, judgements)
    corrected = outputs(out, "folder")
    summary = run(source, out, boxes=tmp_path / "boxes.jsonl", engine="threads", workers=1)
    assert (summary.images, summary.resumed) == (6, 6)
    assert outputs(out, "folder") == corrected


def test_a_run_takes_judgements_as_boxes(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    correct(source, out, judgements)
    expected = outputs(out, "folder")
    run(source, tmp_path / "fresh", boxes=judgements, unlisted="copy", engine="threads")
    found = outputs(tmp_path / "fresh", "folder")
    assert {name: found[name] for name in CHANGED} == {name: expected[name] for name in CHANGED}


def line(**fields: Any) -> str:
    return json.dumps({"image": "a/1.png", "shard": "a/1.png", "coordinates": "stored", "boxes": [], **fields}) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (line(image="a/9.png"), "'a/9.png', which is not in its shard"),
        (line(shard="nowhere"), "the shard 'nowhere', which SRC does not have"),
        (line() + line(), "names 'a/1.png' twice"),
        (line(coordinates="upright"), "expected 'stored'"),
        (line(boxes=[[1, 2, 3]]), "expected four finite numbers"),
        (line(add=[[1, 2, 3, 4]]), "adds the box"),
        (line(verdict="maybe"), "has the verdict 'maybe'"),
        (line(image="../x.png"), "expected a relative path"),
        (line(boxes=[[500, 5, 520, 30]]), "lies outside the image of 160 x 120 pixels"),
        (line(boxes=[[500, 5, 520, 30]], width=160, height=120), "expected boxes within 160 x 120 pixels"),
        (line(boxes=[[5, 5, 20, 30]], width=161, height=120), "of an image of 161 x 120 pixels, expected 160 x 120"),
        ("[1]\n", 'expected {"image"'),
        ("{\n", "is not JSON"),
    ],
)
def test_judgements_that_do_not_fit(tmp_path: Path, content: str, message: str) -> None:
    source, out = make_run(tmp_path)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / "judgements.jsonl").write_text(content)
    with pytest.raises(UsageError, match=message.replace("{", r"\{")):
        correct(source, out, tmp_path / "judgements.jsonl")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_output_is_no_source_of_itself(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    (tmp_path / "link").symlink_to(out)
    (tmp_path / "judgements.jsonl").write_text(line())
    for source in (out, tmp_path / "link", out / "a"):
        with pytest.raises(UsageError, match="lies in OUT"):
            correct(source, out, tmp_path / "judgements.jsonl")


def test_another_source_is_refused(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    (source / "a/0.png").write_bytes(FILES["a/1.png"])
    with pytest.raises(UsageError, match=r"which SRC does not have|not in the journal as it is now"):
        correct(source, out, judgements)


def test_an_output_at_a_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    source, out, judgements = judged(tmp_path, "folder")
    url = f"memory://{tmp_path.name}-correct"
    run(source, url, boxes=tmp_path / "boxes.jsonl", engine="threads")
    assert correct(source, url, judgements).changed == 4
    correct(source, out, judgements)
    system, path = fsspec.core.url_to_fs(url)
    assert {name: system.cat_file(f"{path}/{name}") for name in FILES} == outputs(out, "folder")


def test_the_command(tmp_path: Path) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    command = [sys.executable, "-m", "fastblur", "correct", str(source), str(out), str(judgements)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "done again    4, whose boxes have changed, in 1 shards" in ended.stdout
    assert f"fastblur audit {out} REPORT --source {source} --seed 1" in ended.stdout
    assert outputs(out, "folder") == fresh(tmp_path, "folder", source)
