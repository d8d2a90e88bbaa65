"""`/docs` and `/`: for everyone, without a key; what `/docs` shows to paste into a shell is what the API takes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.integration.shops import KEYS, PUBLIC, Shops
from tests.local_server import serving
from worker.api.docs_page import curl, docs_page
from worker.api.entry import entry_routes
from worker.api.openapi import openapi_document
from worker.api.operations import OPERATIONS

DOCUMENT = openapi_document(PUBLIC, "1")
NAMED = {
    one["operationId"]: (method, path, one)
    for path, methods in DOCUMENT["paths"].items()
    for method, one in methods.items()
}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
STATUSES = {
    "openPayment": 422,  # its account is Moneybag's, and it has no account of that name
    "trackPayment": 422,
    "resendDelivery": 404,
    "listDeliveries": 404,
}
"""What a shop gets that has none of the things that the examples name: 404 of a payment, else 200."""


class Links(HTMLParser):
    """Every address and id of a page, and whether it has a script or loads anything."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.hrefs.append(found["href"] or "")
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag in ("script", "img", "iframe", "form", "object") or (tag == "link" and found["href"] != "data:,"):
            self.loads.append(tag)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(entry_routes(f"{PUBLIC}/pay"))
    async with serving(app) as base:
        yield base


async def test_the_page_loads_nothing_and_its_policy_lets_nothing_in(address: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{address}/docs") as got:
        assert got.status == 200
        assert got.headers["Content-Type"] == "text/html; charset=utf-8"
        assert got.headers["Cache-Control"] == "public, max-age=3600"
        policy, page, mark = got.headers["Content-Security-Policy"], await got.text(), got.headers["ETag"]
        assert Links(page).loads == []
        rules = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
        assert rules.pop("style-src").startswith("'sha256-")
        assert rules.pop("img-src") == "data:"
        assert set(rules.values()) == {"'none'"}
        assert set(rules) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
        async with http.get(f"{address}/docs", headers={"If-None-Match": mark}) as again:
            assert (again.status, again.headers["Content-Security-Policy"]) == (304, policy)


def test_every_operation_type_of_event_and_shape_is_on_the_page_and_every_link_leads_there() -> None:
    page = docs_page(DOCUMENT)
    found = Links(page)
    assert {one.name for one in OPERATIONS} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    within = [href.removeprefix("#") for href in found.hrefs if href.startswith("#")]
    assert [one for one in within if one not in found.ids] == []
    assert {href for href in found.hrefs if not href.startswith("#")} == {
        f"{PUBLIC}/openapi.json",
        f"{PUBLIC}/asyncapi.json",
    }
    for name in DOCUMENT["webhooks"]:
        assert f"<code>{name}</code>" in page


async def test_the_entry_has_three_links_for_people_and_for_programs(address: str) -> None:
    wanted = {name: f"{PUBLIC}/pay/{path}" for name, path in {
        "docs": "docs", "openapi": "openapi.json", "asyncapi": "asyncapi.json",
    }.items()}  # fmt: skip
    async with aiohttp.ClientSession() as http:
        for headers in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}):
            async with http.get(f"{address}/", headers=headers) as got:
                assert got.headers["Content-Type"] == "application/json"
                assert await got.json() == {"service": "payproof", **wanted}
                assert got.headers["Vary"] == "Accept"
        async with http.get(f"{address}/", headers=BROWSER) as got:
            assert got.headers["Content-Type"] == "text/html; charset=utf-8"
            assert Links(await got.text()).hrefs == list(wanted.values())
            assert "default-src 'none'" in got.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", NAMED)
async def test_the_request_on_the_page_is_one_that_the_service_takes(shops: Shops, name: str) -> None:
    """It runs as it stands on the page, in a shell, at another address."""
    command = curl(DOCUMENT, *NAMED[name]).replace(PUBLIC, shops.url)
    status, answer = await ran(f"{command} -s -S -w '\\n%{{http_code}}'")
    described = NAMED[name][2]["responses"]
    assert str(status) in described
    assert status == STATUSES.get(name, 404 if "{payment_id}" in NAMED[name][1] else 200)
    if name in ("openPayment", "trackPayment"):
        assert [one["field"] for one in answer["errors"]] == ["account"], "nothing else is wrong with it"


async def test_an_opening_from_the_page_opens_a_payment(shops: Shops) -> None:
    command = curl(DOCUMENT, *NAMED["openPayment"]).replace(PUBLIC, shops.url).replace("shop-moneybag", "shop-bag")
    status, payment = await ran(f"{command} -s -S -w '\\n%{{http_code}}'")
    assert status == 201
    assert payment["metadata"] == {"branch": "Dhanmondi"}
    assert urlsplit(payment["checkout_url"]).netloc


async def ran(command: str) -> tuple[int, Any]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PAYPROOF_API_KEY": KEYS["shop"]},
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    body, _, status = out.decode().rpartition("\n")
    assert re.fullmatch(r"[0-9]{3}", status)
    return int(status), json.loads(body)
