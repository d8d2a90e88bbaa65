"""Which claims wait for a payment that does not exist yet, and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.commands.open_payment import OpeningFailed, track_payment
from consumers.early_claims import LONGEST_ID, as_kept, event, may_wait, names
from consumers.pipeline import take_claims
from consumers.ports.openings import Opened, OpeningRefused
from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, says
from tests.fakes.providers import PLAIN


def claim(source: Source = Source.IPN, **fields: Any) -> Claim:
    given: dict[str, Any] = {
        "id": "claim-1",
        "account": "shop-a",
        "provider": "fake",
        "source": source,
        "authenticity": Authenticity.UNSIGNED,
        "received_at": NOON,
    }
    return Claim(**(given | fields))


@pytest.mark.parametrize(
    ("source", "named", "waits"),
    [
        (Source.WEBHOOK, {"session_id": "S"}, True),
        (Source.WEBHOOK, {"transaction_id": "T"}, True),
        (Source.WEBHOOK, {"reference": "R"}, True),
        (Source.WEBHOOK, {"said": Said.SUCCESS, "event_id": "E"}, False),
        (Source.IPN, {"reference": "R"}, True),
        (Source.IPN, {}, False),
        (Source.RETURN, {"session_id": "S"}, True),
        (Source.RETURN, {"transaction_id": "T", "reference": "R"}, True),
        (Source.RETURN, {"reference": "R"}, False),
        (Source.RETURN, {"payment_id": "pay_0", "said": Said.SUCCESS}, False),
        (Source.OPERATOR, {"session_id": "S"}, False),
        (Source.SWEEP, {"session_id": "S"}, False),
        (Source.IPN, {"reference": "x" * (LONGEST_ID + 1)}, False),
        (Source.IPN, {"reference": "x" * LONGEST_ID}, True),
    ],
    ids=str,
)
def test_what_a_gateway_could_tell_of_a_payment_to_come_waits(
    source: Source, named: dict[str, str], waits: bool
) -> None:
    assert may_wait(claim(source, **named)) is waits


def test_ids_and_word_are_kept_and_nothing_that_names_a_buyer_or_a_path() -> None:
    body = Callback(
        source=Source.IPN, account="a", method="POST", query=(), headers=(), body=b"Rahim", received_at=NOON
    )
    whole = claim(session_id="S", said=Said.CANCEL, event_id="E", payment_id="pay_0", callback=body, traceparent="00")
    kept = as_kept(whole)
    assert kept == claim(session_id="S", said=Said.CANCEL, event_id="E", kept=True)
    assert as_kept(kept) == kept


def test_an_event_is_a_signed_claims_alone() -> None:
    assert event(claim(event_id="E")) is None
    assert event(claim(event_id="E", authenticity=Authenticity.SIGNED)) == "E"
    longest = "E" * LONGEST_ID
    assert event(claim(event_id=longest, authenticity=Authenticity.SIGNED)) == longest
    assert event(claim(event_id=longest + "E", authenticity=Authenticity.SIGNED)) is None
    assert event(claim(authenticity=Authenticity.SIGNED)) is None


def test_an_id_without_end_names_nothing_beside_others() -> None:
    assert names(claim(session_id="x" * 300, reference="R")) == (None, None, "R")


# -- its way through the stages ----------------------------------------------------------------------------------------


def told(drive: Drive, **fields: Any) -> Claim:
    given = {"account": PLAIN.id, "provider": PLAIN.provider.name, "received_at": drive.clock.now, "session_id": "S-1"}
    signed = {"source": Source.WEBHOOK, "authenticity": Authenticity.SIGNED, "event_id": "E-1"}
    return claim(**{**given, **signed, **fields})


async def test_what_a_gateway_told_before_the_payment_was_tracked_has_it_asked_about() -> None:
    drive = Drive(says(Status.COMPLETED))
    assert await drive.take(told(drive, said=Said.SUCCESS)) == []
    assert [one.id for one in drive.ledger.kept] == ["claim-1"]
    drive.clock.advance(60)
    payment = await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-1"), {})
    assert drive.ledger.kept == ()
    (heard,) = drive.ledger.heard
    await drive.publish(heard)
    assert drive.payment(payment.id).status is Status.COMPLETED
    assert await drive.take(told(drive, id="claim-2")) == [], "the gateway's own retry of the event says nothing new"


async def test_what_anyone_told_is_heard_by_a_payment_that_the_shop_opened_and_by_none_that_we_open() -> None:
    """For payments we open, signed claims only."""
    unsigned: dict[str, Any] = {"authenticity": Authenticity.UNSIGNED, "event_id": None, "said": Said.SUCCESS}
    ours, shops = Drive(), Drive()
    for drive in (ours, shops):
        await drive.take(told(drive, **unsigned))
    await ours.open(outcome=Opened(session_id="S-1", checkout_url="https://gateway.example/pay"))
    assert ours.ledger.heard == ()
    await track_payment(shops.ledger, shops.rules, shops.new(session_id="S-1"), {})
    assert [one.id for one in shops.ledger.heard] == ["claim-1"]


async def test_one_about_a_payment_of_which_nothing_came_waits_on() -> None:
    drive = Drive()
    await drive.take(told(drive, session_id=None, reference="order-7831"))
    with pytest.raises(OpeningFailed):
        await drive.open(reference="order-7831", outcome=OpeningRefused(message="no"))
    assert drive.ledger.heard == ()
    assert len(drive.ledger.kept) == 1


async def test_of_what_comes_in_one_batch_only_what_may_wait_is_kept() -> None:
    drive = Drive()
    payment_id = await drive.open()
    about_it = told(drive, id="known", event_id="E-2", session_id=drive.payment(payment_id).session_id)
    guessed = told(drive, id="guessed", source=Source.RETURN, event_id=None, session_id=None, reference="order-7831")
    await drive.publish(told(drive), guessed, about_it)
    assert [one.id for one in drive.ledger.kept] == ["claim-1"]


async def test_a_claim_whose_path_names_no_payment_is_about_the_one_that_its_ids_name() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id, another = await drive.open(), await drive.open()
    session = drive.payment(payment_id).session_id
    astray = told(drive, source=Source.RETURN, payment_id="pay_" + "9" * 26, session_id=session)
    await drive.publish(astray, drive.claim(another))
    for one in (payment_id, another):
        assert drive.payment(one).status is Status.COMPLETED


async def test_such_a_claim_too_is_asked_about_only_where_there_is_room() -> None:
    drive = Drive()
    session = drive.payment(await drive.open()).session_id
    astray = told(drive, source=Source.RETURN, payment_id="pay_" + "9" * 26, session_id=session)
    taken = await take_claims(drive.ledger, drive.rules, [astray], drive.turns, {PLAIN.id: 0})
    assert (taken.questions, taken.waiting) == ([], [])
