"""Tars and tables against their source: nothing beside the images may be other than the run leaves it."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastblur.audit import audit
from fastblur.pipeline import run
from tests.audit.run_cases import BOXES, FILES, journal_names, make_run, write_boxes

Members = list[tuple[tarfile.TarInfo, bytes]]
FACE = FILES["a/2.jpg"]
TEXT = FACE.hex().encode()  # which is not taken for an image


def problems(out: Path, source: Path) -> set[tuple[str, str, str]]:
    found = audit(out, source=source, sample=0).content["account"]["problems"]
    return {(one["kind"], one["image"], one["shard"]) for one in found}


def change_tar(path: Path, change: Callable[[Members], Members]) -> None:
    with tarfile.open(path) as tar:
        members = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in change(members):
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def with_text(members: Members) -> Members:
    return [(info, TEXT if info.name == "2.cls" else data) for info, data in members]


def with_member(members: Members) -> Members:
    return [*members, (tarfile.TarInfo("original.txt"), TEXT)]


def with_comment(members: Members) -> Members:
    members[0][0].pax_headers = {"comment": FACE.hex()}
    return members


def without_text(members: Members) -> Members:
    return [(info, data) for info, data in members if info.name != "2.cls"]


@pytest.mark.parametrize("change", [with_text, with_member, with_comment, without_text])
def test_what_is_beside_the_images_of_a_tar(tmp_path: Path, change: Callable[[Members], Members]) -> None:
    source, out = make_run(tmp_path, "tar")
    change_tar(out / "a.tar", list)
    assert problems(out, source) == set(), "written again as it was"
    change_tar(out / "a.tar", change)
    assert problems(out, source) == {("changed", "", "a.tar")}


def test_bytes_behind_a_tar(tmp_path: Path) -> None:
    source, out = make_run(tmp_path, "tar")
    with open(out / "b.tar", "ab") as file:
        file.write(FACE)
    assert problems(out, source) == {("changed", "", "b.tar")}


def compressed(folder: Path) -> tuple[Path, Path]:
    """Make a run over compressed tars; return source and output."""
    source, _ = make_run(folder, "tar")
    for path in list(source.iterdir()):
        path.with_suffix(".tar.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    names = {f"{name[0]}.tar.gz/{name[2:]}": boxes for name, boxes in BOXES.items()}
    run(source, folder / "gz", boxes=write_boxes(folder / "gz.jsonl", names), engine="threads", workers=1)
    return source, folder / "gz"


def test_a_compressed_tar_may_be_compressed_otherwise(tmp_path: Path) -> None:
    source, out = compressed(tmp_path)
    assert problems(out, source) == set()
    (out / "a.tar.gz").write_bytes(gzip.compress(gzip.decompress((out / "a.tar.gz").read_bytes()), 1))
    assert problems(out, source) == set()
    (out / "a.tar.gz").write_bytes(gzip.compress(gzip.decompress((out / "a.tar.gz").read_bytes()) + FACE))
    assert problems(out, source) == {("changed", "", "a.tar.gz")}


def gzip_comment(data: bytes) -> bytes:
    return data[:3] + b"\x10" + data[4:10] + FACE.hex().encode() + b"\0" + data[10:]


@pytest.mark.parametrize(
    "change",
    [
        gzip_comment,
        lambda data: data + gzip.compress(b""),
        lambda data: data + FACE,
        lambda data: data[:-4],
        lambda data: data[:300] + b"\0\0\0" + data[303:],
    ],
    ids=["comment", "member", "behind", "cut", "damaged"],
)
def test_a_compressed_tar_has_one_plain_member(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    source, out = compressed(tmp_path)
    (out / "a.tar.gz").write_bytes(change((out / "a.tar.gz").read_bytes()))
    assert ("changed", "", "a.tar.gz") in problems(out, source)


def with_column(table: Any) -> Any:
    return table.append_column("text", pa.array([FACE.hex()] * len(table)))


def with_metadata(table: Any) -> Any:
    return table.replace_schema_metadata({"original": FACE.hex()})


def with_other_labels(table: Any) -> Any:
    return table.set_column(1, "label", pa.array(range(7, 7 + len(table))))


@pytest.mark.parametrize("change", [with_column, with_metadata, with_other_labels])
def test_what_is_beside_the_images_of_a_table(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    source, out = make_run(tmp_path, "table")
    table = pq.read_table(out / "t.parquet")
    pq.write_table(change(table), out / "t.parquet")
    assert problems(out, source) == {("changed", "", "t.parquet")}


def test_a_table_written_by_another_version(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    images = pa.array(list(FILES.values()), pa.binary())
    scores = [float("nan"), 0.5, None, float("inf"), 1.0, 2.0]
    pq.write_table(pa.table({"image": images, "score": scores}), source / "t.parquet")
    boxes = {f"t.parquet/{row}": BOXES[name] for row, name in enumerate(FILES)}
    out = tmp_path / "out"
    run(source, out, boxes=write_boxes(tmp_path / "b.jsonl", boxes), engine="threads", workers=1)
    table = pq.read_table(out / "t.parquet")
    pq.write_table(table, out / "t.parquet", compression="gzip")
    assert problems(out, source) == {("changed", "", "t.parquet")}, "the same version writes the same bytes"
    made = f"parquet-cpp-arrow version {pa.__version__}".encode()
    data = (out / "t.parquet").read_bytes()
    assert data.count(made) == 1
    (out / "t.parquet").write_bytes(data.replace(made, made[:-2] + b".x"))
    assert problems(out, source) == set()


def test_an_arrow_file(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    rows = pa.table({"image": pa.array(list(FILES.values()), pa.binary()), "label": list(range(len(FILES)))})

    def write(path: Path, table: Any) -> None:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)

    write(source / "t.arrow", rows)
    boxes = {f"t.arrow/{row}": BOXES[name] for row, name in enumerate(FILES)}
    run(source, out, boxes=write_boxes(tmp_path / "b.jsonl", boxes), engine="threads", workers=1)
    assert problems(out, source) == set()
    with pa.ipc.open_file(out / "t.arrow") as reader:
        table = reader.read_all()
    write(out / "t.arrow", with_column(table))
    assert problems(out, source) == {("changed", "", "t.arrow")}


def test_paths_of_a_table_that_are_exchanged(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = [{"bytes": data, "path": name} for name, data in FILES.items()]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), source / "t.parquet")
    run(source, out, boxes=write_boxes(tmp_path / "b.jsonl", BOXES), engine="threads", workers=1)
    assert problems(out, source) == set()
    rows = pq.read_table(out / "t.parquet")["image"].to_pylist()
    paths = [row["path"] for row in rows][::-1]
    rows = [{**row, "path": path} for row, path in zip(rows, paths, strict=True)]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), out / "t.parquet")
    assert problems(out, source) == {("changed", "", "t.parquet")}


@pytest.mark.parametrize("kind", ["tar", "table"])
def test_a_shard_of_which_images_failed(tmp_path: Path, kind: str) -> None:
    """What is left out with them is not missed."""
    source, _ = make_run(tmp_path, kind)
    names = journal_names(kind)
    boxes = {names[name]: rows for name, rows in BOXES.items() if name != "a/3.jpg"}
    shutil.rmtree(tmp_path / "out")
    summary = run(source, tmp_path / "out", boxes=write_boxes(tmp_path / "f.jsonl", boxes), engine="threads", workers=1)
    assert summary.failed == 1
    assert problems(tmp_path / "out", source) == set()
