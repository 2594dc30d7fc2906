"""A browser for the tests of the page: Chromium of the system, driven by Playwright, which downloads nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastblur.audit.page import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Any]  # a report's folder and options of a browser's context to a Page


def _absent(why: str) -> None:
    pytest.fail(why) if os.environ.get("FASTBLUR_REQUIRE_BROWSER") else pytest.skip(why)


@pytest.fixture(scope="module")  # no longer: other tests could not run an event loop of their own
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _absent("the package playwright is absent")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        _absent(f"no browser: none of {', '.join(NAMES)} is on PATH (apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens reports; a script's error, a message on the console or an outside request fails the test at its end."""
    contexts: list[Any] = []
    faults: list[str] = []

    def watch(page: Any, report: Path) -> None:
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        inside = (f"{report.resolve().as_uri()}/", "blob:file:")
        page.on(
            "request", lambda one: None if one.url.startswith(inside) else faults.append(f"outside: {one.url[:200]}")
        )

    def open_report(report: Path, account: dict[str, Any] | None = None, *, context: Any = None, **options: Any) -> Any:
        if account is not None:
            write_page(report, account)
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
            context.set_default_timeout(10_000)
            contexts.append(context)
        page = context.new_page()
        watch(page, report)
        page.goto((report / "index.html").resolve().as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert faults == []
