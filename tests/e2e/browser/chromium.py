"""A buyer's browser: the system's Chromium with windows of the sizes, languages and abilities that buyers have.

A browser belongs to the event loop it was started in. A test that serves pages by its own loop needs its own browser,
which takes about a second. Where all pages come from other processes, tests share a browser.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    async_playwright,
    expect,
)

PHONE = ViewportSize(width=360, height=740)
DESKTOP = ViewportSize(width=1280, height=900)
ENGLISH, BANGLA = "en-US", "bn-BD"
SECONDS = 60
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@cache
def chromium() -> str:
    """The first Chromium that runs; a Chromium that only points to a snap does not."""
    for name in NAMES:
        found = shutil.which(name)
        if found and not subprocess.run([found, "--version"], capture_output=True, timeout=30, check=False).returncode:
            return found
    raise AssertionError(f"no Chromium runs here ({', '.join(NAMES)}); deploy/dev test e2e installs it.")


class Windows:
    """The windows of one test, each with a context of its own: no cookies, cache or permissions are shared.

    `complaints` are events that no page of ours may cause: errors in the console, which include a violated content
    security policy, errors of scripts, answers of 400 and above to navigations, and requests that leave this machine.
    """

    def __init__(self, browser: Browser, test: str) -> None:
        self._browser, self._test = browser, test
        self._snaps = 0
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    async def open(
        self, size: ViewportSize = DESKTOP, locale: str = ENGLISH, *, scripts: bool = True, may: Collection[int] = ()
    ) -> Page:
        """An empty window. `may`: the statuses from 400 up that its navigations may be answered with."""
        context = await self._browser.new_context(
            viewport=size, locale=locale, java_script_enabled=scripts, service_workers="block"
        )
        self._contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)
        context.on("request", self._requested)
        refused = set[str]()

        def answered(response: Response) -> None:
            if response.status >= 400 and response.request.is_navigation_request():
                refused.add(response.url)
                if response.status not in may:
                    self.complaints.append(f"{response.status} from {response.url}")

        def said(message: ConsoleMessage) -> None:
            # The console repeats a refused navigation, which is judged above, and an icon that no page named: the
            # browser requests it by itself at any moment.
            at = message.location["url"]
            if message.type == "error" and at not in refused and urlsplit(at).path != "/favicon.ico":
                self.complaints.append(f"console: {message.text} ({at})")

        context.on("response", answered)
        context.on("console", said)
        context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        return await context.new_page()

    async def close(self) -> None:
        """Close all windows: before their server ends, since a page that refreshes itself would complain."""
        while self._contexts:
            await self._contexts.pop().close()

    async def snap(self, page: Page, name: str) -> None:
        """Save a picture of the whole page in the directory PAYPROOF_SCREENSHOTS, if it is set, named by the test."""
        if place := os.environ.get("PAYPROOF_SCREENSHOTS"):
            self._snaps += 1
            file = re.sub(r"[^\w-]+", "-", f"{self._test}-{self._snaps}-{name}").strip("-")
            await page.screenshot(path=Path(place) / f"{file}.png", full_page=True)

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname not in LOOPBACK:
            self.complaints.append(f"a request to {request.url}")


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser of this event loop, ended afterwards."""
    expect.set_options(timeout=SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=FLAGS,
            chromium_sandbox=os.geteuid() != 0,  # Chromium refuses to sandbox itself as root
            timeout=SECONDS * 1000,
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def windows_of(test: str) -> AsyncIterator[Windows]:
    """The windows of a test that has a browser to itself."""
    async with launched() as browser:
        yield Windows(browser, test)
