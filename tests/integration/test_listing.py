"""ShadhinPay's list as lines, from the sandbox over real sockets: patient where the gateway asks, whole or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from consumers.account import Account
from consumers.ports.gateway import Provider
from consumers.providers import PROVIDERS
from schemas.secret import Secret
from schemas.statements import Line, Unread
from tests.integration.sandboxes import SHADHINPAY, Driver, driving
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.tokens import PostgresTokens
from worker.reconciliation.gateway_list import ListFailed, list_lines
from worker.verify.gateways import Gateways, gateways

DAY = timedelta(days=1)


@pytest.fixture
async def sandbox() -> AsyncIterator[Driver]:
    async with driving(SandboxConfig(seed=7)) as driver:
        yield driver


@pytest.fixture
async def asking(database: Database) -> AsyncIterator[Gateways]:
    async with gateways(PostgresTokens(database)) as asking:
        yield asking


def account_at(sandbox: Driver, *, calls_per_second: float | None = None, key: str = "sk_test_sandbox") -> Account:
    provider: Provider = PROVIDERS["shadhinpay"](
        base_url=f"{sandbox.base}/shadhinpay",
        client_id=Secret(SHADHINPAY["Client-Id"]),
        business_id=Secret(SHADHINPAY["Business-Id"]),
        api_key=Secret(key),
        webhook_secret=Secret("whsec_shadhinpay_sandbox"),
    )
    return Account(id="shop-shadhinpay", merchant="shop", provider=provider, calls_per_second=calls_per_second)


class Naps:
    """Waits that are noted instead of waited for."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def listed(
    asking: Gateways,
    database: Database,
    account: Account,
    since: datetime | None = None,
    until: datetime | None = None,
    naps: Naps | None = None,
) -> list[Line | Unread]:
    """The lines of today, unless another time is given."""
    now = datetime.now(UTC)
    lines = list_lines(
        asking,
        PostgresLedger(database),
        account,
        since or now - DAY,
        until or now + DAY,
        sleep=naps or Naps(),
    )
    return [line async for line in lines]


async def open_many(sandbox: Driver, count: int) -> None:
    for number in range(count):
        answered = await sandbox.shadhinpay(
            key=f"k{number}", merchantTxnId=f"order-{number}", amount=f"{100 + number}.00"
        )
        assert answered.status == 201


async def test_more_payments_than_a_page_holds_come_once_each(
    sandbox: Driver, asking: Gateways, database: Database
) -> None:
    await open_many(sandbox, 230)
    await sandbox.control("shopper", provider="shadhinpay", reference="order-7", does="pay", returns=False)
    lines = await listed(asking, database, account_at(sandbox))
    assert [line.row for line in lines] == list(range(1, 231))
    told = {line.reference: line for line in lines if isinstance(line, Line)}
    assert told.keys() == {f"order-{number}" for number in range(230)}
    paid = told["order-7"]
    assert (paid.status, str(paid.amount), paid.word) == ("completed", "107.00", "COMPLETED")
    assert paid.transaction_id == paid.session_id
    assert {told[f"order-{number}"].status for number in range(230) if number != 7} == {"pending"}


async def test_a_list_holds_only_what_lies_in_the_time_that_was_asked_for(
    sandbox: Driver, asking: Gateways, database: Database
) -> None:
    await open_many(sandbox, 3)
    now = datetime.now(UTC)
    assert await listed(asking, database, account_at(sandbox), now + timedelta(minutes=1)) == []
    assert await listed(asking, database, account_at(sandbox), now - 3 * DAY, now - timedelta(hours=1)) == []


async def test_a_gateway_that_is_busy_is_asked_again_when_it_says(
    sandbox: Driver, asking: Gateways, database: Database
) -> None:
    await open_many(sandbox, 2)
    await sandbox.trouble("shadhinpay", "429", "status", seconds=7, times=2)
    naps = Naps()
    lines = await listed(asking, database, account_at(sandbox), naps=naps)
    assert len(lines) == 2
    assert naps.taken == [7.0, 7.0]


async def test_a_gateway_that_stays_away_ends_the_list_with_its_reason(
    sandbox: Driver, asking: Gateways, database: Database
) -> None:
    await sandbox.trouble("shadhinpay", "503", "status", times=100)
    naps = Naps()
    with pytest.raises(ListFailed, match=r"shop-shadhinpay: the list of payments broke off after 6 tries: HTTP 503"):
        await listed(asking, database, account_at(sandbox), naps=naps)
    assert len(naps.taken) == 5


async def test_a_gateway_that_asks_for_hours_is_not_waited_for(
    sandbox: Driver, asking: Gateways, database: Database
) -> None:
    await sandbox.trouble("shadhinpay", "429", "status", seconds=3600, times=1)
    with pytest.raises(ListFailed, match="asks to wait 3600 s"):
        await listed(asking, database, account_at(sandbox))


async def test_a_refused_key_ends_the_list_at_once(sandbox: Driver, asking: Gateways, database: Database) -> None:
    naps = Naps()
    with pytest.raises(ListFailed, match="broke off: HTTP 401"):
        await listed(asking, database, account_at(sandbox, key="sk_test_other"), naps=naps)
    assert naps.taken == []


async def test_the_budget_of_the_account_is_kept(sandbox: Driver, asking: Gateways, database: Database) -> None:
    now = datetime.now(UTC)
    naps = Naps()
    await listed(asking, database, account_at(sandbox, calls_per_second=100.0), now - 10 * DAY, now, naps)
    assert naps.taken == []  # eleven calls of the two hundred allowed at once
    row = await database.fetch("SELECT calls FROM allowances WHERE account = 'shop-shadhinpay'")
    assert row[0]["calls"] < 200
    await database.execute("UPDATE allowances SET calls = -20, at = clock_timestamp() + interval '1 hour'")
    with pytest.raises(ListFailed, match="no call of its budget was free within 300 s"):
        await listed(asking, database, account_at(sandbox, calls_per_second=0.5), now - DAY, now, naps)
    assert sum(naps.taken) >= 300


async def test_another_gateway_has_no_list(asking: Gateways, database: Database) -> None:
    provider = PROVIDERS["ipay"](base_url="https://ipay.example", api_key=Secret("key"))
    with pytest.raises(ListFailed, match="ipay has no list of payments; give --statement"):
        await listed(asking, database, Account(id="shop-ipay", merchant="shop", provider=provider))
