"""HideFaces on batches as Ray Data hands them over, and in a Ray Data job."""

import io

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import decode
from fastblur.transforms import HideFaces as Transform

ray = pytest.importorskip("ray", reason="the package ray is absent (the extra fastblur[ray])")
pa = pytest.importorskip("pyarrow")

from fastblur.integrations.ray_data import HideFaces  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.ray]

BOX = [10.0, 20.0, 60.0, 80.0]


def png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def column(*cells: object) -> np.ndarray:
    made = np.empty(len(cells), object)
    made[:] = cells
    return made


def expected(data: bytes) -> bytes:
    return Transform(boxes="faces")(data, {"faces": [BOX]})[0]


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        (None, BOX),
        ("xyxyn", [10 / 120, 20 / 100, 60 / 120, 80 / 100]),
        ("xywh", [10, 20, 50, 60]),
        ("cxcywhn", [35 / 120, 0.5, 50 / 120, 0.6]),
    ],
)
def test_bytes_and_structs(box_format, box) -> None:
    batch = {
        "image": column(png(0), {"bytes": png(1), "path": "b.png"}, b"broken", png(3), png(4)),
        "boxes": column([box], [np.array(box)], [box], [], None),
        "label": np.arange(5),
    }
    out = HideFaces(box_column="boxes", box_format=box_format)(batch)
    assert out["label"].tolist() == [0, 1, 3]
    first, second, third = out["image"]
    assert third == png(3)
    assert second["path"] == "b.png"
    for ours, seed in ((first, 0), (second["bytes"], 1)):
        difference = decode(ours).pixels.astype(int) - decode(expected(png(seed))).pixels
        assert np.abs(difference).max() <= 1  # a box of 32-bit parts is a hair off
        assert ours != png(seed)


@pytest.mark.parametrize("struct", [False, True])
def test_tables_keep_every_column_as_it_is(struct) -> None:
    files = [png(0), b"broken", png(2), png(3)]
    cells = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(files)] if struct else files
    boxes = [[BOX], [BOX], [], None]
    table = pa.table(
        {"boxes": boxes, "image": cells, "label": [0, 1, 2, 3], "nested": [[[1.0]], [], None, [[2.0], []]]}
    )
    out = HideFaces(box_column="boxes")(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert out.schema == table.schema
    kept = table.take([0, 2])
    assert [out.column(name) for name in ("boxes", "label", "nested")] == [
        kept.column(name) for name in ("boxes", "label", "nested")
    ]
    first, second = out.column("image").to_pylist()
    assert (first["bytes"] if struct else first) == expected(png(0))
    assert second == cells[2]


def test_arrays_stay_one_array() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 100, 120, 3), dtype=np.uint8)
    out = HideFaces(box_column="boxes")({"image": images, "boxes": column([BOX], [], [BOX])})
    assert out["image"].shape == images.shape
    np.testing.assert_array_equal(out["image"][1], images[1])
    np.testing.assert_array_equal(out["image"][0], Transform(boxes="f")(images[0], {"f": [BOX]})[0])


@pytest.mark.parametrize("arrays", [False, True])
def test_data_frames(arrays) -> None:
    pandas = pytest.importorskip("pandas", reason="the package pandas is absent")
    if arrays:
        cells = list(np.random.default_rng(0).integers(0, 256, (4, 100, 120, 3), dtype=np.uint8))
        cells[1] = np.zeros((4, 4), np.int64)  # no image
        right = Transform(boxes="f")(cells[0], {"f": [BOX]})[0]
    else:
        cells, right = [png(0), b"broken", png(2), png(3)], expected(png(0))
    frame = pandas.DataFrame({"image": cells, "boxes": [[BOX], [BOX], [], None], "label": range(4)}, index=[7, 7, 8, 9])
    out = HideFaces(box_column="boxes")(frame)
    assert (list(out.columns), list(out.label), list(out.index)) == (list(frame.columns), [0, 2], [7, 8])
    assert np.array_equal(out.image.iloc[0], right) if arrays else out.image.iloc[0] == right
    assert np.array_equal(out.image.iloc[1], cells[2])
    assert len(frame) == 4


def test_boxes_in_structs() -> None:
    """As COCO and WIDER FACE have them in data sets of Hugging Face."""
    x, y, x1, y1 = BOX
    rows = [{"bbox": [[x, y, x1 - x, y1 - y]], "category": [1]}, {"bbox": [], "category": []}]
    table = pa.table({"image": [png(0), png(1)], "boxes": rows})
    arrays = [{name: np.array(cells) for name, cells in row.items()} for row in rows]  # as Ray's numpy format has them
    for batch in (table, {"image": column(png(0), png(1)), "boxes": column(*arrays)}):
        out = HideFaces(box_column="boxes", on_error="raise")(batch)
        cells = out["image"].to_pylist() if batch is table else list(out["image"])
        assert cells == [expected(png(0)), png(1)]


def two_boxes(images):
    """A detector of a user's own."""
    return [[BOX] for _ in images]


def test_a_detector_of_your_own() -> None:
    for detector in (two_boxes, f"{__name__}:two_boxes"):
        out = HideFaces(detector=detector)({"image": column(png(0), png(1)), "label": np.arange(2)})
        assert list(out["image"]) == [expected(png(0)), expected(png(1))]


def test_errors() -> None:
    with pytest.raises(ValueError, match="expected 'drop' or 'raise'"):
        HideFaces(on_error="pass")
    with pytest.raises(ValueError, match="method is 'smear'"):
        HideFaces(method="smear")
    with pytest.raises(ValueError, match="expected 'image' among them"):
        HideFaces(box_column="boxes")({"jpg": column(png(0)), "boxes": column([])})
    with pytest.raises(ValueError, match="expected JPEG"):
        HideFaces(box_column="boxes", on_error="raise")({"image": column(b"broken"), "boxes": column([BOX])})
    nothing = HideFaces(box_column="boxes")({"image": column(b"broken"), "boxes": column([BOX]), "label": np.ones(1)})
    assert [len(cells) for cells in nothing.values()] == [0, 0, 0]


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "numpy"])
def test_in_a_ray_data_job(monkeypatch, batch_format) -> None:
    pytest.importorskip("pandas", reason="ray.data needs the package pandas, which is absent")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(address="local", num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{"image": png(i) if i != 3 else b"broken", "boxes": [BOX], "label": i} for i in range(8)]
        done = ray.data.from_items(rows).map_batches(
            HideFaces,
            fn_constructor_kwargs={"box_column": "boxes"},
            batch_size=4,
            batch_format=batch_format,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        found = {row["label"]: row["image"] for row in done.take_all()}
        assert found == {i: expected(png(i)) for i in range(8) if i != 3}
    finally:
        ray.shutdown()
