"""Ten thousand pictures: few are in the document, few are loaded, nothing judged is lost."""

from pathlib import Path

import pytest

from tests.audit.page.conftest import Open
from tests.audit.page.report import account_of, image, near_miss, region, save_picture
from tests.audit.page.test_judging import count, saved

MANY = 10_000


@pytest.mark.slow
def test_ten_thousand_pictures_stay_usable(tmp_path: Path, opened: Open) -> None:
    images = []
    for number in range(1, MANY + 1):
        boxes = {"regions": [region([10, 20, 60, 90], number / MANY)], "near_misses": [near_miss([100, 100, 140, 150])]}
        images.append(
            image(number, save_picture(tmp_path, number % 500), **boxes) if number < 500 else image(number, **boxes)
        )
    page = opened(tmp_path, account_of(images))
    loaded: list[str] = []
    page.on("request", lambda one: loaded.append(one.url))
    page.reload()
    page.wait_for_load_state("networkidle")
    assert len(loaded) < 60, "only the pictures of a page of tiles"
    page.click("#tab-lowest")
    assert page.text_content("#grid .caption >> nth=0") == "score 0.000"
    page.focus("#grid .tile[tabindex='0']")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.index") == str(MANY - 1)
    assert page.text_content("#pager .place") == "9,985 to 10,000 of 10,000"
    assert page.locator("#grid .tile").count() == 16
    page.click("#pager .earlier")
    assert page.locator("#grid .tile").count() == 48
    assert page.evaluate("document.querySelectorAll('*').length") < 2000
    # Every second picture judged, each in a step of its own, as a person would in days.
    page.evaluate(
        "for (const { id } of account.images) if (id % 2) judgements.steps.push([[`image ${id}`, 'no face']]);"
        "judgements.replay(); judgements.write();"
    )
    page.click("#tab-sample")
    page.click("#judge")
    for _ in range(20):
        page.keyboard.press("n")
        assert page.text_content("#viewer .state").startswith("Does this picture")
    page.reload()
    assert count(page).startswith("5,0")
    judged = {line["image"] for line in saved(page)}
    assert {one["image"] for one in images if one["id"] % 2} <= judged
    assert len(judged) == int(count(page).split()[0].replace(",", ""))
