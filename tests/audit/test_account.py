"""The account of an audit: what the journal names is there, and nothing else."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fastblur.audit import audit
from fastblur.errors import FileError, UsageError
from fastblur.pipeline.execution.journal import record_text
from fastblur.pipeline.execution.journal_lines import MOST_REASON, to_text
from fastblur.pipeline.summary import COUNTS
from tests.audit.run_cases import FILES, make_run, write_boxes

WRONG = [{"threshold": "x"}, {"threshold": 7}, {"detector": 7}, {"members": "jpg"}, {"image_columns": [1]}]
Change = Callable[[Path], None]


def problems(out: Path) -> set[tuple[str, str]]:
    summary = audit(out, sample=0)
    found = summary.content["account"]["problems"]
    assert summary.exit_status == int(bool(found))
    return {(one["kind"], one["image"]) for one in found}


@pytest.mark.parametrize("kind", ["folder", "tar", "table"])
def test_a_whole_output_has_no_problem(tmp_path: Path, kind: str) -> None:
    _, out = make_run(tmp_path, kind)
    summary = audit(out, sample=0)
    account = summary.content["account"]
    assert account["problems"] == []
    assert (account["images"], account["hidden"], account["copied"], account["failed"]) == (6, 4, 2, 0)
    assert sum(shard["images"] for shard in account["shards"]) == 6
    assert summary.exit_status == 0
    assert "images        6: 4 hidden, 2 copied, 0 failed" in summary.text()


def test_a_missing_image_and_files_that_nobody_expects(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    (out / "a/2.jpg").unlink()
    (out / "b/new.jpg").write_bytes(b"x")
    (out / "b/linked.jpg").symlink_to(out / "b/4.jpg")
    assert problems(out) == {("missing", "a/2.jpg"), ("extra", "b/new.jpg"), ("extra", "b/linked.jpg")}


def test_an_image_that_failed_must_not_be_there(tmp_path: Path) -> None:
    source, _ = make_run(tmp_path)
    (source / "b/7.png").write_bytes(b"no image")
    from fastblur.pipeline import run

    run(source, tmp_path / "new", boxes=tmp_path / "boxes.jsonl", engine="threads", unlisted="copy")
    assert problems(tmp_path / "new") == set()
    shutil.copy(source / "b/7.png", tmp_path / "new/b/7.png")
    assert problems(tmp_path / "new") == {("extra", "b/7.png")}


def edit(out: Path, change: Callable[[list[str]], list[str]]) -> None:
    (entry,) = (out / ".fastblur/journal").iterdir()
    entry.write_text("".join(change(entry.read_text().splitlines(keepends=True))))


def long_reason(text: str) -> str:
    return to_text({**json.loads(text), "reason": "x" * (MOST_REASON + 1)})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:-9]], {("journal", "")}),
        (lambda lines: lines[:-1], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines, lines[-1]], {("journal", ""), ("twice", "b/6.webp")}),
        (lambda lines: [*lines[:-1], lines[-1].replace("hidden", "copied")], {("journal", "")}),
        (lambda lines: [*lines[:-1], "no JSON\n"], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], lines[-1].replace("hidden", "gone")], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], lines[-1].replace("[[90", "[[990")], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], lines[-1].replace("[[90", "[[1e99")], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], "[" * 5000 + "\n"], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], "{}\n"], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [lines[0].replace("shard", "drahs"), *lines[1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [lines[0].replace("a/1.png", "a/2.jpg"), *lines[1:]], {("journal", "")}),
        (lambda lines: [lines[0].replace("a/1.png", "../x"), *lines[1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [lines[0].replace('"images":6', '"images":7'), *lines[1:]], {("journal", "")}),
        (lambda lines: [lines[0].replace('"images":6', '"images":"6"'), *lines[1:]], {("journal", "")}),
        (lambda lines: [lines[0].replace('"skipped":0', '"skipped":1'), *lines[1:]], {("journal", "")}),
        (lambda lines: [*lines[:-1], lines[-1].replace("b/6", "../6")], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], {("journal", "")}),
        (lambda lines: [*lines[:-1], lines[-1].replace(",", ", ")], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], '{"fate":"x",' + lines[-1][1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], '{"more":7,' + lines[-1][1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [*lines[:-1], long_reason(lines[-1])], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: [lines[0].replace(",", ", "), *lines[1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (lambda lines: ['{"more":7,' + lines[0][1:], *lines[1:]], {("journal", ""), ("extra", "b/6.webp")}),
        (
            lambda lines: [lines[0].replace('"broken":""', f'"broken":"{"x" * 2000}"'), *lines[1:]],
            {("journal", ""), ("extra", "b/6.webp")},
        ),
    ],
)  # fmt: skip
def test_a_journal_that_was_cut_or_edited(
    tmp_path: Path, change: Callable[[list[str]], list[str]], expected: set[tuple[str, str]]
) -> None:
    _, out = make_run(tmp_path)
    edit(out, change)
    assert problems(out) >= expected
    assert {kind for kind, _ in problems(out)} >= {kind for kind, _ in expected}


@pytest.mark.parametrize("near", [[1, 2, 3, 4], [1, 2, 0, 4, 20], [1, 2, 3, 4, 200], ["a", 2, 3, 4, 20], 7, [None] * 5])
def test_near_misses_that_no_run_writes(tmp_path: Path, near: object) -> None:
    _, out = make_run(tmp_path)
    edit(out, lambda lines: [*lines[:-1], to_text({**json.loads(lines[-1]), "near": near})])
    assert ("journal", "") in problems(out)


def test_a_region_without_its_score(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    edit(out, lambda lines: [*lines[:-1], to_text({**json.loads(lines[-1]), "scores": []})])
    assert problems(out) == {("journal", ""), ("extra", "b/6.webp")}


def test_what_is_named_twice_and_why(tmp_path: Path) -> None:
    """By an edited journal in one shard; by a run that went on with other files in SRC in two."""
    from fastblur.pipeline import run

    source, out = make_run(tmp_path)
    edit(out, lambda lines: [*lines, lines[-1]])
    (twice,) = (one for one in audit(out, sample=0).content["account"]["problems"] if one["kind"] == "twice")
    assert "names 'b/6.webp' 2 times, expected once: it was edited" in twice["sentence"]
    shutil.rmtree(out)
    options = {"boxes": tmp_path / "boxes.jsonl", "engine": "threads", "unlisted": "copy"}
    run(source, out, **options)
    shutil.copy(source / "a/1.png", source / "a/0.png")
    run(source, out, **options)
    found = [one for one in audit(out, sample=0).content["account"]["problems"] if one["kind"] == "twice"]
    assert [one["image"] for one in found] == sorted(FILES)
    assert all("in 2 shards" in one["sentence"] for one in found)
    assert all("SRC had other files when the run was continued" in one["sentence"] for one in found)


def test_a_tar_that_had_changed_when_the_run_was_continued(tmp_path: Path) -> None:
    from fastblur.pipeline import run

    source, out = make_run(tmp_path, "tar")
    os.utime(source / "a.tar", ns=(1, 1))
    run(source, out, boxes=tmp_path / "boxes.jsonl", engine="threads")
    (found,) = audit(out, sample=0).content["account"]["problems"]
    assert (found["kind"], found["shard"]) == ("twice", "a.tar")
    assert "the file had changed in SRC when the run was continued" in found["sentence"]


def test_a_correction_that_was_killed_is_named(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    (out / ".fastblur/correcting").mkdir()
    (out / ".fastblur/correcting" / ("1f" * 32)).touch()
    (found,) = audit(out, sample=0).content["account"]["problems"]
    assert (
        found["sentence"]
        == f"fastblur correct with the file whose sha256 is {'1f' * 32} began and did not end: give it again"
    )


def test_a_journal_without_its_only_entry(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    shutil.rmtree(out / ".fastblur/journal")
    (out / ".fastblur/journal").mkdir()
    assert {kind for kind, _ in problems(out)} == {"extra", "journal"}
    shutil.rmtree(out / ".fastblur/journal")
    assert {kind for kind, _ in problems(out)} == {"extra", "journal"}
    for name in ("a", "b"):
        shutil.rmtree(out / name)
    assert problems(out) == {("journal", "")}, "no image, and nothing said of one, is no success"


def test_a_tar_without_a_member_and_with_another(tmp_path: Path) -> None:
    _, out = make_run(tmp_path, "tar")
    with tarfile.open(out / "a.tar") as old:
        members = [(one, old.extractfile(one)) for one in old]
        with tarfile.open(out / "new.tar", "w") as new:
            for member, file in members:
                if member.name == "2.jpg":
                    member.name = "9.jpg"
                new.addfile(member, file)
    (out / "new.tar").rename(out / "a.tar")
    assert problems(out) == {("missing", "a.tar/2.jpg"), ("extra", "a.tar/9.jpg")}


def test_a_tar_that_is_cut_short_or_missing(tmp_path: Path) -> None:
    _, out = make_run(tmp_path, "tar")
    data = (out / "a.tar").read_bytes()
    (out / "a.tar").write_bytes(data[: len(data) // 3])
    (out / "b.tar").unlink()
    assert {kind for kind, _ in problems(out)} == {"changed", "missing"}


def test_a_table_with_fewer_rows(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    _, out = make_run(tmp_path, "table")
    pq.write_table(pq.read_table(out / "t.parquet").slice(0, 4), out / "t.parquet")
    assert problems(out) == {("missing", "")}


def test_pipes_and_links_in_the_output(tmp_path: Path) -> None:
    """Nothing waits for a pipe, and no link stands for an image."""
    for kind in ("folder", "tar"):
        (tmp_path / kind).mkdir()
        make_run(tmp_path / kind, kind)
    source, out = tmp_path / "folder/src", tmp_path / "folder/out"
    for name in ("a/1.png", "a/2.jpg"):
        (out / name).unlink()
    os.mkfifo(out / "a/1.png")
    (out / "a/2.jpg").symlink_to(out / "a/3.jpg")
    assert {("extra", "a/1.png"), ("extra", "a/2.jpg")} <= problems(out)
    summary = audit(out, tmp_path / "report", source=source, sample=10)
    assert {one["image"] for one in summary.content["images"]} == set(FILES) - {"a/1.png"}
    named = [one["sentence"] for one in summary.content["account"]["problems"]]
    assert "'a/1.png' cannot be read: it is not a regular file" in named
    tars = tmp_path / "tar/out"
    (tars / "a.tar").unlink()
    os.mkfifo(tars / "a.tar")
    assert {("extra", "a.tar"), ("changed", "")} <= problems(tars)
    (entry,) = (out / ".fastblur/journal").iterdir()
    entry.unlink()
    os.mkfifo(entry)
    assert ("journal", "") in problems(out)
    (out / ".fastblur/run.json").unlink()
    os.mkfifo(out / ".fastblur/run.json")
    with pytest.raises(FileError, match="cannot be read: it is not a regular file"):
        audit(out, sample=0)


def test_numbers_that_make_no_sense(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    for wrong in (
        {"seed": 1 << 63},
        {"seed": 0.5},
        {"sample": -1},
        {"gallery": 1.5},
        {"megabytes": 0},
        {"megabytes": float("nan")},
    ):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} is"):
            audit(out, **{"sample": 0, **wrong})


def test_an_output_at_a_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    from fastblur.pipeline import run

    source, _ = make_run(tmp_path)
    url = f"memory://{tmp_path.name}-audit"
    run(source, url, boxes=tmp_path / "boxes.jsonl", engine="threads")
    assert audit(url, source=source, sample=0).exit_status == 0
    system, path = fsspec.core.url_to_fs(url)
    system.rm_file(f"{path}/a/2.jpg")
    found = audit(url, source=source, sample=0).content["account"]["problems"]
    assert [(one["kind"], one["image"]) for one in found] == [("missing", "a/2.jpg")]


def test_what_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        audit(tmp_path, sample=0)
    with pytest.raises(UsageError, match=r"OUT '.*nowhere' does not exist"):
        audit(tmp_path / "nowhere", sample=0)
    (tmp_path / ".fastblur").mkdir()
    right = {"source": "a", "method": "blur"}
    for text in (
        "[1]",
        *(record_text(parameters, {}) for parameters in ({"source": "a"}, *({**right, **wrong} for wrong in WRONG))),
        json.dumps({"parameters": right, "versions": {}}),
        record_text(right, {}).replace('"versions"', '"more": "and more",\n "versions"'),
    ):
        (tmp_path / ".fastblur/run.json").write_text(text)
        with pytest.raises(UsageError, match="not a run's record"):
            audit(tmp_path, sample=0)
    (tmp_path / ".fastblur/run.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match="not a run's record"):
        audit(tmp_path, sample=0)


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "images"])
def test_counts_that_are_not_those_of_the_lines(tmp_path: Path, name: str) -> None:
    out = make_run(tmp_path)[1]

    def change(lines: list[str]) -> list[str]:
        head = json.loads(lines[0])
        head[name] += 1
        return [to_text(head), *lines[1:]]

    edit(out, change)
    assert problems(out) == {("journal", "")}


@pytest.mark.parametrize("name", ["x.jpg", "tmp/x.jpg", "journal/x.jpg", "journal/x.jsonl/a.jpg", "more/x.jpg"])
def test_what_no_run_keeps_in_its_record_is_found(tmp_path: Path, name: str) -> None:
    """The output is published with it."""
    source, out = make_run(tmp_path)
    place = out / ".fastblur" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "a/1.png", place)
    assert {kind for kind, _ in problems(out)} == {"extra"}


def test_marks_of_the_record_with_content(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    lock, mark = out / ".fastblur/lock", out / ".fastblur/correcting" / ("1f" * 32)
    lock.write_bytes((source / "a/1.png").read_bytes())
    assert problems(out) == {("extra", ".fastblur/lock")}
    lock.write_bytes(b"")
    mark.parent.mkdir(exist_ok=True)
    mark.write_bytes((source / "a/1.png").read_bytes())
    assert problems(out) == {("journal", ""), ("extra", f".fastblur/correcting/{mark.name}")}
    mark.rename(mark.with_name("a.png"))
    assert problems(out) == {("extra", ".fastblur/correcting/a.png")}
    lock.unlink()
    os.mkfifo(lock)
    assert ("extra", ".fastblur/lock") in problems(out)


def test_a_run_that_found_no_image(tmp_path: Path) -> None:
    from fastblur.pipeline import run

    (tmp_path / "src").mkdir()
    run(tmp_path / "src", tmp_path / "out", engine="threads", boxes=write_boxes(tmp_path / "b.jsonl", {"a.jpg": []}))
    found = audit(tmp_path / "out", source=tmp_path / "src", sample=0).content["account"]["problems"]
    assert {one["kind"] for one in found} == {"journal"}
    assert not any("''" in one["sentence"] for one in found)


def test_the_list_of_failures(tmp_path: Path) -> None:
    from fastblur.pipeline import run

    source, _ = make_run(tmp_path)
    (source / "b/7.png").write_bytes(b"no image")
    out = tmp_path / "new"
    run(source, out, boxes=tmp_path / "boxes.jsonl", engine="threads", unlisted="copy")
    failures = out / ".fastblur/failures.jsonl"
    right = failures.read_text()
    assert len(right.splitlines()) == 1
    failures.unlink()
    assert problems(out) == set(), "it is for people, who may remove it"
    for wrong in (right + "a face\n", right.replace("b/7.png", "b/8.png"), right.replace("}", ', "x": 1}'), right[:-1]):
        failures.write_text(wrong)
        assert problems(out) == {("journal", "")}
    failures.unlink()
    os.mkfifo(failures)
    assert ("journal", "") in problems(out)


@pytest.mark.parametrize("fate", ["unsearched", "skipped"])
def test_a_fate_that_the_run_gives_to_no_image(tmp_path: Path, fate: str) -> None:
    """A hidden image that the journal calls copied without a search, all counts made to fit."""
    source, out = make_run(tmp_path)

    def change(lines: list[str]) -> list[str]:
        head, line = json.loads(lines[0]), json.loads(lines[1])
        for name, one in (("images", 1), ("with_regions", 1), ("regions", len(line["boxes"])), (fate, -1)):
            head[name] -= one
        return [to_text(head), to_text({"path": line["path"], "fate": fate}), *lines[2:]]

    edit(out, change)
    if fate == "skipped":
        (out / "a/1.png").unlink()
    assert problems(out) == {("journal", "a/1.png")}
    record = out / ".fastblur/run.json"
    others = {"unsearched": "copy", "skipped": "skip"}[fate]
    record.write_text(record.read_text().replace('"others": "fail"', f'"others": "{others}"'))
    assert problems(out) == set(), "the run's own record says that it is so"
    if fate == "unsearched":
        found = audit(out, source=source, sample=0).content["account"]["problems"]
        assert [(one["kind"], one["image"]) for one in found] == [("journal", "a/1.png")], "but the source does not"


def test_a_correction_that_its_shard_does_not_name(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    edit(out, lambda lines: [*lines[:-1], to_text({**json.loads(lines[-1]), "corrected": "0" * 64})])
    assert problems(out) == {("journal", "b/6.webp")}
