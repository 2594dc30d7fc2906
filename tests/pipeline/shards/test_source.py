import os
from pathlib import Path

import pytest

from fastblur.pipeline.shards.source import Source


def listed(path: Path) -> dict[str, str | None]:
    items = list(Source(path))
    assert len({item.name for item in items}) == len(items)
    return {item.name: item.problem for item in items}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_a_tree_gives_its_images_with_paths_below_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b/c.JPEG", "b/d/e.Png", "b/d/f.webp", "g.bmp", "h.tif", "i.TIFF", "b c/é ü.jpg", "j.jfif")
    touch(tmp_path, "notes.txt", "b/labels.csv", "jpg", "k.jpg.txt", ".hidden")
    source = Source(tmp_path)
    items = {item.name: item for item in source}
    assert set(items) == {
        "a.jpg", "b/c.JPEG", "b/d/e.Png", "b/d/f.webp", "g.bmp", "h.tif", "i.TIFF", "b c/é ü.jpg", "j.jfif",
    }  # fmt: skip
    assert source.passed == 5
    assert all(Path(item.path).read_bytes() == b"x" and item.problem is None for item in items.values())
    assert {item.name for item in source} == set(items), "a second listing gives the same"
    assert source.passed == 5


def test_one_file_is_a_source(tmp_path: Path) -> None:
    touch(tmp_path, "a b.jpg", "c.jpg")
    assert listed(tmp_path / "a b.jpg") == {"a b.jpg": None}
    assert Source(tmp_path / "a b.jpg").root == tmp_path


def test_what_is_not_there_or_no_image_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(ValueError, match="does not exist"):
        Source(tmp_path / "absent")
    with pytest.raises(ValueError, match="is no "):
        Source(tmp_path / "a.txt")


def test_names_that_are_not_utf8_or_hold_a_newline(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    with open(raw, "wb") as file:
        file.write(b"x")
    touch(tmp_path, "two\nlines.jpg")
    names = set(listed(tmp_path))
    assert names == {"\udcff\udcfe.jpg", "two\nlines.jpg"}


def test_links_inside_are_read_and_links_that_leave_are_not(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "src", tmp_path / "src-elsewhere"
    touch(root, "a.jpg", "sub/b.jpg")
    touch(elsewhere, "secret.jpg")
    (root / "inside.jpg").symlink_to(root / "sub" / "b.jpg")
    (root / "relative.jpg").symlink_to("sub/../a.jpg")
    (root / "leaves.jpg").symlink_to(elsewhere / "secret.jpg")
    (root / "hop.jpg").symlink_to("leaves.jpg")
    (root / "nowhere.jpg").symlink_to("absent.jpg")
    (root / "note.txt").symlink_to(elsewhere / "secret.jpg")
    found = listed(root)
    assert {name for name, problem in found.items() if problem is None} == {
        "a.jpg", "sub/b.jpg", "inside.jpg", "relative.jpg",
    }  # fmt: skip
    assert found["leaves.jpg"] == found["hop.jpg"] == "is a link that leaves SRC"
    assert "leads nowhere" in str(found["nowhere.jpg"])
    assert len(found) == 7


def test_links_to_folders_are_listed_and_not_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "src", tmp_path / "other"
    touch(root, "a.jpg")
    touch(elsewhere, "b.jpg")
    (root / "loop").symlink_to(root)
    (root / "away").symlink_to(elsewhere)
    (root / "self.jpg").symlink_to("self.jpg")
    found = listed(root)
    assert found.pop("a.jpg") is None
    assert set(found) == {"loop", "away", "self.jpg"}
    assert "link to a folder" in str(found["loop"])
    assert "link to a folder" in str(found["away"])
    assert "link" in str(found["self.jpg"])


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    touch(tmp_path / "real", "a.jpg")
    (tmp_path / "real" / "b.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "link") == {"a.jpg": None, "b.jpg": None}


def test_pipes_and_folders_named_as_images_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    touch(tmp_path, "folder.jpg/a.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    assert listed(tmp_path) == {
        "pipe.jpg": "is not a regular file",
        "link.jpg": "is not a regular file",
        "folder.jpg/a.jpg": None,
    }


def test_a_folder_that_cannot_be_listed_is_an_item_with_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions do not stop root, so the refusal is the test's own.
    touch(tmp_path, "a.jpg", "closed/b.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = listed(tmp_path)
    assert found.pop("a.jpg") is None
    assert list(found) == ["closed"]
    assert "cannot be listed: Permission denied" in str(found["closed"])


def test_listing_is_lazy(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    items = iter(Source(tmp_path))
    first = next(items)
    touch(tmp_path, "sub/c.jpg")
    assert {first.name, *(item.name for item in items)} >= {"a.jpg", "b.jpg"}
