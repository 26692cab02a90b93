"""Debian's Chromium under Playwright, for system tests; every request that leaves the loopback fails the test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 30_000
"""A loaded two-core machine may be slow; what must be fast is measured by the benchmark."""


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Tab:
    """One page of a fresh profile, watched: requests, console errors and exceptions."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1440, height: int = 900, theme: str = "light") -> None:
        self.url = url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        self._context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.page.on("request", self._requested)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)

    def open(self, place: str = "/") -> Page:
        self.page.goto(self.url + place)
        return self.page

    def log_in(self, name: str, password: str) -> None:
        """Through the form, as a person would."""
        self.open("/#/account")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("link", name=name).wait_for()

    def foreign_requests(self) -> list[str]:
        return [url for url in self.requests if urlsplit(url).hostname not in ("127.0.0.1", None)]

    def close(self) -> None:
        self._context.close()

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)
