from pathlib import Path

from fastblur.pipeline.shards.few import FEW, IMAGE_BYTES, has_many


def test_many_files_in_all_folders_together(tmp_path: Path) -> None:
    for i in range(FEW):
        (tmp_path / f"{i % 7}").mkdir(exist_ok=True)
        (tmp_path / f"{i % 7}" / f"{i}.jpg").touch()
    assert not has_many(str(tmp_path))
    assert has_many(str(tmp_path), str(tmp_path / "0"))
    (tmp_path / "last.png").touch()
    assert has_many(str(tmp_path))


def test_a_tar_counts_by_its_size(tmp_path: Path) -> None:
    for name, is_many in (("large.JPG", False), ("shard.tar", True), ("table.Parquet", True)):
        with open(tmp_path / name, "wb") as file:
            file.truncate((FEW + 1) * IMAGE_BYTES)
        assert has_many(str(tmp_path)) == is_many
        (tmp_path / name).unlink()


def test_what_is_no_folder_is_not_looked_into(tmp_path: Path) -> None:
    assert not has_many(str(tmp_path / "absent"), "s3://bucket/folder", __file__)
