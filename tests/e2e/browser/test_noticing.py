"""The watch over the pages of the other tests: each thing that it must notice is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.e2e.browser.axe import accessible
from tests.e2e.browser.chromium import windows_of
from tests.local_server import serving

POLICY = {"Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'"}
PAGES = {
    "violation": ("<img alt='' src='/picture'>", "Content Security Policy"),
    "thrown": ("<script>throw new Error('ours')</script>", "ours"),
    "logged": ("<script>console.error('ours')</script>", "ours"),
    "away": ("<meta http-equiv='refresh' content='0;url=http://shop.example/'>", "a request to http://shop.example/"),
    "missing": ("", "404 from"),
}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = PAGES.get(name, ("<a href='/'></a>", ""))[0]
        text = f"<!doctype html><html lang=en><title>{name}</title><h1>{name}</h1>{body}"
        status = 404 if name == "missing" else 200
        return web.Response(text=text, status=status, content_type="text/html", headers=POLICY)

    app = web.Application()
    app.add_routes([web.get("/{name}", page)])
    async with serving(app) as base:
        yield base


@pytest.mark.parametrize("name", PAGES)
async def test_what_a_page_may_not_do_is_noticed(url: str, name: str) -> None:
    async with windows_of(name) as windows:
        page = await windows.open()
        async with page.expect_event("requestfinished" if name != "away" else "requestfailed"):
            await page.goto(f"{url}/{name}")
    assert PAGES[name][1] in "\n".join(windows.complaints)


async def test_a_refusal_that_is_expected_is_no_complaint(url: str) -> None:
    async with windows_of("expected") as windows:
        page = await windows.open(may=[404])
        await page.goto(f"{url}/missing")
    assert windows.complaints == []


async def test_a_link_without_words_is_a_serious_fault_under_a_strict_policy_too(url: str) -> None:
    async with windows_of("axe") as windows:
        page = await windows.open()
        await page.goto(f"{url}/wordless")
        with pytest.raises(AssertionError, match=r"link-name \(serious\) at a: "):
            await accessible(page)
    assert windows.complaints == []
