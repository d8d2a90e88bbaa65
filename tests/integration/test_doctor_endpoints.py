"""The doctor's look at webhook endpoints, and what it says about openings and settings for development."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from msgspec.structs import replace

from schemas.secret import Secret
from tests.integration.shops import CONFIG
from tests.local_server import serving
from worker.config import Config, Webhook, load
from worker.config.env_file import read_env
from worker.ops.doctor.development import development_findings
from worker.ops.doctor.endpoint_check import endpoint_findings
from worker.ops.doctor.findings import Finding
from worker.ops.doctor.opening_needs import opening_findings
from worker.playground.dev.starting_files import write_starting_files
from worker.runtime.public_addresses import Resolver

SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def configured(url: str, *, private: bool = True) -> Config:
    shop, *_ = CONFIG.merchants
    merchants = (replace(shop, webhooks=(Webhook(url=url, secret=SECRET),)),)
    return replace(CONFIG, merchants=merchants, allow_private_webhooks=private)


async def found(url: str, *, private: bool = True, send: bool = False) -> list[Finding]:
    return [one async for one in endpoint_findings(configured(url, private=private), send=send)]


@pytest.mark.parametrize(("status", "mark"), [(204, "ok"), (500, "no"), (302, "no")])
async def test_an_endpoint_is_connected_to_and_sent_an_event_only_if_wanted(status: int, mark: str) -> None:
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(request.headers["webhook-signature"])
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hooks", take)
    async with serving(app) as base:
        (connected,) = await found(f"{base}/hooks")
        assert (connected.mark, "takes a connection, without TLS" in connected.words, got) == ("ok", True, [])
        _, sent = await found(f"{base}/hooks", send=True)
        assert (sent.mark, sent.words) == (mark, f"it answered {status} to a signed test event")
        assert len(got) == 1


@pytest.mark.parametrize(
    ("url", "private", "mark", "words"),
    [
        ("http://127.0.0.1:9/hooks", True, "!!", "takes no connection"),
        ("https://nowhere.invalid/hooks", True, "!!", "its name is not known here"),
        ("https://127.0.0.1/hooks", False, "no", "not public"),
    ],
)
async def test_an_endpoint_that_cannot_be_reached(url: str, private: bool, mark: str, words: str) -> None:
    (one,) = await found(url, private=private)
    assert (one.mark, words in one.words) == (mark, True), one


@pytest.mark.parametrize(
    ("trusted", "days", "mark", "words"),
    [
        (False, 90, "no", "certificate of localhost is not accepted"),
        (True, 90, "ok", "with a TLS certificate until 20"),
        (True, 7, "!!", "certificate of localhost ends on 20"),
    ],
)
async def test_a_certificate_is_judged_before_events_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool, days: int, mark: str, words: str
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(server)
    if trusted:
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    async with serving(web.Application(), server) as base:
        (one,) = await found(f"{base.replace('127.0.0.1', 'localhost')}/hooks")
    assert (one.mark, words in one.words) == (mark, True), one


def test_gateways_say_which_parts_of_the_customer_they_need() -> None:
    said = {one.subject: one.words for one in opening_findings(CONFIG)}
    assert all("customer." in words for words in said.values())
    assert "opening at shop-ipay" not in said


def test_settings_for_development_are_named() -> None:
    told = configured("http://127.0.0.1:9")
    named = {one.subject for one in development_findings(told)}
    assert {"allow_private_webhooks", "allow_http_hosts"} <= named


async def test_nothing_of_the_sandbox_passes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, "http://127.0.0.1:8090")
    (tmp_path / ".env").chmod(0o644)
    config = load({"PAYPROOF_CONFIG": str(path)}, roles=())
    told = {one.subject: one for one in development_findings(config)}
    assert {one.mark for one in told.values()} == {"!!"}
    assert set(told) == {
        *("development", str(tmp_path / ".env"), "allow_private_webhooks", "base_url", "checks.give_up"),
        *("console.second_person_from", "console.operators", "keys of shop"),
    }
    assert "PAYPROOF_API_KEY" in told["development"].words
    assert read_env((tmp_path / ".env").read_text())["PAYPROOF_API_KEY"] not in str(told)


def test_a_real_shop_is_told_nothing_of_development(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, "http://127.0.0.1:8090")
    text = path.read_text().replace("http://127.0.0.1:8090", "https://gateway.example").replace(', "resolve"', "")
    text = re.sub(r"(?m)^(development|allow_private_webhooks|give_up) .*\n", "", text)
    text = re.sub(r"(?ms)^\[console\].*?(?=^\[\[merchants\]\])", "", text)
    path.write_text(text)
    assert list(development_findings(load({"PAYPROOF_CONFIG": str(path)}, roles=()))) == []


async def test_an_endpoint_is_tried_at_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(*_: object) -> list[dict[str, str]]:
        return [{"host": "127.0.0.2"}, {"host": "127.0.0.1"}]

    monkeypatch.setattr(Resolver, "resolve", both)
    async with serving(web.Application()) as base:
        (connected,) = await found(f"{base}/hooks")
    assert connected.mark == "ok"
