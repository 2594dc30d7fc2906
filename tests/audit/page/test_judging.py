"""Judging in a real browser: by keyboard and with the mouse, kept over a reload, saved and loaded."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fastblur.audit.estimate import upper_bound
from tests.audit.page.conftest import Open
from tests.audit.page.report import account_of, image, near_miss, region, save_picture, suspect

SAMPLE = "#tab-sample"


def saved(page: Any) -> list[dict[str, Any]]:
    """Press "save" and read the file that the browser writes."""
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "judgements.jsonl"
    return [json.loads(line) for line in Path(download.value.path()).read_text("utf-8").splitlines()]


def count(page: Any, name: str = "sample") -> str:
    text: str = page.text_content(f"#tab-{name} .count")
    return text


def of_boxes() -> dict[str, Any]:
    """An account with one image that has a box of every kind, and one without any."""
    full = image(
        1,
        fate="hidden",
        regions=[region([10, 20, 60, 90], 0.9, 0.99), region([200, 20, 240, 70], 0.52)],
        near_misses=[near_miss([100, 100, 140, 150], 0.31)],
        suspects=[suspect([300, 200, 330, 240], 0.45)],
    )
    return account_of([full, image(2)])


@pytest.mark.slow
def test_a_hundred_pictures_judged_by_keyboard_are_there_after_a_reload(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(number) for number in range(1, 121)]))
    page.focus(SAMPLE)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # the button that opens the first picture that is not judged
    page.keyboard.press("Enter")
    wanted = {}
    for number in range(100):
        name = page.text_content("#viewer .name")
        assert name not in wanted
        shows = number % 25 == 24
        wanted[name] = "face" if shows else "no face"
        page.keyboard.press("f" if shows else "n")
        if shows:
            assert "Draw a box" in page.text_content("#viewer .said")
            page.keyboard.press("ArrowRight")
    before = page.text_content("#bound")
    page.reload()
    assert count(page) == "100 of 120"
    assert page.text_content("#judged") == "100 of 120 judged, 4 show a face"
    assert page.text_content("#bound") == before
    assert "4 images show a face and have no box yet" in page.text_content("#without-box")
    lines = saved(page)
    assert {line["image"]: line["verdict"] for line in lines} == wanted
    assert all(line["sampled"] and line["add"] == line["remove"] == line["boxes"] == [] for line in lines)


def test_tiles_are_judged_by_keyboard_without_enlarging_them(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(
        tmp_path, account_of([image(number, near_misses=[near_miss([5, 5, 50, 60])]) for number in range(60)])
    )
    page.focus("#grid .tile[tabindex='0']")
    for number in range(60):
        assert page.evaluate("document.activeElement.dataset.index") == str(number)
        page.keyboard.press("f" if number == 50 else "N")
    assert count(page, "near-misses") == "60 of 60"
    assert [line["verdict"] for line in saved(page)].count("face") == 1
    page.focus("#grid .tile[tabindex='0']")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.index") == "1"
    page.keyboard.press("Enter")
    assert page.text_content("#viewer .place") == "2 of 60"
    page.keyboard.press("Escape")
    assert page.get_attribute("#grid .tile:focus", "data-index") == "1"


def test_the_estimate_follows_and_is_scipys(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(number) for number in range(1, 31)]))
    assert page.text_content("#bound") == "No estimate yet"
    page.click(SAMPLE)
    page.click("#judge")
    shown = 0
    for judged in range(1, 31):
        shown += judged in (10, 11)
        page.keyboard.press("f" if judged in (10, 11) else "n")
        if judged in (10, 11):
            page.click("#viewer .next")
        bound = float(page.get_attribute("#bound", "data-value"))
        assert bound == pytest.approx(upper_bound(shown, judged), rel=1e-9)
        in_thousand = int(re.search(r"At most ([\d,]+) in 1,000 ", page.text_content("#bound"))[1].replace(",", ""))
        assert bound * 1000 - 1e-6 <= in_thousand < bound * 1000 + 1


def test_the_scripts_bound_is_scipys_for_many_counts(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1)]))
    cases = [(shown, judged) for judged in (1, 2, 59, 500, 10_000) for shown in range(0, judged + 1, judged // 7 + 1)]
    cases += [(9_999, 10_000), (10_000, 10_000), (0, 0), (0, 1_000_000)]
    got = page.evaluate("cases => cases.map(([shown, judged]) => upperBound(shown, judged))", cases)
    assert got == pytest.approx([upper_bound(*case) for case in cases], rel=1e-8)


def test_what_each_verdict_does_to_the_boxes(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    for name, key in [("near-misses", "f"), ("suspects", "n"), ("lowest", "n")]:  # the lowest: score 0.52
        page.click(f"#tab-{name}")
        page.focus("#grid .tile >> nth=0")
        page.keyboard.press(key)
        assert count(page, name) == ("1 of 2" if name == "lowest" else "1 of 1")
    [line] = saved(page)
    assert line.pop("judged") == [
        {"kind": "near miss", "box": [100, 100, 140, 150], "verdict": "face"},
        {"kind": "suspect", "box": [300, 200, 330, 240], "verdict": "no face"},
        {"kind": "region", "box": [200, 20, 240, 70], "verdict": "no face"},
    ]
    assert line == {
        "image": "class/image_00001.jpg",
        "shard": "class",
        "width": 400,
        "height": 300,
        "coordinates": "stored",
        "sampled": True,
        "verdict": "face",
        "boxes": [[10, 20, 60, 90], [100, 100, 140, 150]],
        "add": [[100, 100, 140, 150]],
        "remove": [[200, 20, 240, 70]],
    }
    assert page.text_content("#judged") == "1 of 2 judged, 1 shows a face", "a sampled image that is known to show one"


def test_boxes_judged_alone_do_not_make_an_image_clean(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("n")
    [line] = saved(page)
    assert line["verdict"] is None
    assert page.text_content("#judged") == "0 of 2 judged, 0 show a face"


def test_an_image_with_an_added_box_cannot_be_judged_clean(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("f")
    page.click(SAMPLE)
    index = page.evaluate("shown.items.findIndex((item) => item.image.id === 1)")
    page.click(f"#grid .tile[data-index='{index}']")
    page.keyboard.press("n")
    assert "delete them" in page.text_content("#viewer .said")
    assert [line["verdict"] for line in saved_behind_dialog(page)] == ["face"]


def saved_behind_dialog(page: Any) -> list[dict[str, Any]]:
    page.keyboard.press("Escape")
    return saved(page)


def test_undo_takes_steps_back_one_by_one_also_after_a_reload(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(number) for number in range(1, 6)]))
    assert page.is_disabled("#undo")
    page.click("#judge")
    first = page.text_content("#viewer .name")
    for key in "nnn":
        page.keyboard.press(key)
    page.keyboard.press("u")
    assert count(page) == "2 of 5"
    assert page.text_content("#viewer .place") == "3 of 5"
    page.reload()
    for left in ("1 of 5", "0 of 5"):
        page.click("#undo")
        assert count(page) == left
    assert page.is_disabled("#undo")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").endswith(f"not judged, {first}")


def test_a_changed_mind_counts_and_undo_brings_the_first_verdict_back(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1)]))
    page.click("#judge")
    page.keyboard.press("f")
    page.keyboard.press("n")
    assert page.get_attribute("#viewer .no-face", "aria-pressed") == "true"
    page.click("#viewer .undo")
    assert page.get_attribute("#viewer .face", "aria-pressed") == "true"
    assert page.get_attribute("#viewer .no-face", "aria-pressed") == "false"


def test_a_saved_file_is_loaded_without_loss(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    account = of_boxes()
    page = opened(tmp_path, account)
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("f")
    page.click("#tab-suspects")
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("n")
    page.click(SAMPLE)
    page.click("#judge")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    before = saved_behind_dialog(page)
    assert [len(line["add"]) for line in before] in ([2], [1, 1])
    other = {**before[0], "image": "elsewhere.jpg"}
    file = tmp_path / "judgements.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in [*before, other]))
    fresh = opened(tmp_path)
    assert saved(fresh) == []
    for _ in range(2):  # the second time changes nothing
        fresh.set_input_files("#load", file)
        fresh.locator("#said", has_text="loaded").wait_for()
        assert saved(fresh) == [*before, other], "a line of an image that is not in this report is kept"
    fresh.reload()
    assert saved(fresh) == [*before, other]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Line 1 is no JSON"),
        ("\n\n<html>", "Line 3 is no JSON"),
        ("null", "Line 1 is no judgement"),
        ("[]", "Line 1 is no judgement"),
        ('{"image": "class/image_00001.jpg", "verdict": "face"}', "Line 1 is no judgement"),
    ],
)
def test_a_file_that_is_no_judgements_loads_nothing(text: str, said: str, tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    (tmp_path / "file.jsonl").write_text(text)
    page.set_input_files("#load", tmp_path / "file.jsonl")
    page.locator("#said", has_text=".").wait_for()
    assert f"Nothing was loaded. {said}" in page.text_content("#said")
    assert saved(page) == []


@pytest.mark.parametrize("field", ["width", "add", "remove", "verdict", "coordinates"])
def test_a_line_with_a_wrong_field_loads_nothing(field: str, tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("f")
    [line] = before = saved(page)
    wrong = {"width": 300, "add": [[5, 5, 2, 9]], "remove": 3, "verdict": "maybe", "coordinates": "upright"}
    (tmp_path / "file.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({**line, field: wrong[field]}))
    page.set_input_files("#load", tmp_path / "file.jsonl")
    page.locator("#said", has_text="Nothing").wait_for()
    assert "Line 2" in page.text_content("#said")
    assert saved(page) == before


def test_two_tabs_lose_nothing_of_each_other(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    one = opened(tmp_path, account_of([image(number) for number in range(1, 11)]))
    other = opened(tmp_path, context=one.context)
    for tile in range(0, 10, 2):
        for page, index in ((one, tile), (other, tile + 1)):
            page.focus(f"#grid .tile[data-index='{index}']")
            page.keyboard.press("n")
    assert count(other) == "10 of 10"
    one.locator("#tab-sample", has_text="10 of 10").wait_for()
    assert len(saved(one)) == 10


def test_another_audit_does_not_get_these_judgements(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1), image(2)]))
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("n")
    other = opened(tmp_path, account_of([image(1), image(2)], made="2026-11-26T00:00:00Z"), context=page.context)
    assert count(other) == "0 of 2"


def test_a_browser_that_keeps_nothing_says_so_and_saves(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, account_of([image(1), image(2)]))
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.reload()
    assert page.is_hidden("#not-kept")
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("n")
    assert page.is_visible("#not-kept")
    assert count(page) == "1 of 2"
    assert len(saved(page)) == 1
