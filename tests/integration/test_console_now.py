"""Now, Gateways and Settings over HTTP: what they say, to whom, and that no secret is among it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from schemas.secret import Secret
from tests.console_rows import silence, some_days
from tests.consoles import Console, running_console
from tests.integration.endpoints import happen
from tests.integration.shops import CONFIG
from worker.config.shapes import Webhook
from worker.config.webhook_endpoints import endpoints_of
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import begin_endpoints

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
HOOKED = replace(
    CONFIG,
    merchants=(
        replace(
            CONFIG.merchants[0],
            webhooks=(Webhook(id="erp", url="https://erp.example/hooks?token=hidden-part", secret=Secret(SECRET)),),
        ),
        CONFIG.merchants[1],
    ),
)


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database, config=HOOKED) as console:
        yield console


async def test_an_empty_installation_says_that_all_is_well(console: Console) -> None:
    page = await (await console.signed_in("vera")).get("/")
    assert page.status == 200
    assert "Nothing is held" in page.text


async def test_held_money_is_told_first_with_its_sum_and_its_age(console: Console, database: Database) -> None:
    await some_days(database, held=2)
    page = (await (await console.signed_in("vera")).get("/")).text
    assert "Held payments: 2, worth BDT 3,001.00; the oldest was opened 3 d ago." in page
    assert "Nothing is held" not in page
    assert page.index("Held payments") < page.index("Money by day")
    assert "<svg" in page
    assert "6 of 8 (75%)" in page


async def test_a_silent_gateway_and_an_endpoint_that_waits_are_told(console: Console, database: Database) -> None:
    await begin_endpoints(database, endpoints_of(HOOKED))
    await silence(database, "shop-one")
    await database.execute("UPDATE endpoints SET disabled_at = clock_timestamp()")
    page = (await (await console.signed_in("vera")).get("/")).text
    assert "shop-one: the gateway is silent" in page
    assert "erp: the endpoint answered 410" in page
    gateways = (await (await console.signed_in("vera")).get("/gateways")).text
    assert gateways.index("shop-one") < gateways.index("shop-bag"), "the silent one comes first"
    assert "Probed at" in gateways


async def test_events_wait_also_while_no_process_makes_deliveries_of_them(console: Console, database: Database) -> None:
    """Nobody runs the role `deliver` here. Now counts what Endpoints counts."""
    await begin_endpoints(database, endpoints_of(HOOKED))
    await happen(database, merchant="shop")
    await happen(database, merchant="shop")
    signed = await console.signed_in("vera")
    assert "erp: 2 events wait for the endpoint" in (await signed.get("/")).text
    assert "Events that wait: 2" in (await signed.get("/endpoints")).text


async def test_an_operator_of_one_merchant_sees_nothing_of_another(console: Console, database: Database) -> None:
    await some_days(database)
    await begin_endpoints(database, endpoints_of(HOOKED))
    await silence(database, "shop-one")
    await database.execute("UPDATE endpoints SET disabled_at = clock_timestamp()")
    signed = await console.signed_in("onlyother")
    for path in ("/", "/gateways", "/settings"):
        page = (await signed.get(path)).text
        for never in ("shop-", "erp", "1,500.50", "Held payments"):
            assert never not in page, (path, never)
        assert "other-one" in page, path


async def test_settings_show_no_secret(console: Console) -> None:
    page = (await (await console.signed_in("abida")).get("/settings")).text
    for never in ("hidden-part", SECRET, "key-of-", "$argon2id", "an-older-key", "shop-key", "MFRGS"):
        assert never not in page
    for told in ("abida", "approver", "shop-ipay", "erp", "http://pay.test", "BDT 0.00"):
        assert told in page
