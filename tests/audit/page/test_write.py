"""index.html as it is written: for its owner, without HTML from elsewhere, from files that the wheel has too."""

import json
import os
import stat
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fastblur.audit.page import charts, write_page
from fastblur.errors import UsageError
from tests.audit.page.report import account_of, image, save_picture
from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"


class Elements(HTMLParser):
    """The elements of a page, and what its script of data holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1] == ("script", {"type": "application/json", "id": "account"}):
            self.data += data


def test_the_page_is_for_its_owner_only_and_replaces_an_older_one(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_page(tmp_path, account_of([]))
        write_page(tmp_path, account_of([image(1)]))
    finally:
        os.umask(old)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert stat.S_IMODE((tmp_path / "index.html").stat().st_mode) == 0o600
    assert "image_00001" in (tmp_path / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    "picture", ["https://example.org/1.jpg", "pictures/../1.jpg", "pictures/1.jpg\n", "/pictures/1.jpg", ""]
)
def test_a_picture_from_elsewhere_is_refused(picture: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected pictures/NUMBER\.jpg"):
        write_page(tmp_path, account_of([image(1, picture)]))
    assert list(tmp_path.iterdir()) == []


def test_names_keep_every_byte_and_end_no_script(tmp_path: Path) -> None:
    names = [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "&lt;",
        "\u2028\u2029",
        "\udc80.jpg",
        "é 顔 \U0001f600",
        "\"\\'\n",
    ]
    write_page(tmp_path, account_of([image(number, image=name) for number, name in enumerate(names)]))
    page = Elements((tmp_path / "index.html").read_text("utf-8"))
    assert [entry["image"] for entry in json.loads(page.data)["images"]] == names
    assert [tag for tag, _ in page.found].count("script") == 2


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    save_picture(tmp_path)
    write_page(tmp_path, account_of([image(1)]))
    page = Elements((tmp_path / "index.html").read_text("utf-8"))
    assert {tag for tag, _ in page.found} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    addresses = [
        attributes.get(name) for _, attributes in page.found for name in ("src", "href", "xlink:href", "action")
    ]
    assert [one for one in addresses if one and not one.startswith("#")] == []
    [policy] = [of["content"] for _, of in page.found if of.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_thousands_of_problems_and_shards_are_cut_and_counted(tmp_path: Path) -> None:
    account = account_of([])
    counts = {"images": 1, "hidden": 0, "copied": 1, "failed": 0}
    account["account"]["shards"] = [{"name": f"shard-{i}", **counts} for i in range(3000)]
    problem = {"image": "", "shard": "", "kind": "journal", "sentence": "is cut short."}
    account["account"]["problems"] = [problem] * 1500
    account["account"]["problems_left_out"] = 40
    write_page(tmp_path, account)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert text.count("is cut short.") == 1000
    assert "And 540 more." in text
    assert text.count('<th scope="row">') == 1000
    assert "1,540" in text


def test_a_sample_of_all_images_is_said_to_be_one(tmp_path: Path) -> None:
    account = account_of([image(1)])
    for drawn, is_said in (({"hidden": 200, "copied": 989}, False), ({"hidden": 200, "copied": 990}, True)):
        account["search"]["drawn"] = drawn
        write_page(tmp_path, account)
        page = Elements((tmp_path / "index.html").read_text("utf-8"))
        assert ("is-all" in [attributes.get("id") for _, attributes in page.found]) == is_said
    account["search"] = None
    write_page(tmp_path, account)


def test_charts_show_the_counts_in_colors_of_the_page() -> None:
    made = charts(account_of([]))
    assert list(made) == ["images", "sizes", "scores"]
    identifiers: list[str] = []
    for svg in made.values():
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("width") is root.get("height") is None
        assert "var(--" in svg
        assert "#0" not in svg, "a color that is the same in light and dark"
        identifiers += [element.get("id", "") for element in root.iter() if "id" in element.attrib]
    assert len(identifiers) == len(set(identifiers)), "they stand in one page"
    texts = ["".join(element.itertext()) for element in ElementTree.fromstring(made["images"]).iter(f"{SVG}text")]
    assert {"hidden", "copied", "failed", "200", "990", "10"} <= set(texts)
    said = ElementTree.fromstring(made["sizes"]).get("aria-label", "")
    assert "8 hidden regions" in said
    assert "from 16 to 64, most (5) between 32 and 64" in said


def test_charts_are_the_same_each_time() -> None:
    assert charts(account_of([])) == charts(account_of([]))


@pytest.mark.parametrize(
    "counted", [None, {}, {"sizes": {"edges": [1, 2], "counts": [0]}, "scores": {"edges": [0, 1], "counts": [0]}}]
)
def test_charts_without_data_are_left_out(counted: object, tmp_path: Path) -> None:
    account = account_of([], charts=counted, threshold=None, search=None, detector=None)
    assert list(charts(account)) == ["images"]
    write_page(tmp_path, account)


def test_the_wheel_has_what_the_page_is_made_of(tmp_path: Path) -> None:
    pytest.importorskip("hatchling.build", reason="the package hatchling is absent")
    code = f"import hatchling.build; print(hatchling.build.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "unpacked").mkdir()
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        wheel.extractall(tmp_path / "unpacked")
    account = json.dumps(account_of([image(1)]))
    code = (
        "import json, pathlib, fastblur.audit.page as page\n"
        "assert 'unpacked' in page.__file__\n"
        f"page.write_page(pathlib.Path({str(tmp_path)!r}), json.loads({account!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    write_page(tmp_path / "unpacked", json.loads(account))
    assert (tmp_path / "index.html").read_bytes() == (tmp_path / "unpacked" / "index.html").read_bytes()
