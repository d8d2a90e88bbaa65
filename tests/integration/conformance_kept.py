"""What every ledger promises about claims before their payment; `test_ledger.py` runs it against each ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_claim import KEPT_CANDIDATES
from consumers.commands.open_payment import CheckoutStore
from consumers.early_claims import PER_ID
from schemas.callbacks import Callback, Claim
from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import Authenticity, Said, Source
from tests.integration.conformance_ledger import Kept, a_claim, keys, stored

ACCOUNT = "shop-a"
EARLIER = datetime.now(UTC) - timedelta(hours=1)


class Waiting(Struct, frozen=True, kw_only=True):
    """`queued` is what waits in the queue for the workers, the first first."""

    kept: Kept
    queued: Callable[[], Awaitable[list[Claim]]]

    @property
    def ledger(self) -> CheckoutStore:
        return self.kept.ledger

    async def keep(self, *claims: Claim) -> dict[str, str]:
        return dict(await self.ledger.keep(claims))

    async def registered(self, *, signed_only: bool = False, stores: bool = True, **fields: Any) -> Payment:
        """A payment that is recorded with its session, with the early claims that were kept for it."""
        session_id = fields.pop("session_id", None)
        row = await stored(self.kept, **fields)
        async with self.ledger.batch([row.id]) as batch:
            sessions = frozenset({session_id} if session_id else ())
            await batch.reserve([keys(row, sessions=sessions)])
            row = replace(row, session_id=session_id)
            await batch.queue_early_claims(row, signed_only=signed_only)
            if stores:
                await batch.store([Change(payment=row)])
                await batch.commit()
        return row

    async def heard(self) -> list[str]:
        return [claim.id for claim in await self.queued()]


def early(minute: int = 0, **fields: Any) -> Claim:
    """An unsigned notification before there is a payment with its ids."""
    return a_claim(**{"source": Source.IPN, "received_at": EARLIER + timedelta(minutes=minute)} | fields)


def a_signed_claim(event_id: str, **named: str) -> Claim:
    return early(event_id=event_id, authenticity=Authenticity.SIGNED, source=Source.WEBHOOK, **named)


class KeptConformance:
    NAMED = ({"session_id": "S1"}, {"reference": "order-1"}, {"session_id": "S-other", "reference": "order-1"})

    @pytest.mark.parametrize("named", NAMED, ids=str)
    async def test_what_came_before_its_payment_is_heard_with_it_once(
        self, waiting: Waiting, named: dict[str, str]
    ) -> None:
        signed, unsigned = a_signed_claim("E1", **named), early(**named)
        assert await waiting.keep(signed, unsigned) == {}
        assert await waiting.heard() == []
        await waiting.registered(reference="order-1", session_id="S1")
        assert sorted(await waiting.heard()) == sorted([signed.id, unsigned.id])
        await waiting.registered(reference="order-2", session_id="S-other")
        assert len(await waiting.heard()) == 2

    async def test_it_is_heard_as_it_was_said_and_when_without_its_callback(self, waiting: Waiting) -> None:
        callback = Callback(
            source=Source.IPN, account=ACCOUNT, method="POST", query=(), headers=(), body=b"Rahim", received_at=EARLIER
        )
        claim = early(session_id="S1", callback=callback, said=Said.SUCCESS, payment_id="pay_0", traceparent="00-1")
        await waiting.keep(claim)
        await waiting.registered(session_id="S1")
        (heard,) = await waiting.queued()
        assert (heard.id, heard.said, heard.received_at, heard.kept) == (claim.id, Said.SUCCESS, EARLIER, True)
        assert (heard.callback, heard.payment_id, heard.traceparent) == (None, None, None)

    async def test_another_accounts_is_not_heard(self, waiting: Waiting) -> None:
        await waiting.keep(early(session_id="S1"), a_signed_claim("E1", reference="order-1"))
        await waiting.registered(account="shop-b", reference="order-1", session_id="S1")
        assert await waiting.heard() == []

    async def test_of_a_payment_that_we_open_only_signed_ones_are_heard(self, waiting: Waiting) -> None:
        signed, unsigned = a_signed_claim("E1", reference="order-1"), early(reference="order-1")
        await waiting.keep(signed, unsigned)
        await waiting.registered(reference="order-1", session_id="S1", signed_only=True)
        assert await waiting.heard() == [signed.id]

    async def test_what_left_without_store_waits_on(self, waiting: Waiting) -> None:
        claim = early(session_id="S1")
        await waiting.keep(claim)
        row = await waiting.registered(session_id="S1", stores=False)
        assert await waiting.heard() == []
        async with waiting.ledger.batch([row.id]) as batch:
            await batch.queue_early_claims(row, signed_only=False)
            await batch.commit()
        assert await waiting.heard() == [claim.id]

    async def test_one_whose_payment_is_here_is_not_kept_and_told(self, waiting: Waiting) -> None:
        row = await waiting.registered(session_id="S1")
        claim, other = early(session_id="S1"), early(session_id="S2")
        assert await waiting.keep(claim, other) == {claim.id: row.id}
        await waiting.registered(session_id="S2")
        assert await waiting.heard() == [other.id]

    async def test_the_same_claim_and_the_same_signed_event_are_kept_once(self, waiting: Waiting) -> None:
        claim, event = early(session_id="S1"), a_signed_claim("E1", session_id="S1")
        for one in (claim, event, claim, a_signed_claim("E1", session_id="S1")):
            await waiting.keep(one)
        await waiting.registered(session_id="S1")
        assert sorted(await waiting.heard()) == sorted([claim.id, event.id])

    async def test_of_what_is_not_signed_the_newest_are_kept_for_each_id(self, waiting: Waiting) -> None:
        claims = [early(minute, session_id="S1") for minute in range(PER_ID + 2)]
        signed = [a_signed_claim(f"E{number}", session_id="S1") for number in range(PER_ID + 2)]
        for one in [*signed, *claims]:
            await waiting.keep(one)
        await waiting.registered(session_id="S1")
        assert sorted(await waiting.heard()) == sorted(one.id for one in [*signed, *claims[2:]])

    async def test_who_guesses_a_reference_pushes_nobody_out_who_knows_the_session(self, waiting: Waiting) -> None:
        buyers = early(session_id="S1", reference="order-1")
        await waiting.keep(buyers)
        for minute in range(1, 8):
            await waiting.keep(early(minute, reference="order-1"), early(minute, session_id=f"X{minute}"))
            await waiting.keep(early(minute, session_id=f"Y{minute}", reference="order-1"))
        await waiting.registered(session_id="S1", reference="order-1")
        heard = await waiting.heard()
        assert buyers.id in heard
        assert len(heard) <= 1 + KEPT_CANDIDATES

    async def test_who_guesses_a_reference_pushes_nobody_out_who_named_it_before(self, waiting: Waiting) -> None:
        gateways = early(reference="order-1", transaction_id="T1")
        made_up = [early(minute, reference="order-1", transaction_id=f"X{minute}") for minute in range(1, 20)]
        await waiting.keep(gateways, *made_up)
        row = await waiting.registered(reference="order-1")
        assert await waiting.heard() == [gateways.id, *(one.id for one in made_up[: KEPT_CANDIDATES - 1])]
        async with waiting.ledger.batch([row.id]) as batch:
            await batch.queue_early_claims(row, signed_only=False)
            await batch.commit()
        assert len(await waiting.heard()) == KEPT_CANDIDATES, "the others gave way"

    async def test_what_names_the_session_is_heard_before_what_names_the_reference_alone(
        self, waiting: Waiting
    ) -> None:
        guessed = early(reference="order-1", transaction_id="X1")
        buyers = early(1, session_id="S1", transaction_id="T1")
        await waiting.keep(guessed, buyers)
        await waiting.registered(reference="order-1", session_id="S1")
        assert await waiting.heard() == [buyers.id, guessed.id]

    async def test_keeping_and_registering_at_once_lose_nothing_and_double_nothing(self, waiting: Waiting) -> None:
        numbers = range(40)
        claims = [early(session_id=f"S{number}", reference=f"order-{number}") for number in numbers]

        async def kept(claim: Claim) -> str | None:
            return (await waiting.keep(claim)).get(claim.id)

        rows = [
            waiting.registered(session_id=f"S{number}" if number % 2 else None, reference=f"order-{number}")
            for number in numbers
        ]
        both = [work for pair in zip(rows, map(kept, claims), strict=True) for work in pair]
        done = await asyncio.gather(*both)
        told = [claim.id for claim, home in zip(claims, done[1::2], strict=True) if home is not None]
        heard = await waiting.heard()
        assert sorted([*told, *heard]) == sorted(claim.id for claim in claims)
