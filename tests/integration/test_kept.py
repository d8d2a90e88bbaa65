"""Claims that come before their payment, in a real Postgres: in the same moment, over a death, and in numbers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from consumers.apply_claim import KEPT_CANDIDATES
from consumers.early_claims import KEPT_FOR, PER_ACCOUNT
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.writes import Keys
from schemas.callbacks import Callback, Claim
from schemas.changes import Change
from schemas.words import Authenticity, Said, Source
from tests.fakes.ledger import FakeTurns
from tests.integration.shops import RULES, TRACKED, Shops
from tests.integration.test_adoption import found
from tests.processes import until
from worker.postgres.database import Database
from worker.postgres.ledger.kept_claims import forget_kept, keep_early_claims, wait_for_turns
from worker.postgres.queue.claim_queue import PostgresBus
from worker.runtime.encryption import ArchiveCipher

WISH: dict[str, Any] = {**TRACKED, "account": "shop-bag"}
NAMED = {"transaction_id": "T-1", "reference": TRACKED["reference"]}


def early(shops: Shops, claim_id: str = "claim-1", *, signed: bool = True, **fields: Any) -> Claim:
    """A claim of Moneybag about a payment that is not registered."""
    source = Source.WEBHOOK if signed else Source.IPN
    now = shops.database.clock.now() - timedelta(seconds=1)
    body = Callback(
        source=source, account="shop-bag", method="POST", query=(), headers=(), body=b"Rahim", received_at=now
    )
    given: dict[str, Any] = {
        "id": claim_id,
        "account": "shop-bag",
        "provider": "moneybag",
        "source": source,
        "authenticity": Authenticity.SIGNED if signed else Authenticity.UNSIGNED,
        "received_at": now,
        "said": Said.SUCCESS,
        "event_id": "E-1" if signed else None,
        "callback": body,
        **NAMED,
    }
    return Claim(**(given | fields))


TURNS = FakeTurns()
"""Payments' ids are random, so all tests may share them: a payment that was once asked about here stays in flight."""


async def taken(shops: Shops, *claims: Claim) -> list[AssignedQuestion]:
    return (await take_claims(shops.api.ledger, RULES, claims, TURNS, patient=False)).questions


async def queued(shops: Shops) -> list[Claim]:
    """The claims that wait for the workers, taken off the queue."""
    rows = await shops.database.fetch("DELETE FROM queue RETURNING body")
    return [msgspec.json.decode(row["body"], type=Claim) for row in rows]


async def count(database: Database, table: str) -> int:
    rows = await database.fetch(f"SELECT count(*) AS many FROM {table}")
    return int(rows[0]["many"])


async def test_it_asks_nothing_until_its_payment_is_tracked_and_then_once(shops: Shops) -> None:
    claim = early(shops)
    assert await taken(shops, claim) == []
    assert (await count(shops.database, "kept"), await count(shops.database, "claims")) == (1, 0)
    payment = (await shops.post("/v1/payments/track", WISH)).body
    (heard,) = await queued(shops)
    assert (heard.id, heard.kept, heard.callback, heard.received_at) == (claim.id, True, None, claim.received_at)
    assert await count(shops.database, "kept") == 0
    (assigned,) = await taken(shops, heard)
    assert (assigned.expected.payment_id, assigned.question.transaction_id) == (payment["payment_id"], "T-1")
    assert await taken(shops, heard) == [], "the queue may deliver twice"
    assert await taken(shops, early(shops, "claim-2")) == [], "and the gateway tell its event again"


async def test_the_gateways_own_retry_before_the_kept_one_is_heard_asks_once(shops: Shops) -> None:
    await taken(shops, early(shops))
    await shops.post("/v1/payments/track", WISH)
    (heard,) = await queued(shops)
    assert len(await taken(shops, early(shops, "claim-2"))) == 1
    assert await taken(shops, heard) == []
    assert await count(shops.database, "claims") == 1


async def test_one_that_was_kept_and_is_delivered_again_after_the_registration_is_no_failure(shops: Shops) -> None:
    """The worker died between keeping and acknowledging; the archive has the callback already."""
    claim = early(shops)
    await taken(shops, claim)
    assert await taken(shops, claim) == []
    assert await count(shops.database, "kept") == 1
    await shops.post("/v1/payments/track", WISH)
    (heard,) = await queued(shops)
    assert len(await taken(shops, claim)) == 1
    assert await taken(shops, heard) == []
    assert await count(shops.database, "archive") == 1


async def test_of_signed_ones_the_callback_is_archived_and_of_others_nothing(shops: Shops) -> None:
    await taken(shops, early(shops), early(shops, "claim-2", signed=False))
    rows = await shops.database.fetch("SELECT claim_id FROM archive")
    assert [row["claim_id"] for row in rows] == ["claim-1"]
    bodies = [bytes(row["body"]) for row in await shops.database.fetch("SELECT body FROM kept")]
    assert len(bodies) == 2
    assert not any(b"UmFoaW0" in body or b"Rahim" in body for body in bodies)


@pytest.mark.parametrize("signed", [True, False])
async def test_of_a_payment_that_we_open_only_signed_ones_are_heard(shops: Shops, signed: bool) -> None:
    await taken(shops, early(shops, signed=signed))
    await shops.opened(account="shop-bag", customer=CUSTOMER)
    assert len(await queued(shops)) == signed


async def test_money_that_a_statement_found_hears_all_of_them_when_it_is_announced(shops: Shops) -> None:
    claim = early(shops, signed=False, account="shop-one", provider="onepaybd", transaction_id="T-1", session_id="TR-1")
    await taken(shops, claim)
    payment_id = await found(shops)
    assert await queued(shops) == []
    assert (await shops.open()).body["payment_id"] == payment_id
    assert [one.id for one in await queued(shops)] == [claim.id]


CUSTOMER = {
    "name": "Rahima",
    "email": "rahima@example.com",
    "phone": "01700000000",
    "address": "1 Road",
    "city": "Dhaka",
    "postcode": "1000",
    "country": "BD",
}


@pytest.mark.parametrize("unknown", ["pay_" + "0" * 26, None])
async def test_a_path_that_names_nothing_of_ours_leaves_the_ids_to_decide(shops: Shops, unknown: str | None) -> None:
    """Taken while the database was away, and so not looked up at ingress."""
    claim = early(shops, signed=False, source=Source.RETURN, payment_id=unknown)
    assert await taken(shops, claim) == []
    await shops.post("/v1/payments/track", WISH)
    (heard,) = await queued(shops)
    assert heard.payment_id is None
    assert len(await taken(shops, heard)) == 1
    later = early(shops, "claim-2", signed=False, transaction_id="T-2", payment_id=unknown)
    await taken(shops, later)
    assert await count(shops.database, "kept") == 0
    assert await count(shops.database, "claims") == 1, "the first is written with its answer, which is on its way"


async def test_one_whose_payment_was_discarded_before_it_was_heard_waits_again(shops: Shops) -> None:
    await shops.post("/v1/payments/track", {**WISH, "reference": "order-other"})
    await taken(shops, early(shops))
    refused = await shops.post("/v1/payments/track", WISH)
    assert refused.problem == (409, "session_used", "session_id")
    for heard in await queued(shops):
        assert await taken(shops, heard) == []
    assert await count(shops.database, "kept") == 1
    assert (await shops.post("/v1/payments/track", {**WISH, "session_id": "TR-2"})).status == 201
    (heard,) = await queued(shops)
    assert len(await taken(shops, heard)) == 1


# -- in the very moment ------------------------------------------------------------------------------------------------


async def blocked(database: Database) -> None:
    async def waits() -> bool:
        rows = await database.fetch("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(rows)

    await until(waits, what="one waits for its turn")


@asynccontextmanager
async def registering(shops: Shops) -> AsyncIterator[str]:
    """A payment whose session is written and committed at the end of the block; its id."""
    payment = (await shops.post("/v1/payments/track", WISH)).body
    async with shops.api.ledger.batch([payment["payment_id"]]) as batch:
        row = msgspec.structs.replace(batch.cases[payment["payment_id"]].payment, session_id="TR-9")
        await batch.reserve([Keys.of(row, sessions=["TR-9"])])
        await batch.queue_early_claims(row, signed_only=False)
        yield row.id
        await batch.store([Change(payment=row)])
        await batch.commit()


async def test_one_that_comes_while_its_payment_is_being_recorded_is_about_that_payment(shops: Shops) -> None:
    claim = early(shops, session_id="TR-9", reference=None, transaction_id=None)
    async with registering(shops) as payment_id:
        assert await shops.api.ledger.find([claim]) == {}
        keeping = asyncio.create_task(shops.api.ledger.keep([claim]))
        await blocked(shops.database)
    assert await keeping == {claim.id: payment_id}
    assert await count(shops.database, "kept") == 0


async def test_a_payment_that_is_recorded_while_a_claim_is_being_kept_hears_it(shops: Shops) -> None:
    claim = early(shops)
    async with shops.database.connection() as connection, connection.transaction():
        await wait_for_turns(connection, [claim])
        await keep_early_claims(connection, ArchiveCipher(), [claim])
        tracking = asyncio.create_task(shops.post("/v1/payments/track", WISH))
        await blocked(shops.database)
    assert (await tracking).status == 201
    assert [one.id for one in await queued(shops)] == [claim.id]


async def test_many_at_once_lose_nothing(shops: Shops) -> None:
    numbers = range(30)
    wishes = [{**WISH, "reference": f"order-7831-{number}", "session_id": f"TR-{number}"} for number in numbers]
    claims = [
        early(shops, f"c{number}", event_id=f"{number}", reference=f"order-7831-{number}", transaction_id=f"T-{number}")
        for number in numbers
    ]
    asked, *tracked = await asyncio.gather(
        _one_by_one(shops, claims), *(shops.post("/v1/payments/track", wish) for wish in wishes)
    )
    assert {got.status for got in tracked} == {201}
    for claim in await queued(shops):
        asked += await taken(shops, claim)
    assert sorted(one.expected.reference for one in asked) == sorted(wish["reference"] for wish in wishes)


async def _one_by_one(shops: Shops, claims: list[Claim]) -> list[AssignedQuestion]:
    asked = await asyncio.gather(*(taken(shops, claim) for claim in claims))
    return [assigned for questions in asked for assigned in questions]


@pytest.mark.parametrize("low_priority", [False, True], ids=["queued", "spooled with low priority"])
@pytest.mark.parametrize("ends", ["ack", "dead_letter", "retry"])
async def test_one_whose_payment_is_recorded_before_it_is_acknowledged_is_heard(
    shops: Shops, ends: str, low_priority: bool
) -> None:
    """The worker still has it in hand. What it then does with its copy does not affect the claim that was queued."""
    claim, bus = early(shops), shops.api.bus
    assert isinstance(bus, PostgresBus)
    await shops.post("/v1/payments/track", {**WISH, "reference": "order-other"})
    await bus.publish([claim], low_priority=low_priority)
    # The first is refused after its claims were queued, so that they are kept once more, and in hand once more.
    for session_id, status in (("TR-1", 409), ("TR-2", 201)):
        (message,) = await bus.lease("moneybag", 10)
        assert await taken(shops, message.claim) == []
        assert (await shops.post("/v1/payments/track", {**WISH, "session_id": session_id})).status == status
        match ends:
            case "ack":
                await bus.ack([message])
            case "dead_letter":
                await bus.dead_letter(message, "it failed")
            case _:
                await bus.retry(message)
    (heard,) = await bus.lease("moneybag", 10)
    assert len(await taken(shops, heard.claim)) == 1
    dead = await shops.database.fetch("SELECT DISTINCT claim_id FROM dead")
    assert [row["claim_id"] for row in dead] == [claim.id] * (ends == "dead_letter")


async def test_recording_a_payment_waits_for_nobody_who_takes_from_the_queue(shops: Shops) -> None:
    await taken(shops, early(shops))
    await shops.api.bus.publish([early(shops, "claim-2", event_id="E-2")])
    async with shops.database.connection() as connection, connection.transaction():
        await connection.execute("UPDATE queue SET attempts = attempts + 1")
        async with asyncio.timeout(5):
            assert (await shops.post("/v1/payments/track", WISH)).status == 201
    assert await count(shops.database, "queue") == 2


async def test_a_payment_that_nothing_was_kept_for_does_not_touch_the_queue(shops: Shops) -> None:
    async with shops.database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE queue IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(5):
            assert (await shops.post("/v1/payments/track", WISH)).status == 201
            await shops.opened()


# -- not for ever, and not without end ---------------------------------------------------------------------------------


async def test_after_a_week_it_is_heard_by_nobody_and_then_forgotten(shops: Shops) -> None:
    await taken(shops, early(shops))
    await taken(shops, early(shops, "claim-2", event_id="E-2"))
    await shops.database.execute(
        "UPDATE kept SET received_at = clock_timestamp() - $1::interval WHERE claim_id = 'claim-1'", KEPT_FOR
    )
    await shops.post("/v1/payments/track", WISH)
    assert [one.id for one in await queued(shops)] == ["claim-2"]
    assert await forget_kept(shops.database, 10) == 1
    assert await count(shops.database, "kept") == 0


async def test_of_an_account_the_oldest_unsigned_ones_give_way_and_are_counted(shops: Shops) -> None:
    dropped: list[tuple[str, int]] = []
    shops.api.ledger._dropped = lambda provider, gone: dropped.append((provider, gone))
    await taken(shops, early(shops, "signed", event_id="E-0", transaction_id="T-0"))
    await shops.database.execute(
        """INSERT INTO kept (claim_id, account, provider, signed, session_id, received_at, body)
           SELECT 'x' || n, 'shop-bag', 'moneybag', false, 'X' || n, clock_timestamp() - interval '2 days'
               + n * interval '1 s', '' FROM generate_series(1, $1::int) AS n""",
        PER_ACCOUNT,
    )
    await taken(shops, early(shops, "y1", signed=False), early(shops, "y2", signed=False, transaction_id="T-2"))
    rows = await shops.database.fetch("SELECT claim_id FROM kept WHERE claim_id IN ('signed', 'x1', 'x2', 'x3', 'y1')")
    assert sorted(row["claim_id"] for row in rows) == ["signed", "x3", "y1"]
    assert await count(shops.database, "kept") == PER_ACCOUNT + 1
    assert dropped == [("moneybag", 2)]


async def test_what_gives_way_when_its_payment_comes_is_counted(shops: Shops) -> None:
    dropped: list[tuple[str, int]] = []
    shops.api.ledger._dropped = lambda provider, gone: dropped.append((provider, gone))
    claims = [early(shops, f"c{number}", signed=False, transaction_id=f"X{number}") for number in range(8)]
    await taken(shops, *claims)
    await shops.post("/v1/payments/track", WISH)
    assert len(await queued(shops)) == KEPT_CANDIDATES
    assert await count(shops.database, "kept") == 0
    assert dropped == [("moneybag", 8 - KEPT_CANDIDATES)]


async def test_an_id_of_any_length_is_no_failure(shops: Shops) -> None:
    endless = secrets.token_hex(30_000)
    assert await taken(shops, early(shops, transaction_id=endless, reference=None)) == []
    assert await taken(shops, early(shops, "claim-2", event_id=endless)) == []
    assert await count(shops.database, "kept") == 1
