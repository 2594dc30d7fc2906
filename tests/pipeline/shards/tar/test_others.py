"""Members that are no images: texts pass, what may hold images does not, unless the user says so."""

import io
from typing import Any

import numpy as np
import pytest

from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import Done, run_shard
from tests.pipeline.shards.tar.tar_cases import read, tar


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((9, 9, 3), np.uint8))
    return buffer.getvalue()


SAMPLES = [
    ("a.jpg", b"1"), ("a.txt", b"a caption"), ("a.npy", array()),
    ("b.jpg", b"2"), ("b.cls", b"7"),
    ("c.mp4", b"\0\0\0\x20ftypisom" + bytes(99)),
    ("notes", b"text"), ("blob", bytes(range(256))),
]  # fmt: skip


def stages(item: Item) -> bytes | None:
    """Stand for the stages: what is not searched is left as it is."""
    if item.problem is not None or item.unsearched == "skip":
        return None
    return item.data if item.unsearched else b"new " + (item.data or b"")


def run(content: list[tuple[str, bytes]], **options: Any) -> Done:
    data = tar(content)
    return run_shard(TarShard("x.tar", lambda: io.BytesIO(data), "", **options), stages, send=True)


def test_by_default_they_fail_with_their_samples() -> None:
    done = run(SAMPLES)
    assert read(done.file) == [("b.jpg", b"new 2"), ("b.cls", b"7"), ("notes", b"text")]
    assert set(done.problems) == {"x.tar/a.jpg", "x.tar/a.npy", "x.tar/c.mp4", "x.tar/blob"}
    assert done.problems["x.tar/a.npy"] == (
        "is a NumPy array, which is not searched, expected --others copy or skip to go on without that"
    )
    assert done.problems["x.tar/a.jpg"] == (
        "its sample is left out because 'a.npy' is a NumPy array, which is not searched"
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    done = run([*(SAMPLES[place] for place in order), ("z.jpg", b"z")])
    assert read(done.file) == [("z.jpg", b"new z")]
    assert {"x.tar/a.jpg", "x.tar/a.npy"} <= set(done.problems)
    assert set(done.good) == {"z.jpg"}


def test_they_are_copied_and_listed() -> None:
    done = run(SAMPLES, others="copy")
    assert not done.problems
    expected = [(name, b"new " + data if name.endswith("jpg") else data) for name, data in SAMPLES]
    assert read(done.file) == expected
    assert [item.key for item in done.items if item.unsearched == "copy"] == ["a.npy", "c.mp4", "blob"]


def test_they_are_left_out_and_the_sample_stays() -> None:
    done = run(SAMPLES, others="skip")
    assert not done.problems
    assert [name for name, _ in read(done.file)] == ["a.jpg", "a.txt", "b.jpg", "b.cls", "notes"]
    assert [item.key for item in done.items if item.unsearched == "skip"] == ["a.npy", "c.mp4", "blob"]


def test_a_failed_image_still_takes_what_is_copied_with_it() -> None:
    data = tar(SAMPLES)
    shard = TarShard("x.tar", lambda: io.BytesIO(data), "", others="copy")
    done = run_shard(shard, lambda item: None if item.key == "a.jpg" else stages(item))
    assert [name for name, _ in read(done.file)] == ["b.jpg", "b.cls", "c.mp4", "notes", "blob"]


class TestMembers:
    """Images of samples that are left as they are by name."""

    IMAGES = [("a.jpg", b"1"), ("a.seg.png", b"a mask"), ("a.depth.tiff", b"depth"), ("a.txt", b"text")]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("members", "searched"),
        [
            ((), ["a.jpg", "a.seg.png", "a.depth.tiff"]),
            (("jpg",), ["a.jpg"]),
            (("jpg", "png"), ["a.jpg"]),
            (("jpg", "seg.png"), ["a.jpg", "a.seg.png"]),
            (("*.png",), ["a.seg.png"]),
            (("webp",), []),
        ],
    )
    def test_the_others_are_kept(self, members: tuple[str, ...], searched: list[str]) -> None:
        done = run(self.IMAGES, members=members)
        assert [item.key for item in done.items if item.unsearched is None] == searched
        assert read(done.file) == [(name, b"new " + data if name in searched else data) for name, data in self.IMAGES]
        assert all(item.unsearched in (None, "copy") for item in done.items)

    def test_what_is_no_image_is_not_let_through_by_that(self) -> None:
        done = run(SAMPLES, members=("jpg",))
        assert "x.tar/a.npy" in done.problems
        assert [name for name, _ in read(done.file)] == ["b.jpg", "b.cls", "notes"]

    def test_images_without_a_telling_name(self) -> None:
        done = run([("a.jpg", b"1"), ("a.image", b"\xff\xd8\xff\xe0 a JPEG")], members=("jpg",))
        assert [(item.key, item.unsearched) for item in done.items] == [("a.jpg", None), ("a.image", "copy")]
