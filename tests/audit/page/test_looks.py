"""What people see: light and dark, on a desk and on a phone, with screen readers; and that names never become HTML."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.audit.page import write_page
from tests.audit.page.conftest import Open
from tests.audit.page.looks import bounds_of, color_of, screenshot
from tests.audit.page.report import GREY, account_of, image, near_miss, region, save_picture, suspect
from tests.audit.page.test_judging import of_boxes, saved

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
VIEWS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
EVIL = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }}${window.hacked = 1}<!--",
    "</style><script>window.hacked=1</script>",
    "constructor",
    "a\u2028b\u202ec\udc80\n&lt;b&gt;",
]

# The contrast of every text with what is behind it, as WCAG 2 defines it: [ratio, text, whether it is large].
CONTRASTS = """() => {
  const light = (color) => {
    const parts = color.match(/[\\d.]+/g).map(Number);
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parts.slice(0, 3).map((v) => linear(v / 255));
    return { value: 0.2126 * r + 0.7152 * g + 0.0722 * b, solid: parts.length < 4 || parts[3] === 1 };
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { value, solid } = light(getComputedStyle(one).backgroundColor);
      if (solid) return value;
    }
    return 1;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    const isSeen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!text || !isSeen || element.closest("[aria-disabled=true]")) continue;
    const style = getComputedStyle(element);
    const color = element.ownerSVGElement ? style.fill : style.color;
    const values = [light(color).value, behind(element)].sort();
    const pair = [Math.min(...values), Math.max(...values)];
    found.push([(pair[1] + 0.05) / (pair[0] + 0.05), text.slice(0, 40)]);
  }
  return found;
}"""


def hostile_account() -> dict[str, Any]:
    images = []
    for number, name in enumerate(EVIL, 1):
        boxes = {
            "regions": [region([10, 20, 60, 90], 0.5)],
            "near_misses": [near_miss([100, 100, 140, 150])],
            "suspects": [suspect([300, 200, 330, 240], found_by=name)],
        }
        images.append(image(number, image=f"{name}.jpg", shard=name, fate=name, **boxes))
    text = EVIL[0]
    account = account_of(
        images, output=text, source=EVIL[2], method=text, recipe=text, detector=EVIL[1], made=text, version=text
    )
    account["account"]["problems"] = [{"image": one, "shard": one, "kind": one, "sentence": one} for one in EVIL]
    account["account"]["shards"] = [{"name": one, "images": 1, "hidden": 1, "copied": 0, "failed": 0} for one in EVIL]
    account["search"].update(passes=EVIL, detectors=EVIL, seed=text)
    return account


@pytest.mark.slow
@pytest.mark.parametrize("policy", [True, False], ids=["policy", "without policy"])
def test_hostile_names_and_texts_stay_text(policy: bool, tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    write_page(tmp_path, account_of([image(1)]))
    plain = opened(tmp_path)
    write_page(tmp_path, hostile_account())
    page = opened(tmp_path, bypass_csp=not policy)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for name in ("near-misses", "suspects", "lowest", "sample"):
        page.click(f"#tab-{name}")
        page.click("#judge")
        for _ in range(len(EVIL)):
            page.keyboard.press("n")
        page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    names = "[...new Set([...document.querySelectorAll('*')].map((one) => one.localName))]"
    new = set(page.evaluate(names)) - set(plain.evaluate(names))
    assert new <= {"image", "li", "ul", "strong", "table", "thead", "tbody", "tr", "th", "td"}, "elements of names"
    assert page.locator("script").count() == 2
    attributes = page.evaluate("[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())")
    assert [name for name in attributes if name.startswith("on")] == []
    pictures = (
        "[...document.querySelectorAll('img, image')].map((one) => one.getAttribute('src') ?? one.getAttribute('href'))"
    )
    assert set(page.evaluate(pictures)) == {"pictures/000001.jpg"}
    assert EVIL[0] in page.text_content("h1")
    lines = saved(page)
    assert [line["image"] for line in lines] == [f"{name}.jpg" for name in EVIL]
    assert [line["shard"] for line in lines] == EVIL


def test_a_picture_that_is_missing_says_so_and_is_not_judged_clean(browser: Any, tmp_path: Path) -> None:
    save_picture(tmp_path)
    write_page(tmp_path, account_of([image(1, "pictures/000002.jpg"), image(2)]))
    page = browser.new_page()
    page.goto((tmp_path / "index.html").resolve().as_uri())
    page.locator("#grid .tile", has_text="cannot be loaded").wait_for()
    index = page.locator("#grid .tile", has_text="cannot be loaded").get_attribute("data-index")
    page.focus(f"#grid .tile[data-index='{index}']")
    page.keyboard.press("n")
    assert "cannot be loaded" in page.text_content("#said")
    page.keyboard.press("Enter")
    page.locator("#viewer .missing", has_text="cannot be loaded").wait_for()
    page.keyboard.press("n")
    assert page.text_content("#judged").startswith("0 of 2")
    page.keyboard.press("ArrowRight" if index == "0" else "ArrowLeft")
    assert page.text_content("#viewer .missing") == ""
    page.keyboard.press("n")
    assert page.text_content("#judged").startswith("1 of 2")
    page.close()


@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_every_text_can_be_read(size: str, scheme: str, tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    account = of_boxes()
    account["account"]["problems"] = [{"image": "a.jpg", "shard": "a", "kind": "missing", "sentence": "is not there."}]
    page = opened(tmp_path, account, viewport=SIZES[size], color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for index, key in enumerate("fn"):
        page.click("#tab-sample")
        page.focus(f"#grid .tile[data-index='{index}']")
        page.keyboard.press(key)
    found = page.evaluate(CONTRASTS)
    page.click("#grid .tile >> nth=0")
    found += page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [one for one in found if one[0] < 4.5] == []


@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_nothing_is_wider_than_the_screen_and_the_picture_is_seen(
    size: str, scheme: str, tmp_path: Path, opened: Open
) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes(), viewport=SIZES[size], color_scheme=scheme)
    width, height = SIZES[size]["width"], SIZES[size]["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    top = screenshot(page)
    assert (top[2, 2].mean() < 60) == (scheme == "dark"), "the page's background"
    bars = bounds_of(screenshot_of(page, ".charts figure:first-child svg"), color_of(page, "--region"), 3)
    assert bars[2] - bars[0] > 10
    page.click("#tab-near-misses")
    page.click("#judge")
    page.keyboard.press("0")
    pixels = screenshot(page)
    x0, y0, x1, y1 = bounds_of(pixels, (GREY, GREY, GREY), 2)
    assert x1 - x0 > 0.7 * min(width, height), "the picture fills its part of the screen"
    assert (y1 - y0) / (x1 - x0) == pytest.approx(3 / 4, abs=0.02)
    scale = (x1 - x0) / 400
    inside = pixels[y0 : y0 + int(290 * scale), x0:x1]
    near = np.array(bounds_of(inside, color_of(page, "--box-near-miss"), 12))
    assert np.abs(near - scale * np.array([100, 100, 140, 150])).max() <= 4, "its box is where it belongs"
    for name in ("face", "no-face", "previous", "next", "undo", "draw", "close"):
        box = page.locator(f"#viewer .{name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height, f"{name} is seen without scrolling"
        assert box["height"] >= 40


def screenshot_of(page: Any, selector: str) -> Any:
    box = page.locator(selector).bounding_box()
    page.evaluate("y => scrollTo({ top: y, behavior: 'instant' })", box["y"])
    box = {name: int(value) for name, value in page.locator(selector).bounding_box().items()}
    return screenshot(page)[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]


def test_a_tile_is_a_close_up_with_its_box(tmp_path: Path, opened: Open) -> None:
    pixels = np.full((150, 200, 3), GREY, np.uint8)
    pixels[50:75, 50:70] = (30, 30, 220)  # the near miss of of_boxes
    save_picture(tmp_path, 1, pixels)
    page = opened(tmp_path, of_boxes())
    tile = screenshot_of(page, "#grid .frame")
    blue = np.array(bounds_of(tile, (30, 30, 220), 40))
    assert blue[2] - blue[0] > 1.5 * tile.shape[1] * 40 / 400, "enlarged"
    box = np.array(bounds_of(tile, color_of(page, "--box-near-miss"), 12))
    assert np.abs(box - blue).max() <= 6


def test_screen_readers_get_names_and_news(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    page.click("#judge")
    unnamed = """() => {
      const text = (one) => one?.textContent.trim();
      const by = (one) => text(document.getElementById(one.getAttribute("aria-labelledby")));
      const isNamed = (one) => one.getAttribute("aria-label") || text(one) || text(one.labels?.[0]) || by(one);
      const all = document.querySelectorAll("button, input, progress, [role=img], [role=tabpanel], dialog");
      return [...all].filter((one) => !isNamed(one)).map((one) => one.outerHTML);
    }"""
    assert page.evaluate(unnamed) == []
    identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(identifiers) == len(set(identifiers))
    pointers = page.evaluate(
        "[...document.querySelectorAll('[aria-controls], [aria-labelledby]')]"
        ".map((one) => one.getAttribute('aria-controls') ?? one.getAttribute('aria-labelledby'))"
    )
    assert set(pointers) <= set(identifiers)
    assert page.get_attribute("#viewer .said", "role") == page.get_attribute("#said", "role") == "status"
    assert "1 of 1, class/image_00001.jpg" in page.text_content("#viewer .announced")
    page.keyboard.press("f")
    assert "Judged: a face" in page.text_content("#viewer .said")
    page.keyboard.press("Escape")
    label = page.get_attribute("#grid .tile:focus", "aria-label")
    assert label == "1 of 1, near miss, score 0.310, face, class/image_00001.jpg"
    assert page.get_attribute("#tab-near-misses", "aria-selected") == "true"
    page.focus("#tab-near-misses")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-suspects"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is seen"


def test_the_whole_page_is_reached_with_the_tab_key(tmp_path: Path, opened: Open) -> None:
    save_picture(tmp_path)
    page = opened(tmp_path, of_boxes())
    reached = set()
    for _ in range(15):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.localName"
            )
        )
    assert {"summary", "tab-near-misses", "judge", "tile", "undo", "save", "load"} <= reached


def test_a_small_box_of_a_large_picture_is_shown_from_its_crop(tmp_path: Path, opened: Open) -> None:
    """At 160 px at least, in the gallery from the crop too; the crop lies where its part of the image is."""
    save_picture(tmp_path)
    blue = np.zeros((60, 60, 3), np.uint8)
    blue[:, :, 2] = 200
    Image.fromarray(blue).save(tmp_path / "pictures" / "000001-1.jpg", quality=95)
    crop = {"picture": "pictures/000001-1.jpg", "box": [970, 470, 1030, 530]}
    found = {**near_miss([990, 490, 1010, 510]), "crop": crop}
    size = {"width": 4000, "height": 3000, "stored_width": 4000, "stored_height": 3000}
    page = opened(tmp_path, account_of([image(1, near_misses=[found], **size)]))
    assert "1 image of the sample is shown smaller" in " ".join(page.inner_text("#smaller").split())
    assert "less than about 400 px" in " ".join(page.inner_text("#smaller").split()), "20 px of 200 for 4000"
    color = tuple(int(value) for value in np.asarray(Image.open(tmp_path / crop["picture"]))[30, 30])
    page.locator("#gallery").scroll_into_view_if_needed()
    tile = bounds_of(screenshot(page), color, 4)
    assert tile[2] - tile[0] > 100
    page.click("#judge")
    pixels = screenshot(page)
    pixels = pixels[:, :900]  # without the list of boxes
    box = bounds_of(pixels, color_of(page, "--box-near-miss"), 12)
    assert box[2] - box[0] >= 160
    part = np.array(bounds_of(pixels, color, 4))
    side = (part[2] - part[0]) / 60
    expected = [part[0] + 20 * side, part[1] + 20 * side, part[0] + 40 * side, part[1] + 40 * side]
    assert np.abs(np.array(box) - expected).max() <= 5
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    assert saved(page)[0]["judged"] == [{"kind": "near miss", "box": found["box"], "verdict": "no face"}]


def test_a_crop_elsewhere_is_refused(tmp_path: Path) -> None:
    found = {**near_miss([0, 0, 9, 9]), "crop": {"picture": "../000001-1.jpg", "box": [0, 0, 20, 20]}}
    with pytest.raises(ValueError, match=r"expected pictures/NUMBER\.jpg"):
        write_page(tmp_path, account_of([image(1, near_misses=[found])]))
