"""Unexpected money: held as `unexpected` until the shop announces it, when it is judged anew, or a person decides."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.account import Account
from consumers.commands.adopt import NotAdopted
from consumers.commands.open_payment import OpeningFailed, open_payment, track_payment
from consumers.explain.explain import explain_payment
from consumers.ports.openings import OpeningOutcome
from consumers.reconciliation.unexpected import UNKNOWN_HERE, UnmatchedLine
from schemas.callbacks import Claim
from schemas.payments import Candidate, Payment
from schemas.words import Authenticity, EventType, Hold, Said, Source, Status
from tests.fakes.drive import AMOUNT, at_once, says
from tests.fakes.providers import ACCOUNTS, CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT
from tests.unit.test_statement_facts import COMPLETED, FAILED, PART, PENDING, REFUNDED, Desk, a_refund, a_row, seconds

OTHER = Decimal("75.00")
USED = "a payment with this reference exists"


async def never(_: Payment) -> OpeningOutcome:
    raise AssertionError("a second checkout would charge twice")


# -- found -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda one: one.id)
def test_money_that_nobody_announced_is_a_payment_of_its_own_and_held(account: Account) -> None:
    desk = Desk(account)
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9", fee=Decimal("1.50")))
    payment = desk.drive.payment(payment_id)
    assert (payment.status, payment.holds, payment.version) == (COMPLETED, (Hold.UNEXPECTED,), 1)
    assert (payment.merchant, payment.account, payment.provider) == ("shop", account.id, "fake")
    assert (payment.reference, payment.session_id, payment.transaction_id) == ("theirs", "S-9", "T1")
    assert (payment.amount, payment.currency, payment.amount_verified) == (AMOUNT, "BDT", True)
    assert (payment.description, payment.opened_at, payment.expires_at) == (UNKNOWN_HERE, seconds(10), seconds(10))
    assert (payment.completed_at, payment.fee, payment.order_ref) == (seconds(10), Decimal("1.50"), None)
    (event,) = desk.drive.ledger.events_of(payment_id)
    assert (event.type, event.version) == (EventType.HELD, 1)


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda one: one.id)
def test_nothing_is_asked_or_closed_by_itself(account: Account) -> None:
    desk = Desk(account)
    payment_id = desk.found(a_row(reference="theirs"))
    before = desk.drive.payment(payment_id)
    assert before.next_check_at is None
    at_once(desk.drive.wait(timedelta(days=60)))
    assert (desk.drive.payment(payment_id), desk.drive.asked) == (before, [])


@pytest.mark.parametrize(
    ("line", "refunded", "status", "back"),
    [
        (a_row(REFUNDED), None, REFUNDED, AMOUNT),
        (a_row(), AMOUNT, REFUNDED, AMOUNT),
        (a_row(), PART, COMPLETED, PART),
    ],
)
def test_money_that_went_back_since_is_found_as_that(line: Any, refunded: Any, status: Status, back: Decimal) -> None:
    desk = Desk()
    refund = a_refund() if refunded else None
    payment = desk.drive.payment(desk.found(line, refund=refund, refunded=refunded))
    assert (payment.status, payment.refunded_amount, payment.holds) == (status, back, (Hold.UNEXPECTED,))
    assert desk.told(payment.id) == ["held"]


@pytest.mark.parametrize(
    ("ids", "reference"),
    [
        ({"reference": "A.b_c~d-1"}, "A.b_c~d-1"),
        ({"reference": None}, "unexpected.T1"),
        ({"reference": "order 7/8"}, "unexpected.T1"),
        ({"reference": "x" * 51}, "unexpected.T1"),
        ({"transaction_id": "T 1"}, "unexpected~75e8b39ac17b4c56a28650d903e421a0"),
        ({"transaction_id": None, "session_id": "S-9"}, "unexpected.S-9"),
        ({"transaction_id": None, "reference": "order 7/8"}, "unexpected~1ab81e1c2709a2e99c7781b526bc8a6a"),
    ],
)
def test_its_reference_is_the_gateways_or_one_of_its_other_ids(ids: dict[str, Any], reference: str) -> None:
    desk = Desk()
    payment = desk.drive.payment(desk.found(a_row(**ids)))
    assert payment.reference == reference
    assert len(payment.reference) <= 50
    assert payment.holds == (Hold.UNEXPECTED,)


@pytest.mark.parametrize(
    ("at", "since"),
    [(10, 10), (None, 25), (9_999, 60)],
    ids=["its own time", "the newest of its statement", "no time to come"],
)
def test_it_is_there_since_the_money_came(at: float | None, since: float) -> None:
    desk = Desk()
    (found,) = desk.finds(UnmatchedLine(line=a_row(at=at)), newest=25)
    payment = desk.drive.payment(found.payment_id)
    assert (payment.opened_at, payment.expires_at) == (seconds(since), seconds(since))


@pytest.mark.parametrize(
    ("account", "ids", "asked_by"),
    [
        (CANDIDATES, {}, (Candidate(transaction_id="T1", signed=False, state="confirmed"),)),
        (CANDIDATES, {"transaction_id": None, "session_id": "S-9"}, ()),
        (PLAIN, {}, ()),
    ],
    ids=["by transaction", "by transaction, and none is named", "by our own ids"],
)
def test_it_can_be_asked_about_by_the_transaction_where_that_is_what_the_gateway_is_asked_by(
    account: Account, ids: dict[str, Any], asked_by: tuple[Candidate, ...]
) -> None:
    desk = Desk(account)
    assert desk.drive.payment(desk.found(a_row(**ids))).candidates == asked_by


@pytest.mark.parametrize(
    "again",
    [
        a_row(row=3, reference="theirs", session_id="S-9"),
        a_row(row=3, reference=None),
        a_row(row=3, transaction_id=None, reference="theirs"),
        a_row(row=3, transaction_id=None, session_id="S-9"),
    ],
)
def test_the_same_money_again_is_found_and_changes_nothing(again: Any) -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9"))
    before, entries = desk.case(payment_id), desk.drive.ledger.entries(payment_id)
    (found,) = desk.finds(UnmatchedLine(line=again), name="april.csv")
    assert (found.row, found.payment_id, found.new) == (3, payment_id, False)
    assert (desk.case(payment_id), desk.drive.ledger.entries(payment_id)) == (before, entries)
    assert len(desk.drive.ledger.events) == 1


def test_of_lines_about_the_same_money_the_first_makes_the_payment() -> None:
    desk = Desk()
    strays = [
        UnmatchedLine(line=a_row(row=2, reference="a")),
        UnmatchedLine(line=a_row(row=3, reference="b")),
        UnmatchedLine(line=a_row(row=4, reference="a", transaction_id="T9")),
        UnmatchedLine(line=a_row(row=5, transaction_id="T5", reference="c")),
    ]
    found = desk.finds(*strays)
    assert [(one.row, one.new) for one in found] == [(2, True), (3, False), (4, False), (5, True)]
    assert len({one.payment_id for one in found}) == 2
    assert len(desk.drive.ledger.events) == 2


def test_a_payment_that_is_known_by_any_id_is_no_stranger() -> None:
    desk = Desk()
    payment_id = desk.open(reference="ours")
    by_reference, by_session = desk.finds(
        UnmatchedLine(line=a_row(row=2, reference="ours")),
        UnmatchedLine(line=a_row(row=3, transaction_id=None, session_id="S-001")),
    )
    assert {by_reference.payment_id, by_session.payment_id} == {payment_id}
    assert desk.drive.payment(payment_id).version == 1


def test_lines_that_are_no_paid_money_or_name_nothing_are_unused() -> None:
    desk = Desk()
    lines = [a_row(FAILED), a_row(PENDING), a_refund(), a_row(transaction_id=None)]
    assert desk.finds(*(UnmatchedLine(line=line) for line in lines)) == []
    assert desk.drive.ledger.events == ()


def test_its_story_says_that_nobody_had_asked_for_it() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"))
    explanation = explain_payment(desk.dossier(payment_id))
    assert explanation.summary.startswith("Paid, but held as unexpected: 100.00 BDT, as row 17 of march.csv says")
    story = desk.story(payment_id)
    assert story[0] == f"A statement named money through silent (fake) that nobody had asked for here: {payment_id}."
    assert story[2] == (
        "Decided: pending rose to completed, held: unexpected, by row 17 of march.csv. "
        "The rule: money that nobody asked for is held."
    )
    evidence = explanation.evidence
    assert evidence is not None
    assert evidence.why == "it is paid at the gateway, and was unknown here"
    assert [one.by for one in evidence.answers] == ["row 17 of march.csv"]
    assert not any(one.differs for one in evidence.answers[0].compared)
    assert [plan.words for plan in explanation.plans] == [
        "the shop announces its reference or its session, or a person resolves it (payproof payments resolve)"
    ]


# -- resolved by a person, answered by the gateway ---------------------------------------------------------------------


@pytest.mark.parametrize(("status", "told"), [(COMPLETED, "completed"), (REFUNDED, "refunded")])
def test_a_person_resolves_it_once_and_for_all(status: Status, told: str) -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"))
    payment = desk.resolve(payment_id, status)
    assert (payment.status, payment.hold, payment.transaction_id) == (status, None, "T1")
    desk.says(payment_id, a_row(reference="theirs"), newest=50)
    desk.found(a_row(row=4, reference="theirs"))
    assert desk.told(payment_id) == ["held", told]
    assert desk.adopt(payment_id) == NotAdopted(code="reference_used", message=USED, payment_id=payment_id)


@pytest.mark.parametrize("account", [PLAIN, PROVING, EXECUTING, CANDIDATES], ids=lambda one: one.id)
def test_a_claim_about_it_asks_the_gateway_as_for_any_payment(account: Account) -> None:
    desk = Desk(account)
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9"))
    desk.drive.gateway = says(COMPLETED, transaction_id="T1")
    at_once(desk.drive.hit(payment_id, Said.SUCCESS, source=Source.OPERATOR))
    assert len(desk.drive.asked) == 1
    payment = desk.drive.payment(payment_id)
    assert (payment.holds, payment.fact_asked_at is not None) == ((Hold.UNEXPECTED,), True)
    desk.drive.gateway = says(FAILED)
    desk.drive.clock.advance(60)
    at_once(desk.drive.hit(payment_id, Said.SUCCESS, source=Source.OPERATOR))
    assert desk.drive.payment(payment_id).holds == (Hold.CONTRADICTION, Hold.UNEXPECTED)
    assert set(desk.told(payment_id)) == {"held"}


# -- adopted -----------------------------------------------------------------------------------------------------------


def announced(desk: Desk, found_id: str, **fields: Any) -> Payment:
    """POST /v1/payments with its reference."""
    wanted = desk.wanted(desk.drive.payment(found_id).reference, **fields)
    drive = desk.drive
    return at_once(open_payment(drive.ledger, drive.rules, wanted, {"reference": wanted.reference}, never))


def tracked(desk: Desk, reference: str, session_id: str, **fields: Any) -> Payment:
    wanted = desk.wanted(reference, session_id=session_id, **fields)
    return at_once(track_payment(desk.drive.ledger, desk.drive.rules, wanted, {"reference": reference}))


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda one: one.id)
def test_the_shop_announces_it_and_it_is_completed(account: Account) -> None:
    desk = Desk(account)
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9"))
    payment = announced(desk, payment_id, order_ref="o", description="Two saris", metadata={"a": "b"})
    assert (payment.id, payment.status, payment.hold, payment.version) == (payment_id, COMPLETED, None, 2)
    assert (payment.order_ref, payment.description, payment.metadata) == ("o", "Two saris", {"a": "b"})
    assert (payment.checkout_url, payment.late, payment.amount_verified) == (None, False, True)
    assert payment == desk.drive.payment(payment_id)
    assert desk.told(payment_id) == ["held", "completed"]
    body = msgspec.json.decode(desk.drive.ledger.events_of(payment_id)[-1].body)
    assert (body["data"]["order"], body["data"]["version"]) == ("o", 2)


def test_what_the_shop_asks_for_stands_in_place_of_what_was_found() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(session_id="S-9"))
    asked_for = {
        "order_ref": "order-7831",
        "description": "Two saris",
        "metadata": {"a": "b"},
        "return_url": "https://shop.example/thanks",
        "failure_url": "https://shop.example/failed",
        "cancel_url": "https://shop.example/cancelled",
        "opened_at": seconds(70),
        "expires_at": seconds(970),
    }
    payment = tracked(desk, "order-7831-a1", "S-9", **asked_for)
    assert {name: getattr(payment, name) for name in asked_for} == asked_for
    assert (payment.id, payment.reference, payment.adopted_at) == (payment_id, "order-7831-a1", seconds(60))


@pytest.mark.parametrize(("order", "words"), [(None, ""), ("o", ", order o")])
def test_its_timeline_says_when_the_shop_announced_what(order: str | None, words: str) -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"))
    desk.after(90)
    announced(desk, payment_id, order_ref=order)
    assert f"Decided: the shop announced it: 100.00 BDT, reference theirs{words}." in desk.story(payment_id)
    (at,) = (one.at for one in desk.drive.ledger.entries(payment_id) if "announced it" in one.data.get("change", ""))
    assert at == seconds(90)


def test_what_its_gateway_told_of_it_before_is_heard_signed_or_not() -> None:
    desk = Desk(PLAIN)
    drive = desk.drive
    for authenticity in Authenticity:
        told = Claim(
            id=authenticity,
            account=PLAIN.id,
            provider=PLAIN.provider.name,
            source=Source.IPN,
            authenticity=authenticity,
            received_at=drive.clock.now,
            reference="theirs",
        )
        assert at_once(drive.take(told)) == []
    payment_id = desk.found(a_row(reference="theirs"))
    assert drive.ledger.heard == ()
    announced(desk, payment_id)
    assert {one.id for one in drive.ledger.heard} == set(Authenticity)


def test_a_request_that_adopts_goes_on_as_the_payment_it_found() -> None:
    """It proposed an id for a payment of its own, and is found by that id when it is sent again."""
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"))
    wanted = desk.wanted("theirs")
    drive = desk.drive
    at_once(open_payment(drive.ledger, drive.rules, wanted, {"reference": "theirs"}, never))
    assert drive.ledger.came_to(wanted.id) == payment_id


@pytest.mark.parametrize(
    ("line", "back", "fields", "told", "holds"),
    [
        (a_row(reference="r"), None, {}, "completed", ()),
        (a_row(reference="r"), PART, {}, "completed", ()),
        (a_row(REFUNDED, reference="r"), None, {}, "released", ()),
        (a_row(reference="r"), AMOUNT, {}, "released", ()),
        (a_row(reference="r"), None, {"amount": OTHER}, "held", (Hold.AMOUNT_MISMATCH,)),
        (a_row(reference="r"), None, {"currency": "USD"}, "held", (Hold.CURRENCY_MISMATCH,)),
        (a_row(reference="r"), None, {"order_ref": "paid"}, "held", (Hold.DUPLICATE_FOR_ORDER,)),
    ],
)
def test_an_adoption_is_one_event(line: Any, back: Any, fields: Any, told: str, holds: Any) -> None:
    """By the same rule as every change."""
    desk = Desk()
    desk.says(desk.open(order_ref="paid"), a_row(transaction_id="T-other"))
    payment_id = desk.found(line, refund=a_refund() if back else None, refunded=back)
    payment = announced(desk, payment_id, **fields)
    assert (desk.told(payment_id), payment.holds, payment.version) == (["held", told], holds, 2)
    assert desk.versions(payment_id) == [1, 2]


def test_what_was_adopted_with_another_amount_is_for_a_person() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"))
    payment = announced(desk, payment_id, amount=OTHER)
    assert (payment.status, payment.hold, payment.amount) == (COMPLETED, Hold.AMOUNT_MISMATCH, OTHER)
    assert payment.amount_verified is False
    done = desk.resolve(payment_id, COMPLETED)
    assert (done.status, done.hold, desk.told(payment_id)) == (COMPLETED, None, ["held", "held", "completed"])


def test_what_went_back_and_was_another_amount_is_not_adopted() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs"), refund=a_refund(), refunded=PART)
    before = desk.drive.payment(payment_id)
    assert desk.adopt(payment_id, amount=OTHER) == NotAdopted(
        code="reference_used",
        message="100.00 came under this reference, and 40.00 of it went back; a person must resolve it",
        payment_id=payment_id,
    )
    with pytest.raises(OpeningFailed, match=r"100.00 came under this reference, and 40.00 of it went back") as caught:
        announced(desk, payment_id, amount=OTHER)
    assert caught.value.equal is False, "the payment differs from the request"
    assert desk.drive.payment(payment_id) == before


@pytest.mark.parametrize("way", ["announced", "tracked by its reference", "tracked by its session"])
def test_who_announces_it_again_in_the_same_words_is_told_that_it_is_theirs(way: str) -> None:
    desk = Desk()
    reference, session_id = (None, "S-9") if way == "tracked by its session" else ("theirs", None)
    payment_id = desk.found(a_row(reference=reference, session_id=session_id))
    if way == "announced":
        announced(desk, payment_id)
    else:
        tracked(desk, "theirs", "S-9")
    with pytest.raises(OpeningFailed) as caught:
        announced(desk, payment_id)
    assert (caught.value.code, caught.value.payment_id, caught.value.equal) == ("reference_used", payment_id, True)


def test_what_was_adopted_is_a_payment_as_any_other() -> None:
    desk = Desk(PLAIN)
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9"))
    announced(desk, payment_id)
    for again in (lambda: announced(desk, payment_id), lambda: tracked(desk, "theirs", "S-9")):
        with pytest.raises(OpeningFailed) as caught:
            again()
        assert (caught.value.code, caught.value.payment_id) == ("reference_used", payment_id)
        assert caught.value.equal, "the conflicting payment equals the request"
    with pytest.raises(OpeningFailed) as caught:
        tracked(desk, "another", "S-9")
    assert caught.value.code == "session_used"
    assert desk.answered(payment_id, COMPLETED, 90, session_id="S-9").hold is None
    assert desk.drive.payment(payment_id).next_check_at is not None, "asked about refunds, as any"


@pytest.mark.parametrize("session_id", [None, "S-9"])
def test_it_is_tracked_by_its_reference(session_id: str | None) -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs", session_id=session_id))
    payment = tracked(desk, "theirs", "S-9")
    assert (payment.id, payment.status, payment.hold) == (payment_id, COMPLETED, None)
    assert (payment.session_id, payment.opened) == ("S-9", True)


def test_it_is_tracked_by_its_session_under_the_shops_reference() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(session_id="S-9"))
    payment = tracked(desk, "order-7831", "S-9")
    assert (payment.id, payment.reference, payment.hold) == (payment_id, "order-7831", None)
    assert desk.drive.payment(desk.open(reference="unexpected.T1")).version == 1, "its old reference is free"
    with pytest.raises(OpeningFailed) as caught:
        desk.open(reference="order-7831")
    assert caught.value.payment_id == payment_id


def test_a_reference_of_another_payment_stays_that_payments() -> None:
    desk = Desk()
    other = desk.open(reference="ours")
    found = desk.found(a_row(session_id="S-9"))
    before = desk.drive.payment(found)
    with pytest.raises(OpeningFailed) as caught:
        tracked(desk, "ours", "S-9")
    assert (caught.value.code, caught.value.payment_id) == ("reference_used", other)
    with pytest.raises(OpeningFailed) as caught:
        tracked(desk, "unexpected.T1", "S-001")
    assert (caught.value.code, str(caught.value)) == ("session_used", "another payment has this session_id")
    assert desk.drive.payment(found) == before


def test_a_session_that_the_statement_did_not_name_is_a_misfit() -> None:
    desk = Desk()
    payment_id = desk.found(a_row(reference="theirs", session_id="S-9"))
    payment = tracked(desk, "theirs", "S-10")
    assert (payment.id, payment.holds, payment.status) == (payment_id, (Hold.IDENTITY_MISMATCH,), COMPLETED)


@given(amount=st.sampled_from([AMOUNT, OTHER]), steps=st.permutations(["answer", "row", "adopt"]))
def test_status_refunds_and_versions_only_rise(amount: Decimal, steps: list[str]) -> None:
    desk = Desk(PLAIN)
    payment_id = desk.found(a_row(reference="theirs"))
    for step in steps:
        before = desk.drive.payment(payment_id)
        match step:
            case "answer":
                desk.answered(payment_id, COMPLETED, 70)
            case "row":
                desk.says(payment_id, a_row(REFUNDED, at=29, reference="theirs"))
            case "adopt":
                desk.adopt(payment_id, amount=amount)
        after = desk.drive.payment(payment_id)
        assert after.status.rank >= before.status.rank
        assert after.refunded_amount >= before.refunded_amount
        assert after.version - before.version in (0, 1)
    assert desk.told(payment_id).count("completed") <= 1


def test_silent_is_what_payparse_is_without_a_status_check() -> None:
    assert not SILENT.provider.capabilities.asked_by
