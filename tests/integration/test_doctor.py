"""The doctor's single checks: clocks of gateways, unreachable addresses, payments that no process looks at."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.gateway import Provider
from consumers.providers.aamarpay import AamarPay
from consumers.providers.bkash import BKash
from consumers.providers.ipay import IPay
from consumers.providers.onepaybd import OnePayBD
from schemas.secret import Secret
from tests.integration.endpoints import endpoint_at, happen
from tests.integration.shops import CONFIG, Shops
from tests.local_server import serving
from worker.config import Config
from worker.config.shapes import DAY, Retained
from worker.ops.doctor import installation
from worker.ops.doctor.address import named_locally, not_public, public_url
from worker.ops.doctor.findings import file_findings
from worker.ops.doctor.gateway_check import NewTokens, clock_skew, examine_gateway
from worker.ops.doctor.installation import inspect_installation, overdue
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.postgres.tokens import PostgresTokens
from worker.verify.gateways import gateways

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def noon() -> datetime:
    return NOON


@asynccontextmanager
async def gateway(date: Callable[[], str], *, elsewhere: bool = False) -> AsyncIterator[str]:
    """A gateway that knows no payment, with this date; or, `elsewhere`, another server's web page."""

    async def answer(_: web.Request) -> web.Response:
        if elsewhere:
            return web.Response(text="<h1>Not here</h1>", content_type="text/html", status=404)
        return web.json_response({"detail": "Order not found"}, status=404, headers={"Date": date()})

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with serving(app) as base:
        yield f"{base}/api"


@pytest.mark.parametrize("seconds", [0, 300, -7200])
async def test_a_gateways_clock_is_compared_with_ours(seconds: int) -> None:
    async with gateway(lambda: format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)) as url:
        assert await clock_skew(url, noon) == seconds


async def test_a_gateway_that_tells_no_readable_time_is_not_blamed() -> None:
    async with gateway(lambda: "yesterday") as url:
        assert await clock_skew(url, noon) is None
    assert await clock_skew(url, noon) is None, "and a gateway that is gone"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(119, None), (121, "its clock is 121 s ahead of ours"), (-3600, "its clock is 3600 s behind ours")],
)
async def test_more_than_two_minutes_are_told(shops: Shops, seconds: int, told: str | None) -> None:
    async with (
        gateway(lambda: format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)) as url,
        gateways(PostgresTokens(shops.database)) as asking,
    ):
        account = Account(id="a", merchant="shop", provider=IPay(base_url=url, api_key=Secret("key")))
        first, *more = await examine_gateway(asking, account, noon)
    assert first.mark == "ok", first
    assert [one.words for one in more] == ([told] if told else [])
    assert all(one.mark == "no" and "NTP" in one.to_do for one in more)


async def test_where_no_gateway_answers_every_setting_of_the_address_is_named(shops: Shops) -> None:
    async with (
        gateway(lambda: format_datetime(NOON, usegmt=True), elsewhere=True) as url,
        gateways(PostgresTokens(shops.database)) as asking,
    ):
        account = Account(id="a", merchant="shop", provider=IPay(base_url=url, api_key=Secret("key")))
        found, *_ = await examine_gateway(asking, account, noon)
    assert (found.mark, found.words.partition(" (")[0]) == ("no", "it answers, but not as this gateway should")
    assert found.to_do == f"is base_url right, and the path of its status table if it has one? base_url is {url}"


@asynccontextmanager
async def answering(*replies: tuple[str, str, int, dict[str, object]]) -> AsyncIterator[str]:
    """A gateway that answers each (method, path) by a status and JSON."""
    app = web.Application()

    def say(status: int, body: dict[str, object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body, status=status)

        return answer

    for method, path, status, body in replies:
        app.router.add_route(method, path, say(status, body))
    async with serving(app) as base:
        yield base


async def examined(provider: Provider) -> tuple[str, str]:
    async with gateways(NewTokens()) as asking:
        found, *_ = await examine_gateway(asking, Account(id="a", merchant="shop", provider=provider), noon)
    return found.mark, found.words


SEARCH = "/api/v1/trxcheck/request.php"


@pytest.mark.parametrize(
    ("status", "body", "mark", "words"),
    [
        (200, {"msg": "Invalid"}, "!!", "reachable, and nobody can tell whether its keys work: aamarPay documents no"),
        (401, {"msg": "Invalid"}, "no", "it refuses the key or password (HTTP 401)"),
        (500, {"msg": "Invalid"}, "no", "it is in trouble just now (HTTP 500)"),
    ],
)
async def test_a_gateway_whose_replies_prove_no_key_is_told_as_such(
    status: int, body: dict[str, object], mark: str, words: str
) -> None:
    async with answering(("GET", SEARCH, status, body)) as url:
        told = await examined(AamarPay(base_url=url, store_id=Secret("s"), signature_key=Secret("k")))
    assert (told[0], told[1].startswith(words)) == (mark, True), told


@pytest.mark.parametrize("topic", [None, "arn:aws:sns:ap-southeast-1:123456789012:bpt_01700000000"])
async def test_a_bkash_account_without_a_topic_is_told_that_its_webhooks_are_refused(
    shops: Shops, topic: str | None
) -> None:
    granted = ("POST", "/tokenized/checkout/token/grant", 200, {"statusCode": "0000", "id_token": "t"})
    unknown = ("POST", "/tokenized/checkout/payment/status", 200, {"statusCode": "2002", "statusMessage": "Invalid"})
    key = Secret("key")
    async with answering(granted, unknown) as url, gateways(PostgresTokens(shops.database)) as asking:
        provider = BKash(base_url=url, app_key=key, app_secret=key, username=key, password=key, topic_arn=topic)
        account = Account(id="a", merchant="shop", provider=provider)
        proven, *others = await examine_gateway(asking, account, lambda: datetime.now(UTC))
    assert (proven.mark, proven.words) == ("ok", "reachable, and it accepts the key")
    assert [one.words.partition(" until ")[0] for one in others if one.mark == "ok"] == (
        [] if topic else ["bKash's webhooks get 401"]
    )


async def test_a_token_of_former_credentials_hides_no_wrong_ones(shops: Shops) -> None:
    unknown = ("POST", "/status", 200, {"statusCode": "2002", "statusMessage": "Invalid Payment ID"})
    granted = ("POST", "/grant", 200, {"statusCode": "0000", "id_token": "new", "expires_in": 3600})
    refused = ("POST", "/grant", 200, {"statusCode": "2001", "statusMessage": "Invalid App Key"})
    await shops.database.execute(
        "INSERT INTO tokens (account, token, expires_at) VALUES ('a', 'old', clock_timestamp() + interval '1 hour')"
    )
    async with answering(granted, unknown) as url:
        provider = OnePayBD(base_url=url, api_key=Secret("k"))
        assert await examined(provider) == ("ok", "reachable, and it accepts the key")
    async with answering(refused, unknown) as url:
        provider = OnePayBD(base_url=url, api_key=Secret("k"))
        assert await examined(provider) == ("no", "it refuses the key or password (error 2001)")
    (row,) = await shops.database.fetch("SELECT token FROM tokens WHERE account = 'a'")
    assert row["token"] == "old", "the workers' token stays"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "loopback"),
        ("10.1.2.3", "private"),
        ("192.168.0.7", "private"),
        ("172.16.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("169.254.3.4", "link-local"),
        ("fe80::1", "link-local"),
        ("8.8.8.8", None),
        ("2606:4700::1111", None),
        ("pay.shop.example", None),
    ],
)
def test_an_address_that_the_internet_does_not_reach_is_known(address: str, why: str | None) -> None:
    told = not_public(address)
    assert told is None if why is None else told is not None and why in told


@pytest.mark.parametrize("name", ["localhost", "pay", "pay.local", "shop.internal", "nas.lan"])
def test_a_name_that_means_nothing_elsewhere_is_known(name: str) -> None:
    assert named_locally(name)
    assert named_locally("pay.shop.com.bd") is None


def at(url: str) -> Config:
    return replace(CONFIG, settings=replace(CONFIG.settings, public_url=url))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:8080", "loopback"),
        ("https://192.168.1.5", "private"),
        ("https://169.254.1.5", "link-local"),
        ("https://pay", "known only in your own network"),
        ("https://pay.invalid", "is not known here"),
        ("http://8.8.8.8", "cannot reach it by https"),
    ],
)
async def test_a_public_url_that_gateways_abroad_cannot_reach_is_wrong(url: str, why: str) -> None:
    found = await public_url(at(url))
    assert (found.mark, found.words.startswith(url)) == ("no", True)
    assert why in found.words
    assert found.to_do


async def test_a_public_url_with_https_at_a_public_address_is_well() -> None:
    assert (await public_url(at("https://8.8.8.8"))).mark == "ok"


def test_too_few_open_files_for_the_connections_are_told() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    few, many = (replace(CONFIG.settings, max_connections=count) for count in (10, 10 * most))
    assert list(file_findings(replace(CONFIG, settings=few))) == []
    (found,) = file_findings(replace(CONFIG, settings=many))
    assert (found.mark, found.subject) == ("!!", "open files")
    assert f"may open {most} files" in found.words


def test_a_payment_that_nobody_looks_at_is_told_the_louder_the_longer() -> None:
    def mark(minutes: int) -> str | None:
        found = overdue("a", NOON, NOON + timedelta(minutes=minutes))
        return found and found.mark

    assert [mark(minutes) for minutes in (0, 2, 3, 15, 16)] == [None, None, "!!", "!!", "no"]


async def test_the_database_tells_who_waits_in_vain(shops: Shops) -> None:
    assert [one.mark async for one in inspect_installation(shops.database, CONFIG)] == ["ok"]
    await shops.opened(account="shop-ipay", reference="one")
    await shops.database.execute("UPDATE payments SET next_check_at = clock_timestamp() - interval '1 hour'")
    found = [one async for one in inspect_installation(shops.database, CONFIG)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("no", "sweep")]
    assert found[1].words.startswith("a payment of shop-ipay is due since ")
    without = replace(CONFIG, merchants=())
    found = [one async for one in inspect_installation(shops.database, without)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("no", "account shop-ipay")]
    assert "; 1 of them are not settled" in found[1].words
    await shops.database.execute("UPDATE payments SET next_check_at = NULL")
    found = [one async for one in inspect_installation(shops.database, without)]
    assert [one.mark for one in found[1:]] == ["!!"]


async def test_a_cursor_of_a_broker_that_is_used_no_more_is_told_where_it_keeps_old_events(shops: Shops) -> None:
    kept = replace(CONFIG, retention=Retained(events=90 * DAY))
    await shops.opened(account="shop-ipay", reference="one")
    await shops.placed()
    await shops.database.execute("INSERT INTO relays VALUES ('rabbitmq', 0)")
    assert [one.mark async for one in inspect_installation(shops.database, kept)] == ["ok"]
    await shops.database.execute("UPDATE events SET time = time - interval '91 days'")
    found = [one async for one in inspect_installation(shops.database, kept)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("!!", "retention.events")]
    assert [one.mark async for one in inspect_installation(shops.database, CONFIG)] == ["ok"], "all are kept for good"
    await shops.database.execute("DELETE FROM relays")
    assert [one.mark async for one in inspect_installation(shops.database, kept)] == ["ok"]


async def test_what_a_failover_lost_is_told_and_a_payment_until_it_is_posted_again(shops: Shops) -> None:
    there = await shops.opened(account="shop-ipay", reference="one")
    row = """INSERT INTO lost_events (id, payment_id, type, merchant, account, reference)
        VALUES ($1 || '.1', $1, 'payment.opened', 'shop', 'shop-ipay', $2)"""
    await shops.database.execute(row, there["payment_id"], "one")
    found = [one async for one in inspect_installation(shops.database, CONFIG)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("!!", "failover")]
    gone = "pay_00000000000000000000000009"
    await shops.database.execute(row, gone, "two")
    await shops.database.execute("UPDATE lost_events SET found_at = found_at - interval '2 days'")
    found = [one async for one in inspect_installation(shops.database, CONFIG)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("!!", "failover"), ("no", "failover")]
    assert found[2].words == "1 payments were lost: shop-ipay two"
    assert (await shops.opened(account="shop-ipay", reference="two"))["payment_id"] == gone
    assert [one.mark async for one in inspect_installation(shops.database, CONFIG)] == ["ok"]


async def test_what_waits_for_a_silent_gateway_is_not_the_sweeps_fault(shops: Shops) -> None:
    await shops.opened(account="shop-ipay", reference="one")
    await shops.database.execute("UPDATE payments SET next_check_at = clock_timestamp() - interval '1 hour'")
    await shops.database.execute("INSERT INTO allowances (account, troubles) VALUES ('shop-ipay', 10)")
    found = [one async for one in inspect_installation(shops.database, CONFIG)]
    assert [(one.mark, one.subject) for one in found[1:]] == [("!!", "account shop-ipay")]


async def test_few_free_connections_are_told(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [found.subject async for found in inspect_installation(shops.database, CONFIG)]
    assert "database connections" not in subjects
    monkeypatch.setattr(installation, "PROCESS_CONNECTIONS", 1_000)
    (told,) = [
        found async for found in inspect_installation(shops.database, CONFIG) if found.subject == "database connections"
    ]
    assert told.mark == "!!"
    assert told.words.endswith("are free, and a process of all roles opens 1000")


async def test_events_that_wait_for_an_endpoint_in_no_configuration_are_told(shops: Shops) -> None:
    (removed,) = await begin_endpoints(shops.database, [endpoint_at("https://old.example/hook?token=secret")])
    await happen(shops.database, 2)

    async def told() -> list[str]:
        found = [one async for one in inspect_installation(shops.database, CONFIG)]
        return [f"{one.mark} {one.subject}: {one.to_do}" for one in found if one.subject.startswith("endpoint")]

    assert await told() == [], "nothing waits for it"
    await shops.database.execute(
        "INSERT INTO deliveries (endpoint, event_id, place, next_at) SELECT $1, id, place, now() FROM events",
        removed.id,
    )
    (finding,) = await told()
    assert finding.startswith(f"no endpoint {removed.id} of m: payproof webhooks move {removed.id} ENDPOINT")
    assert "secret" not in finding
