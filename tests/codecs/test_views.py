"""What a detector has to see of a picture in addition to its colours."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import Picture, decode, upright_views
from tests.codecs.files import deep, deep_png, photo


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_picture_in_the_alpha_channel_is_seen(mode: str, inverted: bool) -> None:
    hidden = photo(channels=1)
    pixels = np.concatenate((np.zeros((61, 83, len(mode) - 1), np.uint8), 255 - hidden if inverted else hidden), axis=2)
    data = io.BytesIO()
    Image.fromarray(pixels, mode).save(data, "PNG")
    views = upright_views(decode(data.getvalue()))
    assert any(np.array_equal(view, np.repeat(hidden, 3, axis=2)) for view in views)
    assert not views[0].any()


def test_a_picture_in_an_alpha_channel_of_16_bits_is_seen() -> None:
    pixels = deep(4)
    pixels[..., :3] = 0
    views = upright_views(decode(deep_png(pixels)))
    assert any(view.std() > 20 for view in views)


def test_views_are_upright() -> None:
    pixels = photo(channels=4)
    views = upright_views(Picture(pixels, "PNG", "RGBA", 6, b""))
    assert np.array_equal(views[1][..., 0], np.rot90(pixels[..., 3], -1))
    assert len(views) == 3


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_constant_alpha_channel_shows_nothing(alpha: int) -> None:
    pixels = photo(channels=4)
    pixels[..., 3] = alpha
    assert len(upright_views(Picture(pixels, "PNG", "RGBA", 1, b""))) == 1


@pytest.mark.parametrize("color", ["L", "RGB", "CMYK"])
def test_without_alpha_there_is_one_view(color: str) -> None:
    assert len(upright_views(Picture(photo(channels=len(color)), "PNG", color, 1, b""))) == 1


@pytest.mark.parametrize("inverted", [False, True])
def test_a_face_in_the_alpha_channel_is_hidden(shared: Path, inverted: bool) -> None:
    """Through the stages of a run: the face is found in the alpha channel alone, and blurred there."""
    from fastblur.pipeline.images.detection import DetectionStages, make_detect
    from fastblur.pipeline.images.task import ImageTask
    from fastblur.pipeline.shards.interfaces import Item

    grey = np.asarray(Image.open(shared / "photos" / "voc_2008_002506.jpg").convert("L"))
    pixels = np.zeros((*grey.shape, 4), np.uint8)
    pixels[..., 3] = 255 - grey if inverted else grey
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG")
    detect, _ = make_detect(None, None, None, "cpu")
    stages = DetectionStages(detect, None, 2**28)
    image = ImageTask(Item("a.png", data=file.getvalue()))
    image.data = file.getvalue()
    stages.decode([image], then=[])
    stages.search([image])
    assert image.boxes is not None
    assert len(image.boxes) > 0
    assert image.scores == sorted(image.scores or [], reverse=True)
