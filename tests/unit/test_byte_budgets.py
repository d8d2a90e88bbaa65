"""Budgets of bytes by the hour and the day, as one process counts them, and what a claim carries past them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace

from schemas.callbacks import Callback, Claim, Omission, read_claim
from schemas.words import Authenticity, Source
from worker.ingress import byte_budgets
from worker.ingress.byte_budgets import ADDRESS, PAYMENT, SIGNED, SMALL, ByteBudget, ByteBudgets
from worker.ingress.omitting import BoundedClaims

GB = 10**9
KIB = 1024
ELEVEN = datetime(2026, 11, 30, 11, 59, 59, tzinfo=UTC)
BODY = b"\x00\xff" * 16 * KIB
TAKEN = len(BODY) + 16_948
"""With query and headers."""


class Clock:
    now = ELEVEN

    def __call__(self) -> datetime:
        return self.now


def unsigned(payment_id: str | None = "pay_1", body: bytes = BODY, **fields: str) -> Claim:
    callback = Callback(
        source=Source.IPN,
        account="shop-bag",
        method="POST",
        query=(("note", "q" * 8000),),
        headers=(("content-type", "application/json"), ("x-note", "h" * 8000), ("user-agent", "u" * 900)),
        body=body,
        received_at=ELEVEN,
        payment_id=payment_id,
    )
    return Claim(
        id="claim-1",
        account="shop-bag",
        provider="moneybag",
        source=Source.IPN,
        authenticity=Authenticity.UNSIGNED,
        received_at=ELEVEN,
        payment_id=payment_id,
        callback=callback,
        **fields,
    )


def signed(**fields: str) -> Claim:
    return replace(unsigned(None, **fields), authenticity=Authenticity.SIGNED)


def because(claim: Claim) -> Omission | None:
    assert claim.callback is not None
    return claim.callback.omitted.because if claim.callback.omitted else None


def whole(bounded: BoundedClaims, claim: Claim, sender: str | None, times: int) -> int:
    return sum(because(bounded.bounded(claim, None, sender)) is None for _ in range(times))


def test_past_the_payments_budget_the_claim_stays_and_its_callback_is_a_digest() -> None:
    bounded, claim = BoundedClaims(ByteBudgets(GB, Clock())), unsigned()
    assert whole(bounded, claim, None, 400) == PAYMENT.size // TAKEN
    cut = bounded.bounded(claim, None, None)
    assert replace(cut, callback=None) == replace(claim, callback=None)
    assert cut.callback is not None
    assert cut.callback.omitted is not None
    assert cut.callback.omitted.body_bytes == len(BODY)
    assert cut.callback.omitted.body_sha256 == sha256(BODY).hexdigest()
    assert cut.callback.omitted.query_characters == 8004
    assert (cut.callback.body, cut.callback.query) == (b"", ())
    assert cut.callback.headers == (("content-type", "application/json"), ("user-agent", "u" * 200))
    written = msgspec.json.encode(cut)
    assert len(written) < 1200
    assert read_claim(written) == cut
    assert because(bounded.bounded(unsigned("pay_2"), None, None)) is None, "another payment has its own"


def test_other_ids_beside_the_payments_own_open_no_other_budget() -> None:
    bounded = BoundedClaims(ByteBudgets(GB, Clock()))
    for number in range(100):
        last = bounded.bounded(unsigned(None, session_id=f"S-{number}"), "pay_1", None)
    assert because(last) is Omission.PAYMENT


def test_the_next_hour_has_a_budget_of_its_own() -> None:
    clock = Clock()
    bounded = BoundedClaims(ByteBudgets(GB, clock))
    whole(bounded, unsigned(), None, 10)
    assert because(bounded.bounded(unsigned(), None, None)) is Omission.PAYMENT
    clock.now += timedelta(seconds=1)
    assert because(bounded.bounded(unsigned(), None, None)) is None


def test_an_address_and_the_whole_installation_are_bounded_over_many_payments() -> None:
    bounded = BoundedClaims(ByteBudgets(10 * GB, Clock()))
    last = [because(bounded.bounded(unsigned(f"pay_{n}"), None, "203.0.113.7")) for n in range(1500)]
    assert last[-1] is Omission.ADDRESS
    assert last.count(None) == ADDRESS.size // TAKEN
    assert because(bounded.bounded(unsigned("pay_x"), None, "203.0.113.8")) is None
    small = BoundedClaims(ByteBudgets(GB // 100, Clock()))
    many = [because(small.bounded(unsigned(f"pay_{n}"), None, f"203.0.113.{n}")) for n in range(30)]
    assert many[-1] is Omission.INSTALLATION
    assert many.count(None) == GB // 1000 // TAKEN


def test_a_signed_body_is_bounded_by_its_payment_alone() -> None:
    bounded = BoundedClaims(ByteBudgets(GB // 1000, Clock()))
    took = whole(bounded, signed(session_id="S-1"), "203.0.113.7", 100)
    assert took == SIGNED.size // TAKEN
    assert because(bounded.bounded(signed(session_id="S-1"), None, None)) is Omission.SIGNED
    assert because(bounded.bounded(signed(session_id="S-2"), None, "203.0.113.7")) is None


def test_a_full_archive_takes_digests_alone_until_it_has_room() -> None:
    budgets = ByteBudgets(GB, Clock())
    bounded = BoundedClaims(budgets)
    budgets.measured(GB)
    assert because(bounded.bounded(unsigned(), None, None)) is Omission.ARCHIVE
    assert because(bounded.bounded(signed(), None, None)) is Omission.ARCHIVE
    budgets.measured(GB - 1)
    assert because(bounded.bounded(unsigned(), None, None)) is None


def test_nothing_is_taken_from_any_budget_where_one_has_no_room() -> None:
    budgets = ByteBudgets(GB, Clock())
    small, large = ByteBudget("small", 10, 3600), ByteBudget("large", 100, 3600)
    assert budgets.take([(large, "a"), (small, "a")], 11) == small
    assert budgets.take([(large, "a")], 100) is None


def test_little_is_not_added_to_the_shared_table_and_much_is_added_once() -> None:
    budgets = ByteBudgets(GB, Clock())
    budgets.take([(PAYMENT, "a")], PAYMENT.size // SMALL - 1)
    assert budgets.due() == {}
    budgets.take([(PAYMENT, "a")], 1)
    ((key, size),) = budgets.due().items()
    assert (key[:2], size) == ((datetime(2026, 11, 30, 11, tzinfo=UTC), "payment"), PAYMENT.size // SMALL)
    budgets.take([(PAYMENT, "a")], 5)
    budgets.learn({key: size}, {key: PAYMENT.size - 10})
    assert budgets.due() == {}
    assert budgets.take([(PAYMENT, "a")], 6) == PAYMENT, "others took the rest, and 5 bytes are not added yet"
    assert budgets.take([(PAYMENT, "a")], 5) is None


def test_what_is_taken_while_it_is_added_is_added_next() -> None:
    budgets, share = ByteBudgets(GB, Clock()), PAYMENT.size // SMALL
    budgets.take([(PAYMENT, "a")], share)
    paid = budgets.due()
    budgets.take([(PAYMENT, "a")], share)
    budgets.learn(paid, paid)
    assert budgets.due() == paid
    assert budgets._added.is_set()


def test_what_is_forgotten_while_it_is_added_counts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_budgets, "REMEMBERED", 1)
    budgets = ByteBudgets(GB, Clock())
    budgets.take([(PAYMENT, "a")], PAYMENT.size)
    paid = budgets.due()
    budgets.take([(PAYMENT, "b")], 1)
    assert budgets.take([(PAYMENT, "a")], 1) == PAYMENT
    budgets.learn(paid, paid)
    assert budgets.due() == {}


def test_a_payment_that_is_left_alone_takes_no_memory_for_long() -> None:
    clock = Clock()
    budgets = ByteBudgets(GB, clock)
    for number in range(2000):
        budgets.take([(PAYMENT, str(number)), (ADDRESS, "203.0.113.7")], 1)
        clock.now += timedelta(seconds=1)
    assert len(budgets._spent) == byte_budgets.IDLE.total_seconds() + 2, "those of the last minutes, and the address"


def test_what_is_to_be_added_is_not_forgotten() -> None:
    clock = Clock()
    budgets = ByteBudgets(GB, clock)
    budgets.take([(PAYMENT, "a")], PAYMENT.size // SMALL)
    paid = budgets.due()
    clock.now += 2 * byte_budgets.IDLE
    budgets.take([(PAYMENT, "b")], 1)
    assert budgets.due() == paid


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_budgets, "REMEMBERED", 10)
    budgets = ByteBudgets(GB, Clock())
    for number in range(100):
        budgets.take([(PAYMENT, str(number))], 1)
    assert len(budgets._spent) == 10
