"""The headers of every answer to browsers: every route, every way to fail, on both ports."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientResponse, hdrs, web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from tests.integration.public_application import application
from tests.integration.shops import CONFIG, KEYS
from worker.config import Config
from worker.http_apps import ops_app
from worker.ops.health import Ops
from worker.ops.state_metrics import state_metrics_of
from worker.postgres.database import Database
from worker.runtime.http_listener import HEADERS
from worker.telemetry.metrics import Metrics

QUICK = replace(CONFIG, return_wait=0.0)
NOBODYS = "pay_" + "0" * 26
DOCUMENTS = ("/docs", "/openapi.json", "/asyncapi.json", "/schemas/payment-1.json", "/schemas/event-1.json")
CACHED = "public, max-age=3600"
KEYED = {"Authorization": f"Bearer {KEYS['shop']}"}


@asynccontextmanager
async def public(database: Database, config: Config = QUICK) -> AsyncIterator[tuple[TestClient, web.Application]]:
    async with application(database, config) as app:
        app.router.add_get("/breaks", breaks)
        async with TestClient(TestServer(app)) as client:
            yield client, app


async def breaks(_: web.Request) -> web.Response:
    raise RuntimeError("our bug")


def paths(app: web.Application) -> list[tuple[str, str]]:
    """Every route, with its variables filled in."""
    found = []
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical.replace("{account}", "shop-bag").replace("{said}", "success")
        path = re.sub(r"\{payment_id[^}]*\}+", NOBODYS, path)
        found.append((route.method, re.sub(r"\{(webhook_id|event_id)[^}]*\}+", "nobodys", path)))
    return found


def guarded(response: ClientResponse) -> None:
    where = f"{response.method} {response.url} {response.status}"
    for name, value in HEADERS.items():
        if name == "Content-Security-Policy":
            told = response.headers[name]
            assert "default-src 'none'" in told, where
            assert "frame-ancestors 'none'" in told, where
            assert "unsafe" not in told, where
        else:
            public = name == "Cache-Control" and response.url.path in DOCUMENTS and response.status == 200
            assert response.headers.getall(name) == [CACHED if public else value], (where, name)
    assert "Server" not in response.headers, where
    assert "Set-Cookie" not in response.headers, where


async def test_every_route_is_guarded(database: Database) -> None:
    async with public(database) as (client, app):
        tried = paths(app)
        assert len(tried) > 20
        assert not any("{" in path for _, path in tried), tried
        for method, path in tried:
            for headers in ({}, KEYED):
                async with client.request(method, path, headers=headers, allow_redirects=False) as response:
                    guarded(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("GET", "/v1/nothing", 401),
        ("DELETE", "/webhooks/shop-bag", 405),
        ("PUT", "/return/shop-bag", 405),
        ("GET", "/breaks", 500),
        ("GET", "/%2e%2e/etc", 404),
    ],
)
async def test_every_way_to_fail_is_guarded(database: Database, method: str, path: str, status: int) -> None:
    async with public(database) as (client, _), client.request(method, path) as response:
        assert response.status == status
        guarded(response)


async def test_a_body_that_is_too_large_is_refused_guarded(database: Database) -> None:
    async with public(database) as (client, _), client.post("/webhooks/shop-bag", data=b"x" * 70_000) as response:
        assert response.status == 413
        guarded(response)


@pytest.mark.parametrize(("url", "told"), [("https://pay.example", True), ("http://pay.example", False)])
async def test_browsers_are_held_to_https_only_where_we_have_it(database: Database, url: str, told: bool) -> None:
    config = replace(QUICK, settings=replace(QUICK.settings, public_url=url))
    async with public(database, config) as (client, _):
        for path in ("/openapi.json", f"/return/shop-bag/{NOBODYS}", "/nothing"):
            async with client.get(path) as response:
                assert (hdrs.STRICT_TRANSPORT_SECURITY in response.headers) is told


async def test_the_operators_port_is_guarded_too(database: Database) -> None:
    metrics = Metrics(CONFIG.accounts)
    ops = Ops(database, None, metrics, state_metrics_of(CONFIG, database, None, metrics), list, ("ingress",))
    app = ops_app(ops)
    async with TestClient(TestServer(app)) as client:
        for method, path in [*paths(app), ("GET", "/nothing")]:
            async with client.request(method, path) as response:
                guarded(response)
