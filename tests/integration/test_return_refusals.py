"""Whatever is refused under `/return` is a page in the buyer's language, and says not to pay again."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from tests.integration.public_application import application
from tests.integration.test_headers import NOBODYS, QUICK, breaks, guarded
from worker.ingress.pages.page_words import LANGUAGES
from worker.postgres.database import Database

LARGE = b"x" * 70_000
BANGLA = {"Accept-Language": "bn-BD,bn;q=0.9,en;q=0.5"}


async def said(response: ClientResponse) -> str:
    """The page's text, of which the title is the first. Fails where it is no page in Bangla."""
    guarded(response)
    assert response.content_type == "text/html"
    assert response.headers["Content-Language"] == "bn"
    html = await response.text()
    assert '<html lang="bn">' in html
    text = unescape(re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL))
    assert "আবার পেমেন্ট করবেন না" in text
    return text


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/return", 404, "not_found"),
        ("GET", "/return/", 404, "not_found"),
        ("GET", "/return/nobody", 404, "not_found"),
        ("POST", f"/return/shop-bag/{NOBODYS}/paid", 404, "not_found"),
        ("GET", f"/return/shop-bag/{NOBODYS}//", 404, "not_found"),
        ("GET", "/return/1/2/3/breaks", 500, "send_again"),
        ("POST", "/return/shop-bag", 413, "send_again"),
        ("POST", f"/return/shop-bag/{NOBODYS}/cancel", 413, "busy"),
    ],
)
async def test_a_refusal_is_a_page(database: Database, method: str, path: str, status: int, name: str) -> None:
    async with application(database, QUICK) as app:
        app.router.add_get("/return/1/2/3/breaks", breaks)
        async with (
            TestClient(TestServer(app)) as client,
            client.request(method, path, data=LARGE if status == 413 else None, headers=BANGLA) as response,
        ):
            assert response.status == status
            assert LANGUAGES["bn"].pages[name].title in await said(response)


async def test_what_is_no_path_of_buyers_stays_text(database: Database) -> None:
    async with application(database, QUICK) as app, TestClient(TestServer(app)) as client:
        for path in ("/returned", "/nothing"):
            async with client.get(path, headers=BANGLA) as response:
                assert (response.status, response.content_type) == (404, "text/plain")


async def test_a_body_that_is_not_read_leads_on_by_its_path(database: Database) -> None:
    """A page cannot send the body again. The path names the payment, and its claim makes us ask the gateway."""
    path = f"/return/shop-bag/{NOBODYS}/success"
    async with (
        application(database, QUICK) as app,
        TestClient(TestServer(app)) as client,
        client.post(path, data=LARGE, headers=BANGLA) as response,
    ):
        assert response.headers["Connection"] == "close"
        assert f'content="5;url={path}"' in await response.text()


@pytest.mark.parametrize(
    "path", ["/return/1/2/3", f"/return/shop-bag/{NOBODYS}?order_id=a", "/return/shop-bag?a=%3Cb%3E"]
)
async def test_a_page_about_nothing_offers_the_other_language(database: Database, path: str) -> None:
    async with application(database, QUICK) as app, TestClient(TestServer(app)) as client:
        async with client.get(path, headers={"Accept-Language": "en"}) as response:
            assert (response.status, response.headers["Content-Language"]) == (404, "en")
            (link,) = re.findall(r'<a lang="bn" hreflang="bn" href="([^"]+)">', await response.text())
        async with client.get(urljoin(path, unescape(link)), headers={"Accept-Language": "en"}) as response:
            assert response.status == 404
            assert LANGUAGES["bn"].pages["not_found"].title in await said(response)
