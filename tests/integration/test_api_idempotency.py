"""Idempotency-Key: the same request is done once, however many wait for it and whichever process dies over it."""

from __future__ import annotations

import asyncio
import json

import pytest
from multidict import CIMultiDict

from consumers.ports.openings import OpeningRefused
from schemas.answers import Inconclusive, Trouble
from schemas.words import Status
from tests.integration.shops import KEYS, ORDER, TRACKED, Got, Shops, serving
from worker.postgres.database import Database
from worker.postgres.idempotency_keys import forget_old

NO_REPLY = Inconclusive(trouble=Trouble.NO_REPLY, detail="no reply")


def assert_replayed(again: Got, first: Got) -> None:
    assert (again.status, again.raw) == (first.status, first.raw)
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


async def test_a_201_is_replayed(shops: Shops) -> None:
    first = await shops.open(key="k")
    assert first.status == 201
    assert_replayed(await shops.open(key="k"), first)
    assert len(shops.checkout.openings) == 1


async def test_a_tracked_payment_is_replayed(shops: Shops) -> None:
    first = await shops.post("/v1/payments/track", TRACKED, key="k")
    assert_replayed(await shops.post("/v1/payments/track", TRACKED, key="k"), first)


async def test_a_body_is_compared_as_parsed_json(shops: Shops) -> None:
    first = await shops.open(key="k", expires_in=600)
    body = {**ORDER, "expires_in": 600}
    mixed = json.dumps(dict(reversed(body.items())), indent=3).replace("T", "\\u0054").encode()
    assert_replayed(await shops.send(mixed, **{"Idempotency-Key": "k"}), first)


async def test_4xx_are_replayed(shops: Shops) -> None:
    shops.checkout.script(OpeningRefused(message="no"))
    refused = await shops.open(key="refused")
    invalid = await shops.open(key="invalid", amount="-1")
    used = [await shops.opened() and await shops.open(key="used")]
    assert (refused.status, invalid.status, used[0].status) == (422, 422, 409)
    assert_replayed(await shops.open(key="refused"), refused)
    assert_replayed(await shops.open(key="invalid", amount="-1"), invalid)
    assert_replayed(await shops.open(key="used"), used[0])


async def test_5xx_are_not_kept(shops: Shops) -> None:
    shops.checkout.script(NO_REPLY, ValueError("a bug"))
    assert [(await shops.open(key="k")).status for _ in range(2)] == [504, 500]
    await shops.database.execute("UPDATE payments SET opening_until = NULL")
    got = await shops.open(key="k")
    assert (got.status, got.headers.get("Idempotent-Replayed")) == (201, None)


async def test_an_error_that_says_come_again_is_not_kept(shops: Shops) -> None:
    shops.checkout.hold()
    first = asyncio.ensure_future(shops.open())
    await shops.checkout.called()
    assert (await shops.open(key="k")).problem[1] == "opening_in_progress"
    shops.checkout.release()
    await first
    assert (await shops.open(key="k")).problem[1] == "reference_used"


async def test_another_request_with_the_key_is_a_conflict(shops: Shops) -> None:
    await shops.open(key="k")
    for got in (
        await shops.open(key="k", amount="20.00"),
        await shops.open(key="k", nonsense=1),
        await shops.post("/v1/payments/track", ORDER, key="k"),
    ):
        assert got.problem == (409, "idempotency_conflict", "Idempotency-Key")
    assert len(shops.checkout.openings) == 1


async def test_after_a_5xx_the_key_still_belongs_to_its_body(shops: Shops) -> None:
    shops.checkout.script(NO_REPLY)
    await shops.open(key="k")
    assert (await shops.open(key="k", reference="another")).problem[1] == "idempotency_conflict"


async def test_keys_are_per_merchant(shops: Shops) -> None:
    await shops.open(key="k")
    got = await shops.open(shop="other", account="other-one", key="k")
    assert (got.status, got.body["merchant"]) == (201, "other")


async def test_what_was_no_request_is_not_kept(shops: Shops) -> None:
    await shops.send(b"{", **{"Idempotency-Key": "k"})
    await shops.call("POST", "/v1/payments", shop=None, json=ORDER, headers={"Idempotency-Key": "k"})
    assert (await shops.open(key="k")).status == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "কী", "a\tb"])
async def test_a_key_is_printable_ascii(shops: Shops, key: str) -> None:
    assert (await shops.open(key=key)).problem == (422, "invalid_request", "Idempotency-Key")
    assert (await shops.open(key="~" * 255)).status == 201


async def test_two_keys_in_one_request_are_wrong(shops: Shops) -> None:
    headers = CIMultiDict(
        [("Authorization", f"Bearer {KEYS['shop']}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    async with shops.session.post(f"{shops.url}/v1/payments", json=ORDER, headers=headers) as response:
        assert response.status == 422
        assert (await response.json(content_type=None))["field"] == "Idempotency-Key"


async def test_twins_in_progress_wait_and_get_the_one_answer(shops: Shops) -> None:
    shops.checkout.hold()
    twins = [asyncio.ensure_future(shops.open(key="k")) for _ in range(5)]
    await shops.checkout.called()
    shops.checkout.release()
    got = await asyncio.gather(*twins)
    assert {one.raw for one in got} == {got[0].raw}
    assert [one.status for one in got] == [201] * 5
    assert sum("Idempotent-Replayed" in one.headers for one in got) == 4
    assert len(shops.checkout.openings) == 1


async def test_a_twin_that_waited_long_enough_is_told_to_come_again(database: Database) -> None:
    async with serving(database, twin_wait=0.2) as shops:
        shops.checkout.hold()
        first = asyncio.ensure_future(shops.open(key="k"))
        await shops.checkout.called()
        got = await shops.open(key="k")
        assert got.problem == (409, "idempotency_in_progress", "Idempotency-Key")
        assert int(got.headers["Retry-After"]) > 0
        other = await shops.open(key="k", amount="20.00")
        assert other.problem[1] == "idempotency_conflict"
        shops.checkout.release()
        made = await first
        assert_replayed(await shops.open(key="k"), made)


async def dies(shops: Shops) -> None:
    """The holder of key `k` dies: its claim stands without an answer, and its lease is over."""
    await shops.database.execute(
        """UPDATE idempotency SET status = NULL, busy_until = clock_timestamp() - interval '1 s',
               body = coalesce((SELECT id::bytea FROM payments), body)"""
    )
    await shops.database.execute(
        "UPDATE payments SET opening_until = clock_timestamp() - interval '1 s' WHERE opening_until IS NOT NULL"
    )


async def test_the_claim_of_a_holder_that_died_before_the_checkout_is_taken_over(shops: Shops) -> None:
    shops.checkout.script(NO_REPLY)
    lost = await shops.open(key="k")
    await dies(shops)
    got = await shops.open(key="k")
    assert (got.status, got.body["payment_id"]) == (201, lost.body["payment_id"])


async def test_who_takes_over_after_the_checkout_was_opened_gets_that_payment(shops: Shops) -> None:
    first = await shops.open(key="k")
    await dies(shops)
    got = await shops.open(key="k")
    assert (got.status, got.body) == (201, first.body)
    assert len(shops.checkout.openings) == 1
    assert_replayed(await shops.open(key="k"), got)


async def test_who_takes_over_after_the_money_of_a_lost_opening_came_gets_that_payment(shops: Shops) -> None:
    """The gateway opened a checkout and its answer was lost; another checkout would take the money twice."""
    shops.checkout.script(NO_REPLY)
    lost = await shops.open(key="k")
    await shops.answered({**ORDER, "payment_id": lost.body["payment_id"], "session_id": "S-lost"}, Status.COMPLETED)
    got = await shops.open(key="k")
    assert (got.status, got.body["payment_id"], got.body["status"]) == (201, lost.body["payment_id"], "completed")
    assert len(shops.checkout.openings) == 1
    assert_replayed(await shops.open(key="k"), got)
    assert (await shops.open(key="another")).problem[1] == "reference_used"


async def test_a_holder_that_died_leaves_its_key_to_its_own_body(shops: Shops) -> None:
    await shops.open(key="k")
    await dies(shops)
    assert (await shops.open(key="k", amount="20.00")).problem[1] == "idempotency_conflict"


async def test_a_slow_holder_does_not_overwrite_who_took_over(shops: Shops) -> None:
    shops.checkout.hold()
    slow = asyncio.ensure_future(shops.open(key="k"))
    await shops.checkout.called()
    await shops.database.execute("UPDATE idempotency SET busy_until = busy_until - interval '1 h'")
    got = await shops.open(key="k")
    assert got.problem[1] == "opening_in_progress"
    shops.checkout.release()
    assert (await slow).status == 201
    got = await shops.open(key="k")
    assert (got.status, got.body) == (201, (await slow).body)


async def test_after_24_hours_a_key_is_new_again(shops: Shops) -> None:
    await shops.open(key="k")
    await shops.database.execute("UPDATE idempotency SET started_at = started_at - interval '24 h 1 s'")
    got = await shops.open(key="k", reference="another")
    assert (got.status, got.headers.get("Idempotent-Replayed")) == (201, None)


async def test_old_answers_are_forgotten_and_young_ones_kept(shops: Shops) -> None:
    await shops.open(key="old")
    await shops.database.execute("UPDATE idempotency SET started_at = started_at - interval '25 h'")
    await shops.open(key="young", reference="another")
    assert await forget_old(shops.database, 10) == 1
    assert [row["key"] for row in await shops.database.fetch("SELECT key FROM idempotency")] == ["young"]
