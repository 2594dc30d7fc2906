"""Faults, each on a run over a whole tree: afterwards nothing is lost, left unblurred or written in two ways.

After each fault the same command is given again, and the output must be, byte for byte, that of an undisturbed run,
journal included. By default the kill loops are short; FASTBLUR_FAULT_RUNS=20 gives all of them.
"""

import errno
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.pipeline import run
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.summary import Summary, Tally
from tests.pipeline.helpers import decoded, detail, encoded
from tests.signals import default_signals

RUNS = int(os.environ.get("FASTBLUR_FAULT_RUNS", "5"))
COMMAND = [sys.executable, "-c", "from fastblur.cli import main; main()"]
BOX = (20, 15, 100, 95)
LIMIT = 300  # seconds that no step takes, however busy the machine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals and processes as on POSIX")]


@dataclass(frozen=True)
class Tree:
    """A source, the boxes of its images, and what an undisturbed run makes of it."""

    src: Path
    boxes: Path
    bad: frozenset[str]
    hidden: frozenset[str]
    expected: dict[str, Any]

    def command(self, out: Path, *more: str) -> list[str]:
        return [*COMMAND, "run", str(self.src), str(out), "--boxes", str(self.boxes), *more]

    def run(self, out: Path, **options: Any) -> Summary:
        return run(self.src, out, boxes=self.boxes, **options)

    def goes_on(self, out: Path) -> None:
        """Check that the same run again comes to its end, with the result of an undisturbed one."""
        assert self.run(out, engine="threads").exit_status == self.status
        same(content(out), self.expected)
        assert list((out / ".fastblur").glob("tmp/*")) == []

    @property
    def status(self) -> int:
        """The exit status of a run that has come to its end."""
        return 1 if self.bad else 0


def content(out: Path) -> dict[str, Any]:
    """All of an output: the images and tars, the journal's entries, and the failures."""
    found: dict[str, Any] = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    for name in (".fastblur/lock", ".fastblur/run.json"):
        found.pop(name, None)
    listed = found.pop(".fastblur/failures.jsonl", None)
    failed = sorted(listed.read_text("ascii").splitlines()) if listed else []
    return {name: path.read_bytes() for name, path in found.items()} | {"failures": failed}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Check that two outputs are the same, with a message that can be read."""
    assert sorted(one) == sorted(other)
    assert one["failures"] == other["failures"]
    assert [name for name in one if one[name] != other[name]] == []


def part_of(one: dict[str, Any], whole: dict[str, Any]) -> None:
    """Check that nothing in an unfinished output is other than in the whole one; what is half done is no file yet."""
    names = {name for name in one if not name.startswith((".fastblur/tmp/", "failures"))}
    assert names <= whole.keys()
    assert [name for name in names if one[name] != whole[name]] == []


def variants(pixels: np.ndarray) -> list[bytes]:
    """Twelve small JPEGs, all parts of one photograph."""
    photograph = Image.fromarray(pixels)
    parts = [
        photograph.crop((x, y, x + 320, y + 240)).resize((160, 120)) for x in (0, 60, 120, 180) for y in (0, 90, 180)
    ]
    return [encoded(part, "JPEG", quality=80 + place, progressive=place % 5 == 0) for place, part in enumerate(parts)]


def plant(
    root: Path,
    pixels: np.ndarray,
    count: int,
    tars: int = 0,
    corrupt: bool = True,
    undisturbed: bool = True,
    more: bytes = b"",
) -> Tree:
    """Make a tree of `count` images, or tars of them; every third has no box, every twentieth is no whole image.

    `more` is added to every image's file, after its end.
    """
    jpegs = variants(pixels)
    entries, bad, hidden = [], set(), set()
    members: list[list[tuple[str, bytes]]] = [[] for _ in range(tars)]
    for number in range(count):
        data = jpegs[number % len(jpegs)] + more
        name = f"{number % 7}/{number:05}.jpg"
        boxes = [] if number % 3 == 0 else [(BOX[0] + number % 30, BOX[1], BOX[2] + number % 30, BOX[3])]
        if corrupt and number % 20 == 7:
            data = [data[: len(data) // 2], b"", b"no image", data[:20]][number // 20 % 4]
            boxes = [BOX]
            bad.add(name)
        elif boxes:
            hidden.add(name)
        entries.append(
            {"url": name, "bboxes": [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) for box in boxes]}
        )
        if tars:
            members[number * tars // count] += [(name, data), (name.replace(".jpg", ".cls"), b"%d" % (number % 7))]
        else:
            (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "src" / name).write_bytes(data)
    for number, inside in enumerate(members):
        (root / "src").mkdir(parents=True, exist_ok=True)
        with tarfile.open(root / "src" / f"{number:04}.tar", "w") as file:
            for name, data in inside:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    (root / "boxes.json").write_text(json.dumps(entries))
    tree = Tree(root / "src", root / "boxes.json", frozenset(bad), frozenset(hidden), {})
    if undisturbed:
        summary = tree.run(root / "undisturbed", engine="threads")
        assert (summary.images, summary.failed, summary.with_regions) == (count, len(bad), len(hidden))
        tree.expected.update(content(root / "undisturbed"))
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, face_pixels: np.ndarray) -> Tree:
    """2,000 images, 5 % of them corrupt."""
    return plant(tmp_path_factory.mktemp("tree"), face_pixels, 2000)


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory, face_pixels: np.ndarray) -> Tree:
    """The same images in tars."""
    return plant(tmp_path_factory.mktemp("tars"), face_pixels, 2000, tars=8)


@pytest.fixture(params=["tree", "tars"])
def large(request: pytest.FixtureRequest) -> Tree:
    """The images in folders, and in tars."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["folder", "tars"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, face_pixels: np.ndarray) -> Tree:
    """Fewer images in folders, and in tars."""
    return plant(tmp_path_factory.mktemp("few"), face_pixels, 700, tars=3 if request.param == "tars" else 0)


@contextmanager
def started(command: Sequence[str | bytes]) -> Iterator["subprocess.Popen[str]"]:
    """A process in a group of its own, of which nothing is left at the end."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, encoding="utf-8",
        preexec_fn=default_signals,
        errors="surrogateescape", env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """The status, output and errors of a process, without the lines of progress that a slow machine sees."""
    text, errors = process.communicate(timeout=LIMIT)
    assert "Traceback" not in errors, errors
    return process.returncode, text, re.sub(r"(?m)^\d+ of [\d?]+ images, .*\n", "", errors)


def finished(command: Sequence[str | bytes]) -> tuple[int, str, str]:
    """Run a command to its end; return its status, output and errors."""
    with started(command) as process:
        return ended(process)


def wait(process: "subprocess.Popen[str]", ready: Callable[[], bool]) -> None:
    """Wait until something has happened, or the process has ended."""
    limit = time.monotonic() + LIMIT
    while process.poll() is None and not ready() and time.monotonic() < limit:
        time.sleep(0.001)


def written(out: Path) -> int:
    """How many images or tars there are."""
    return sum(len(os.listdir(folder)) for folder in out.glob("[0-9]")) + len(list(out.glob("*.tar")))


def test_the_undisturbed_run_hides_what_it_should(large: Tree) -> None:
    """What all others are compared with."""
    images = {name: data for name, data in large.expected.items() if name.endswith(".jpg")}
    given = {path.relative_to(large.src).as_posix(): path.read_bytes() for path in large.src.rglob("*.jpg")}
    for name, data in large.expected.items():
        if name.endswith(".tar"):
            images |= unpacked(data)
            given |= unpacked((large.src / name).read_bytes())
    assert images.keys() == given.keys() - large.bad
    assert len(images) == 1900
    for number, (name, data) in enumerate(images.items()):
        assert (data != given[name]) == (name in large.hidden)
        if name in large.hidden and number % 40 == 0:
            offset = int(name[2:7]) % 30
            box = (BOX[0] + offset, BOX[1], BOX[2] + offset, BOX[3])
            assert detail(decoded(data), box) < 0.6 * detail(decoded(given[name]), box)


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        return {name: file.extractfile(name).read() for name in file.getnames() if name.endswith(".jpg")}


def test_killed_at_random_times(large: Tree, tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("FASTBLUR_FAULT_SEED", "0")))
    out = tmp_path / "out"
    whole = written(large.src)
    killed = 0
    for number in range(RUNS):
        # Processes and threads by turns: the journal of one must do for the other.
        engine = ("processes", "threads")[number % 2]
        target = chance.randrange(whole)
        with started(large.command(out, "--engine", engine, "--workers", "2")) as process:
            if number % 5 == 4:
                time.sleep(chance.random())  # at any time, be it before the first image
            else:
                wait(process, lambda target=target: out.is_dir() and written(out) > target)
                time.sleep(chance.random() / 20)
            killed += process.poll() is None
            if chance.random() < 0.5:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # all at once, as when the machine goes down
            else:
                process.kill()  # its worker processes find that out for themselves
                process.wait()
                if out.is_dir():
                    part_of(content(out), large.expected)
        if out.is_dir():
            part_of(content(out), large.expected)
    assert killed >= RUNS // 3, "the test shows nothing if the runs were over before they were killed"
    large.goes_on(out)


@pytest.mark.parametrize(
    ("number", "status", "to"),
    [(signal.SIGINT, 130, "group"), (signal.SIGTERM, 143, "group"), (signal.SIGTERM, 143, "")],
)
def test_a_signal_finishes_the_images_that_were_begun(
    tree: Tree, tmp_path: Path, number: signal.Signals, status: int, to: str
) -> None:
    out = tmp_path / "out"
    with started(tree.command(out, "--engine", "processes", "--workers", "1")) as process:
        wait(process, lambda: out.is_dir() and written(out) > 300)
        if to == "group":
            os.killpg(process.pid, number)  # as a terminal and a batch system do
        else:
            process.send_signal(number)
        got, text, errors = ended(process)
    assert got == status, errors
    assert "interrupted   before all images were done; the same command goes on from here" in text
    assert 0 < written(out) < 1900
    part_of(content(out), tree.expected)
    assert list((out / ".fastblur").glob("tmp/*")) == []
    tree.goes_on(out)


def test_a_worker_process_that_is_killed(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(tree.command(out, "--engine", "processes", "--workers", "2")) as process:
        wait(process, lambda: out.is_dir() and written(out) > 100)
        helpers = [pid for pid in below(process.pid) if pid not in below(process.pid, 1)]
        assert len(helpers) == 2
        os.kill(helpers[0], signal.SIGKILL)
        status, _, errors = ended(process)
    assert status == 1
    assert "a worker process was lost" in errors
    assert "the same command goes on from here" in errors
    assert errors.count("fastblur: ") == 1
    part_of(content(out), tree.expected)
    tree.goes_on(out)


def below(process: int, depth: int = 9) -> list[int]:
    """The processes that a process has started, and those that they have, down to a depth."""
    if not Path("/proc/self/status").exists():
        pytest.skip("there is no /proc to find the processes in")
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError):
            stat = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found = parents.get(process, [])
    return found + [other for child in found if depth > 1 for other in below(child, depth - 1)]


def test_processes_end_when_the_run_is_killed(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(tree.command(out, "--engine", "processes", "--workers", "2")) as process:
        wait(process, lambda: out.is_dir() and written(out) > 100)
        helpers = below(process.pid)
        assert len(helpers) >= 3
        process.kill()
        process.wait()
        limit = time.monotonic() + LIMIT
        while any(map(alive, helpers)) and time.monotonic() < limit:
            time.sleep(0.02)
        assert [pid for pid in helpers if alive(pid)] == []


def test_processes_of_a_killed_run_write_nothing_more(tmp_path: Path, face_pixels: np.ndarray) -> None:
    # The next run may have other parameters; what an old process had begun must not replace its images.
    (tmp_path / "src" / "0").mkdir(parents=True)
    large = encoded(Image.fromarray(face_pixels).resize((1800, 1800)), "JPEG", quality=90)
    names = [f"0/{number}.jpg" for number in range(64)]
    for name in names:
        (tmp_path / "src" / name).write_bytes(large)
    box = {"x0": 600, "y0": 200, "x1": 1000, "y1": 700}
    (tmp_path / "boxes.json").write_text(json.dumps([{"url": name, "bboxes": [box]} for name in names]))
    command = [*COMMAND, "run", str(tmp_path / "src"), str(tmp_path / "out"), "--boxes", str(tmp_path / "boxes.json")]
    with started([*command, "--engine", "processes", "--workers", "1"]) as process:
        wait(process, lambda: (tmp_path / "out").is_dir() and written(tmp_path / "out") >= 8)
        time.sleep(0.1)
        helpers = below(process.pid)
        process.kill()
        process.wait()
        before = written(tmp_path / "out")
        assert before < 64 - 24
        limit = time.monotonic() + LIMIT
        while any(map(alive, helpers)) and time.monotonic() < limit:
            time.sleep(0.01)
        assert written(tmp_path / "out") - before <= 8, "no batch but the one that was being written came to its end"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 64 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small tmpfs cannot be mounted here; root may")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("engine", ["processes", "threads"])
def test_a_full_disk(source: Tree, disk: Path, engine: str) -> None:
    out = disk / "out"
    room = sum(len(data) for name, data in source.expected.items() if name != "failures") // 2
    with open(disk / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - room)
    with pytest.raises(
        RunStopped, match=r"DST cannot be written: No space left on device; .* the same command goes on"
    ):
        source.run(out, engine=engine, workers=2)
    assert written(out) > 0
    part_of(content(out), source.expected)
    assert list((out / ".fastblur").glob("tmp/*")) == []
    with pytest.raises((RunStopped, OSError), match="No space left on device"):
        source.run(out, engine="threads")  # it is still full
    part_of(content(out), source.expected)
    if engine == "processes":
        status, text, errors = finished(source.command(out))
        assert (status, text) in ((1, ""), (2, ""))
        assert errors.startswith("fastblur: ")
        assert "No space left on device" in errors
        assert errors.count("\n") == 1
    (disk / "ballast").unlink()
    source.goes_on(out)


def test_a_disk_that_is_read_only_when_the_run_goes_on(source: Tree, disk: Path) -> None:
    out = disk / "out"

    def press(tally: Tally, total: int | None) -> None:
        if tally.images:
            raise KeyboardInterrupt

    assert source.run(out, engine="threads", workers=1, progress=press).interrupted
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError, match="cannot be written: Read-only file system"):
        source.run(out)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    source.goes_on(out)


def test_permission_that_is_lost(source: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, so the refusal is the test's own.
    out = tmp_path / "out"
    real = os.open
    calls = 0

    def closed(path: Any, flags: int, *rest: int, **options: int) -> int:
        nonlocal calls
        if flags & os.O_CREAT and str(out) in os.fspath(path):
            calls += 1
            if calls > 5:
                raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", closed)
        with pytest.raises(RunStopped, match=r"DST cannot be written: Permission denied; .* the same command goes on"):
            source.run(out, engine="threads")
    part_of(content(out), source.expected)
    source.goes_on(out)


@pytest.mark.parametrize("engine", ["processes", "threads"])
@pytest.mark.parametrize("comes_back", [False, True])
def test_an_output_folder_that_is_removed_during_the_run(
    source: Tree, tmp_path: Path, engine: str, comes_back: bool
) -> None:
    out, away = tmp_path / "out", tmp_path / "away"

    def remove(tally: Tally, total: int | None) -> None:
        if tally.images and out.exists() and not away.exists():
            out.rename(away)

    with pytest.raises(RunStopped, match=r"DST cannot be written: No such file or directory; .* the same command"):
        source.run(out, engine=engine, workers=1, progress=remove)
    assert away.exists()
    assert not out.exists(), "a folder that was removed is not made again in the middle of a run"
    if comes_back:
        away.rename(out)
        part_of(content(out), source.expected)
    source.goes_on(out)


def test_source_files_that_vanish_or_change_during_the_run(
    tmp_path: Path, face_pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = plant(tmp_path / "small", face_pixels, 300, corrupt=False)
    names = sorted(path.relative_to(small.src).as_posix() for path in small.src.rglob("*.jpg"))
    gone, cut, other = names[3], names[5], names[10]
    real = Source.shards

    def shards(self: Source) -> Iterator[Any]:
        for number, shard in enumerate(real(self)):
            if number == 0:  # it has been listed
                (small.src / gone).unlink()
                (small.src / cut).write_bytes((small.src / cut).read_bytes()[:300])
                (small.src / other).write_bytes((small.src / names[11]).read_bytes())
            yield shard

    monkeypatch.setattr(Source, "shards", shards)
    summary = small.run(tmp_path / "out")
    now = content(tmp_path / "out")
    failed = {entry["path"]: entry["reason"] for entry in map(json.loads, now["failures"])}
    assert (summary.images, summary.failed) == (300, 2)
    assert failed[gone] == "read: No such file or directory"
    assert failed[cut].startswith("decode: ")
    changed = {name for name in now if not name.startswith(".fastblur") and now[name] != small.expected[name]}
    assert changed == {other, "failures"}
    assert now[other] != (small.src / other).read_bytes(), "the new image is hidden too"
    assert {name for name in small.expected if name.endswith(".jpg")} - now.keys() == {gone, cut}


def test_a_source_that_vanishes_as_a_whole(tree: Tree, tmp_path: Path) -> None:
    src = tmp_path / "src"
    shutil.copytree(tree.src, src)

    def remove(tally: Tally, total: int | None) -> None:
        if tally.images and src.exists():
            src.rename(tmp_path / "away")

    summary = run(src, tmp_path / "out", boxes=tree.boxes, engine="threads", workers=1, progress=remove)
    assert summary.exit_status == 1
    now = content(tmp_path / "out")
    names = {name for name in now if name.endswith(".jpg")}
    assert [name for name in names if now[name] != tree.expected[name]] == []
    assert len(names) + summary.failed == summary.images


def test_corrupt_files_are_left_out_and_listed(tree: Tree, tars: Tree) -> None:
    assert len(tree.bad) == 100
    for each in (tree, tars):
        failed = {entry["path"]: entry["reason"] for entry in map(json.loads, each.expected["failures"])}
        assert {name.partition(".tar/")[2] or name for name in failed} == each.bad
        assert all(reason.startswith("decode: ") for reason in failed.values())


def test_two_runs_on_the_same_output_at_once(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(tree.command(out, "--workers", "1", "--engine", "threads")) as process:
        wait(process, lambda: out.is_dir() and written(out) > 50)
        os.kill(process.pid, signal.SIGSTOP)  # so that it cannot end before the others have tried
        try:
            status, text, errors = finished(tree.command(out))
            assert (status, text) == (2, "")
            assert errors.startswith("fastblur: another run is writing to DST")
            assert errors.count("\n") == 1
            for options in ({"overwrite": True}, {"method": "fill", "overwrite": True}, {"engine": "threads"}):
                with pytest.raises(ValueError, match="another run is writing to DST"):
                    tree.run(out, **options)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert ended(process)[0] == tree.status
    same(content(out), tree.expected)


def test_images_into_one_folder_by_many_commands_at_once(tree: Tree, tmp_path: Path) -> None:
    # As `xargs -P` does it: one image each, and none may take away what another has begun.
    out = tmp_path / "out"
    names = sorted(tree.hidden)[:80]
    failed: list[Exception] = []

    def some(part: list[str]) -> None:
        try:
            for name in part:
                assert run(tree.src / name, out, boxes=tree.boxes, engine="threads", workers=1).exit_status == 0
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=some, args=(names[place::8],)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    now = content(out)
    assert now == {name[2:]: tree.expected[name] for name in names} | {"failures": []}


def test_names_of_255_bytes_and_names_that_are_not_utf8(tmp_path: Path, face_pixels: np.ndarray) -> None:
    jpeg, *_ = variants(face_pixels)
    folder = b"\xe9 \xff"
    names = [b"l" * 251 + b".jpg", b"\xff\xfe.jpg", folder + b"/" + b"\xfd" * 251 + b".jpg", "é\n日.jpg".encode()]
    bad = [b"\xf0" * 251 + b".jpg", folder + b"/\xf1.jpg"]
    src, out = os.fsencode(tmp_path / "src"), os.fsencode(tmp_path) + b"/out \xff"
    os.makedirs(src + b"/" + folder)
    for name in names + bad:
        with open(src + b"/" + name, "wb") as file:
            file.write(b"no image" if name in bad else jpeg)
    (tmp_path / "boxes.json").write_text(json.dumps([{"url": os.fsdecode(name), "bboxes": []} for name in names + bad]))
    command = [*COMMAND, "run", src, out, "--boxes", str(tmp_path / "boxes.json"), "--json", out + b"/report.json"]
    for again in (False, True):
        if again:
            run(
                tmp_path / "src",
                os.fsdecode(out),
                boxes=tmp_path / "boxes.json",
                report=os.fsdecode(out) + "/report.json",
            )
        else:
            status, text, errors = finished(command)
            assert status == 1, errors
            assert "images        6" in text
        found = {os.path.relpath(os.path.join(root, name), out) for root, _, files in os.walk(out) for name in files}
        assert {name for name in found if name.endswith(b".jpg")} == set(names)
        for name in names:
            with open(out + b"/" + name, "rb") as file:
                assert file.read() == jpeg
        with open(out + b"/.fastblur/failures.jsonl") as file:
            assert {os.fsencode(json.loads(line)["path"]) for line in file} == set(bad)
        with open(out + b"/report.json") as file:
            assert json.load(file)["resumed"] == (6 if again else 0)


def test_overwriting_a_run_that_was_killed(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(tree.command(out, "--method", "fill", "--workers", "1")) as process:
        wait(process, lambda: out.is_dir() and written(out) > 500)
        process.kill()
        process.wait()
    with pytest.raises(ValueError, match="method was 'fill' and is 'blur'"):
        tree.run(out)
    assert tree.run(out, overwrite=True).exit_status == tree.status
    same(content(out), tree.expected)


PEAK = """
import os, sys
from fastblur.pipeline import run

peaks = {}

def look(tally, total):
    for pid in os.listdir("/proc"):
        try:
            status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
        except (OSError, ValueError):
            continue
        if pid.isdigit() and os.getpgid(int(pid)) == os.getpgid(0):
            peaks[pid] = int(status.get("VmHWM", "0 kB").split()[0])

summary = run(sys.argv[1], sys.argv[2], boxes=sys.argv[3], engine=sys.argv[4], workers=2, progress=look)
look(None, None)  # not ru_maxrss, which begins with what the process that started this one had
assert summary.failed == 0
print(summary.images, peaks[str(os.getpid())], max(peaks.values()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc, as on Linux")
@pytest.mark.parametrize(("engine", "tar"), [("processes", False), ("threads", True)])
def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, face_pixels: np.ndarray, engine: str, tar: bool
) -> None:
    peaks = []
    for count in (1000, 5000):
        small = tmp_path / str(count)
        some = plant(small, face_pixels, count, tars=int(tar), corrupt=False, undisturbed=False, more=bytes(30_000))
        entries = json.loads(some.boxes.read_text())
        for number, entry in enumerate(entries):  # hiding is what takes the time
            entry["bboxes"] = entry["bboxes"] if number % 10 == 1 else []
        some.boxes.write_text(json.dumps(entries))
        command = [sys.executable, "-c", PEAK, str(some.src), str(small / "out"), str(some.boxes), engine]
        status, text, errors = finished(command)
        assert status == 0, errors
        images, *kilobytes = map(int, text.split())
        assert images == count
        peaks.append(kilobytes)
    for few, many in zip(*peaks, strict=True):
        assert many < 1.1 * few + 16_000, f"{few} kB with 400 images, {many} kB with 4000"
