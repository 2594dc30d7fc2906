"""index.html written: the template filled, styles, script and data put into it."""

import base64
import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from fastblur.audit.page.charts import charts
from fastblur.errors import UsageError
from fastblur.files import atomic_write
from fastblur.need import need

SCRIPTS = ("estimate.js", "judgements.js", "lines.js", "boxes.js", "gallery.js", "viewer.js", "page.js")
PICTURE = re.compile(r"pictures/[0-9]+(-[0-9]+)?\.jpg")
BOXES = ("regions", "near_misses", "suspects")
VISIBLE = 20  # px of a face's longer side in a picture: with fewer it is hard to see
SHARDS = 1000  # at most so many in the page; audit.json has all
PROBLEMS = 1000  # likewise
NOT_IN_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def write_page(
    report: Path,  # the folder in which pictures/ lies
    account: dict[str, Any],  # the content of audit.json
) -> None:
    """Write index.html into `report`, for its owner only; it works without a server and loads nothing from elsewhere.

    Raises UsageError where a picture is not `pictures/NUMBER.jpg`, MissingPackage without Jinja2 or Matplotlib, and
    OSError.
    """
    for image in account["images"]:
        crops = [one["crop"]["picture"] for name in BOXES for one in image[name] if one.get("crop")]
        for picture in (image["picture"], *crops):
            if not PICTURE.fullmatch(picture):
                raise UsageError(f"a picture of {image['image']!r} is {picture!r}, expected pictures/NUMBER.jpg")
    script = "".join(_part(name) for name in SCRIPTS)
    markup = need("markupsafe", "audit").Markup
    environment = need("jinja2", "audit").Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page: str = environment.from_string(_part("page.html.j2")).render(
        account=account,
        count_of_problems=len(account["account"]["problems"]) + account["account"].get("problems_left_out", 0),
        shards=account["account"]["shards"][:SHARDS],
        problems=account["account"]["problems"][:PROBLEMS],
        charts={name: markup(svg) for name, svg in charts(account).items()},
        smaller=_smaller(account["images"]),
        is_all=_is_all(account),
        suspects=sum(len(image["suspects"]) for image in account["images"]),
        policy=_policy(script),
        style=markup(_part("page.css")),
        script=markup(script),
        data=markup(_json({"identity": _identity(account), "images": account["images"]})),
    )
    # Half of a surrogate pair stands for a byte of a name that is no UTF-8.
    data = page.encode("utf-8", "backslashreplace")
    atomic_write(report / "index.html", data, place=_place_for_owner)


def _smaller(images: list[dict[str, Any]]) -> dict[str, int] | None:
    """How many images of the sample are shown smaller than they are, and the least face that is seen in all, px."""
    scales = [one["picture_width"] / one["width"] for one in images if one["sampled"]]
    small = [scale for scale in scales if scale < 0.99]
    return {"images": len(small), "face": math.ceil(VISIBLE / min(small))} if small else None


def _is_all(account: dict[str, Any]) -> bool:
    """Whether the sample has all images of the output that were searched, or copied without a face."""
    search = account.get("search")
    return search is not None and search["drawn"] == search["population"]


def _part(name: str) -> str:
    """The text of a file next to this module."""
    return Path(__file__).with_name(name).read_text("utf-8")


def _json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end the element or begin another."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII only, so no U+2028 either
    return re.sub("[<>&]", lambda found: NOT_IN_HTML[found[0]], text)


def _identity(account: dict[str, Any]) -> str:
    """The name under which a browser keeps the judgements of this audit and of no other."""
    return hashlib.sha256(json.dumps(account, sort_keys=True).encode("ascii")).hexdigest()[:32]


def _policy(script: str) -> str:
    """The content security policy: this script alone, the report's pictures, nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )


def _place_for_owner(temporary: str, path: str) -> None:
    os.chmod(temporary, 0o600)
    os.replace(temporary, path)
