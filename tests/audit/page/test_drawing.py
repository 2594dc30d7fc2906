"""Boxes drawn over pictures, with mouse, finger and keyboard, and where they are in the stored picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audit.page.conftest import Open
from tests.audit.page.looks import bounds_of, color_of, screenshot
from tests.audit.page.report import GREY, HEIGHT, WIDTH, account_of, image, region, save_picture
from tests.audit.page.test_judging import saved_behind_dialog

RED = (220, 30, 30)
# How cameras turn: NumPy's way from the stored to the upright picture, and from upright px to stored px.
TURNS = {
    "as it is": (lambda stored: stored, [1, 0, 0, 0, 1, 0], (WIDTH, HEIGHT)),
    "mirrored": (lambda stored: stored[:, ::-1], [-1, 0, WIDTH, 0, 1, 0], (WIDTH, HEIGHT)),
    "upside down": (lambda stored: stored[::-1, ::-1], [-1, 0, WIDTH, 0, -1, HEIGHT], (WIDTH, HEIGHT)),
    "turned right": (lambda stored: np.rot90(stored, -1), [0, 1, 0, -1, 0, WIDTH], (HEIGHT, WIDTH)),
    "turned left": (lambda stored: np.rot90(stored, 1), [0, -1, HEIGHT, 1, 0, 0], (HEIGHT, WIDTH)),
    "transposed": (lambda stored: stored.transpose(1, 0, 2), [0, 1, 0, 1, 0, 0], (HEIGHT, WIDTH)),
}


def stored_picture(width: int, height: int) -> "np.ndarray[Any, Any]":
    """A grey picture, (height, width, 3) uint8, with a red rectangle that lies in no middle."""
    picture = np.full((height, width, 3), GREY, np.uint8)
    picture[40:100, 60:200] = RED
    return picture


@pytest.mark.parametrize("turn", TURNS)
def test_a_box_drawn_around_what_is_seen_lies_around_it_in_the_stored_picture(
    turn: str, tmp_path: Path, opened: Open
) -> None:
    upright_of, matrix, (width, height) = TURNS[turn]
    stored = stored_picture(width, height)
    upright = np.ascontiguousarray(upright_of(stored))
    assert upright.shape == (HEIGHT, WIDTH, 3)
    save_picture(tmp_path, 1, upright[::2, ::2])
    entry = image(1, to_stored=matrix, stored_width=width, stored_height=height)
    page = opened(tmp_path, account_of([entry]))
    page.click("#judge")
    x0, y0, x1, y1 = bounds_of(screenshot(page), RED, 60)
    page.mouse.move(x0 - 6, y0 - 6)
    page.mouse.down()
    page.mouse.move(x1 - 20, y1 - 20)
    page.mouse.move(x1 + 6, y1 + 6, steps=3)
    page.mouse.up()
    assert "Box kept" in page.text_content("#viewer .said")
    stage = round(page.locator("#viewer .stage").bounding_box()["width"])
    drawn = bounds_of(screenshot(page)[:, :stage], color_of(page, "--box-drawn"), 12)
    assert np.abs(np.array(drawn) - [x0 - 6, y0 - 6, x1 + 6, y1 + 6]).max() <= 6, "it is drawn where the mouse went"
    [line] = saved_behind_dialog(page)
    [[left, top, right, bottom]] = line["add"]
    assert (line["width"], line["height"], line["verdict"]) == (width, height, "face")
    reds = np.argwhere((stored == RED).all(-1))
    (first_y, first_x), (last_y, last_x) = reds.min(0), reds.max(0)
    assert left <= first_x <= left + 8
    assert top <= first_y <= top + 8
    assert right - 8 <= last_x + 1 <= right
    assert bottom - 8 <= last_y + 1 <= bottom


def test_a_zoomed_picture_takes_boxes_at_the_same_place(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path, 1, stored_picture(WIDTH, HEIGHT)[::2, ::2])
    page = opened(tmp_path, account_of([image(1, regions=[region([70, 50, 190, 90])])]))
    page.click("#tab-lowest")
    page.click("#judge")
    page.keyboard.press("z")
    x0, y0, x1, y1 = bounds_of(screenshot(page), RED, 60)
    assert x1 - x0 > 140 * 2, "enlarged"
    page.mouse.move(x1 + 3, y0 - 3)  # from the other corner
    page.mouse.down()
    page.mouse.move(x0 - 3, y1 + 3, steps=2)
    page.mouse.up()
    [line] = saved_behind_dialog(page)
    assert np.abs(np.array(line["add"][0]) - [60, 40, 200, 100]).max() <= 3
    assert line["boxes"] == [[70, 50, 190, 90], line["add"][0]]


def test_a_box_is_drawn_by_keyboard_moved_resized_and_deleted(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1), image(2)]))
    page.click("#judge")
    for _ in range(2):
        page.keyboard.press("b")
        page.keyboard.press("Escape")
    assert page.is_visible("#viewer"), "the first Escape drops the box"
    page.keyboard.press("b")  # 160, 120, 240, 180; a step is 8 px
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert page.text_content("#viewer .boxes .text") == "drawn box"
    page.keyboard.press("Escape")
    page.click("#judge")
    assert page.text_content("#viewer .state").endswith("Not judged."), "the next one"
    page.keyboard.press("ArrowLeft")
    page.focus("#viewer .draw")
    page.keyboard.press("Enter")  # the button pressed by keyboard begins a box too
    page.keyboard.press("Enter")
    lines = saved_behind_dialog(page)
    assert lines[0]["add"] == [[168, 104, 256, 180], [160, 120, 240, 180]]
    page.click("#grid .tile >> nth=0")
    page.click("#viewer .boxes button >> nth=0")
    assert saved_behind_dialog(page)[0]["add"] == [[160, 120, 240, 180]]


def test_a_click_draws_nothing_and_boxes_end_at_the_border(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1)]))
    page.click("#judge")
    picture = page.locator("#viewer .stage svg image").bounding_box()
    x, y = picture["x"] + 40, picture["y"] + 40
    page.mouse.click(x, y)
    page.mouse.move(2, 2)  # outside the picture, as a whole
    page.mouse.down()
    page.mouse.move(50, 12)
    page.mouse.up()
    assert "outside the picture" in page.text_content("#viewer .said")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(1, 1, steps=4)
    page.mouse.up()
    [line] = saved_behind_dialog(page)
    scale = WIDTH / picture["width"]
    assert np.abs(np.array(line["add"]) - [[0, 0, 40 * scale, 40 * scale]]).max() <= 1
    assert all(float(value).is_integer() for value in line["add"][0])


def test_undo_removes_a_drawn_box_and_its_verdict(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1)]))
    page.click("#judge")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    assert page.text_content("#judged") == "1 of 1 judged, 1 shows a face"
    page.keyboard.press("u")
    assert page.text_content("#judged") == "0 of 1 judged, 0 show a face"
    assert saved_behind_dialog(page) == []


@pytest.mark.parametrize("asked", [True, False])
def test_a_finger_draws_only_when_asked_to(asked: bool, tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = opened(tmp_path, account_of([image(1)]), **phone)
    page.tap("#judge")
    picture = page.locator("#viewer .stage svg image").bounding_box()
    assert picture["width"] == pytest.approx(390, abs=1)
    if asked:
        page.tap("#viewer .draw")
    touch = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", 50), ("touchMove", 80), ("touchMove", 120), ("touchEnd", None)):
        points = [] if at is None else [{"x": picture["x"] + at, "y": picture["y"] + at}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    lines = saved_behind_dialog(page)
    assert len(lines) == asked
    for line in lines:
        assert np.abs(np.array(line["add"]) - WIDTH / picture["width"] * np.array([[50, 50, 120, 120]])).max() <= 2
