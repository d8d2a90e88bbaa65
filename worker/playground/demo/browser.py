"""A buyer's browser: follows redirects by hand, posts a form once, and follows pages that reload themselves.

It interprets nothing: its result is the titles of the pages that it visited, in order.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import urljoin

import aiohttp

CONFIRMING = "Confirming your payment"
SECONDS = 30.0
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_REFRESH = re.compile(r'<meta http-equiv="refresh" content="([0-9]+)(?:;url=([^"]+))?">')


class Browser:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def visit(self, url: str, *, form: Mapping[str, str] | None = None, leave_at: str | None = None) -> list[str]:
        """Visit `url`, or post `form` there, and follow it to its end. Returns the titles seen.

        The tab is closed at a page called `leave_at`.
        """
        seen: list[str] = []
        while True:
            status, location, text = await self.get(url, form=form)
            form = None
            if status in (301, 302, 303, 307, 308) and location:
                url = urljoin(url, location)
                continue
            title = _title(status, text)
            if seen[-1:] != [title]:
                seen.append(title)
            refresh = _REFRESH.search(text)
            if refresh is None or title == leave_at:
                return seen
            await asyncio.sleep(float(refresh[1]))
            url = urljoin(url, unescape(refresh[2] or ""))

    async def get(self, url: str, *, form: Mapping[str, str] | None = None) -> tuple[int, str | None, str]:
        """One page: its status, where it redirects to, its text. Raises aiohttp.ClientError and TimeoutError."""
        method, timeout = "GET" if form is None else "POST", aiohttp.ClientTimeout(total=SECONDS)
        async with self._http.request(method, url, data=form, allow_redirects=False, timeout=timeout) as response:
            return response.status, response.headers.get("Location"), await response.text()


def _title(status: int, text: str) -> str:
    found = _TITLE.search(text)
    return unescape(found[1]) if found else f"HTTP {status}"
