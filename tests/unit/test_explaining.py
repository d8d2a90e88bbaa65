"""The explanation of payments that went through the real stages, and of every hold, schedule and rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.apply_claim import TOO_MANY
from consumers.checks.repeated_failure import Failing, stop_asking
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.explain.answer_text import masked
from consumers.explain.collapse import collapse_rounds, timeline_line
from consumers.explain.evidence import Compared, evidence
from consumers.explain.explain import Explanation, explain_payment
from consumers.explain.hold_words import HOLD_CAUSES, TO_DO
from consumers.explain.next_steps import SCHEDULES
from consumers.explain.reached import Receiver
from consumers.explain.snapshot import EntryCount, LeftOut, Others, PaymentSnapshot
from consumers.money.rule_names import OF_HOLDS, rule_of
from consumers.ports.call_limits import AccountLimits
from consumers.ports.openings import Opened
from schemas.answers import ForeignTransaction
from schemas.changes import Entry
from schemas.checks import Checks
from schemas.payments import Case, Payment, ScheduleName
from schemas.words import EntryKind, EventType, Hold, Risk, Said, Source, Status
from tests.fakes.drive import Drive, at_once, executed, says, troubled
from tests.fakes.providers import CANDIDATES, EXECUTING, INVOICES, PLAIN, PROVING, SILENT

AT = datetime(2026, 11, 20, 10, 45, tzinfo=UTC)


def dossier(drive: Drive, payment_id: str, **more: Any) -> PaymentSnapshot:
    case = drive.ledger.case(payment_id)
    assert case is not None
    given: dict[str, Any] = {
        "case": case,
        "entries": drive.ledger.entries(payment_id),
        "now": drive.clock.now,
        "checks": drive.rules.checks,
        "account": drive.rules.accounts[case.payment.account],
        "limits": drive.ledger.limits_of(case.payment.account),
    }
    return PaymentSnapshot(**(given | more))


def told(drive: Drive, payment_id: str, **more: Any) -> Explanation:
    return explain_payment(dossier(drive, payment_id, **more))


def lines(explanation: Explanation) -> list[str]:
    return [one.words for one in explanation.story]


def plans(explanation: Explanation) -> list[str]:
    return [plan.words for plan in explanation.plans]


def alone(*entries: tuple[EntryKind, dict[str, Any]], account: Account = PLAIN, **fields: Any) -> Explanation:
    """A payment with these entries only, which went through no stage."""
    payment = Payment(
        **{
            "id": "pay_00000000000000000000000000",
            "merchant": "shop",
            "account": account.id,
            "provider": account.provider.name,
            "reference": "order-1",
            "session_id": "S-1",
            "amount": Decimal("1500.50"),
            "currency": "BDT",
            "opened_at": AT,
            "expires_at": AT + timedelta(minutes=15),
            "opened": True,
            "version": 1,
            **fields,
        }
    )
    recorded = tuple(Entry(kind=kind, at=AT, data=data) for kind, data in entries)
    return explain_payment(
        PaymentSnapshot(case=Case(payment=payment), entries=recorded, now=AT, checks=Checks(), account=account)
    )


def claim(**said: Any) -> tuple[EntryKind, dict[str, Any]]:
    return EntryKind.CLAIM, {"source": "return", "authenticity": "unsigned", "verdict": "asks", **said}


def test_a_high_risk_is_told_in_the_summary_of_what_is_paid() -> None:
    said = {"question": "status", "status": "completed", "word": "VALID", "risk": "high", "seconds": 0.1}
    told = alone((EntryKind.ANSWER, said), status=Status.COMPLETED, risk=Risk.HIGH)
    assert "advises to look at it before the goods leave" in told.summary
    assert "completed (its word: VALID), risk high." in told.story[-1].words
    assert "risk" not in alone(status=Status.COMPLETED, risk=Risk.LOW).summary
    assert "risk" not in alone(status=Status.REFUNDED, risk=Risk.HIGH).summary


# -- a long story ------------------------------------------------------------------------------------------------------


def test_an_answer_that_was_counted_again_and_again_is_told_with_how_often_and_until_when() -> None:
    until = AT + timedelta(hours=5)
    said = {"question": "status", "inconclusive": "key_refused", "detail": "401", "seconds": 0.1}
    counted = EntryKind.ANSWER, said | {"times": 600, "last_at": until.isoformat()}
    told = alone(counted).story[-1]
    assert (told.count, told.last_at) == (600, until)
    assert told.words == "No answer after at most 0.100 s: key_refused (401). That means nothing for the money."


def test_what_does_not_fit_on_a_screen_is_counted_where_it_happened() -> None:
    drive = Drive()
    payment_id = at_once(drive.open())
    asked = at_once(drive.publish(drive.claim(payment_id, Said.SUCCESS)))
    assert len(asked) == 1
    more = EntryCount(kind=EntryKind.CLAIM, source=Source.RETURN, count=49_000, first_at=AT, last_at=AT)
    explanation = told(
        drive,
        payment_id,
        left_out=LeftOut(place=3, counted=(more,)),
        entries=(
            *drive.ledger.entries(payment_id)[:3],  # without the answer
            Entry(kind=EntryKind.EVENT, at=AT, data={"id": "x.2", "type": "payment.held"}),
        ),
    )
    assert lines(explanation)[-3:] == [
        (
            "We asked the gateway what happened because of a claim that anyone could have sent; "
            "the reply, if any, is among what is left out."
        ),
        (
            "Until 2026-11-20 10:45:00Z more happened than fits here: 49,000 × a browser that came back. "
            "The timeline has all of it."
        ),
        "Wrote payment.held, version 2, to the shop's log.",
    ]


# -- in short ----------------------------------------------------------------------------------------------------------


def test_a_paid_payment_says_as_whose_word_since_when_and_what_the_shop_was_told() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = at_once(drive.open(PLAIN, order_ref="order-9"))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    at = f"{drive.clock.now:%Y-%m-%d %H:%M:%SZ}"
    explanation = told(drive, payment_id)
    assert explanation.summary == (
        f"Paid: 100.00 BDT, as the gateway itself said at {at}. The shop's log has payment.completed since {at}; "
        "no webhook endpoint wants it."
    )
    assert lines(explanation) == [
        f"The shop asked for 100.00 BDT through plain (fake), reference order-1, order order-9: {payment_id}.",
        "Wrote payment.opened, version 1, to the shop's log.",
        "A browser that came back said success. Anyone could have sent it, so we ask the gateway.",
        (
            "We asked the gateway what happened because of a claim that anyone could have sent; "
            "it answered after 0.250 s: completed (its word: COMPLETED), 100.00 BDT, transaction T-001."
        ),
        (
            "Decided: pending rose to completed. "
            "The rule: an answer that fits is believed, and payment.completed is written once for a payment."
        ),
        "Wrote payment.completed, version 2, to the shop's log.",
    ]
    assert explanation.evidence is None
    assert explanation.standing == "It stands at completed, transaction T-001; version 2."
    assert plans(explanation) == ["we ask the gateway again, because it may be refunded"]


def test_a_claim_of_success_is_told_to_prove_nothing() -> None:
    drive = Drive()
    payment_id = at_once(drive.open())
    assert told(drive, payment_id).summary.startswith(
        "Not paid so far: 100.00 BDT is pending, and the gateway has given no answer yet. The shop's log"
    )
    at_once(drive.hit(payment_id, Said.SUCCESS))
    summary = told(drive, payment_id).summary
    assert "pending, the gateway last said so at " in summary
    assert "Someone said success at " in summary
    assert ", and that proves nothing." in summary


def test_what_the_clock_closed_and_what_the_gateway_closed_are_told_apart() -> None:
    drive = Drive()
    by_clock = at_once(drive.open(PROVING))
    at_once(drive.wait(timedelta(hours=1)))
    assert "is expired, as its time was over at " in told(drive, by_clock).summary
    assert any(
        "The rule: what nobody paid closes when its time is over." in one for one in lines(told(drive, by_clock))
    )
    drive.gateway = says(Status.EXPIRED)
    by_gateway = at_once(drive.open(PROVING))
    at_once(drive.hit(by_gateway))
    assert "is expired, as the gateway itself said at " in told(drive, by_gateway).summary


def test_late_money_is_told_as_late() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PROVING))
    at_once(drive.wait(timedelta(hours=1)))
    drive.gateway = says(Status.COMPLETED)
    at_once(drive.hit(payment_id))
    explanation = told(drive, payment_id)
    assert explanation.summary.startswith("Paid, late: ")
    assert any("The rule: late money counts" in one for one in lines(explanation))


@pytest.mark.parametrize("hold", Hold)
def test_every_hold_says_why_what_to_do_by_which_rule_and_who_lifts_it(hold: Hold) -> None:
    explanation = alone(holds=(hold,))
    assert explanation.evidence is not None
    assert (explanation.evidence.why, explanation.evidence.to_do) == (HOLD_CAUSES[hold], TO_DO[hold])
    assert hold in OF_HOLDS
    assert f"is held as {hold}" in explanation.summary
    assert f"It stands at pending, held as {hold}" in explanation.standing
    assert ("nothing more is delivered" in explanation.standing) is not hold.waiting
    assert ("a later answer lifts" in plans(explanation)[0]) is hold.waiting
    assert "payproof payments resolve" in plans(explanation)[0]


BELIEVED = "an answer that fits is believed, and payment.completed is written once for a payment"
OWN_WORD = "the gateway's own word, asked by us, closes a payment"
REFUNDS = "the greatest refund that the gateway shows counts"
BY_PERSON = "a person's word settles what is held"
BY_STATEMENT = "where nobody is asked, the gateway's own statement counts, as of its own time"
TAKEN_BACK = "paid money that the gateway takes back is held"
HELD = {"holds": (Hold.CONTRADICTION, Hold.UNRESOLVED)}


@pytest.mark.parametrize(
    ("event", "fields", "by", "rule"),
    [
        (EventType.OPENED, {}, {}, "a payment is expected before anyone can pay it"),
        (EventType.COMPLETED, {}, {}, BELIEVED),
        (
            EventType.COMPLETED,
            {"late": True},
            {},
            "late money counts, and payment.completed is written once for a payment",
        ),
        (EventType.FAILED, {}, {}, OWN_WORD),
        (EventType.CANCELLED, {}, {}, OWN_WORD),
        (EventType.EXPIRED, {}, {}, OWN_WORD),
        (EventType.EXPIRED, {"expired_by_clock_at": AT}, {}, "what nobody paid closes when its time is over"),
        (EventType.REFUNDED, {}, {}, REFUNDS),
        (EventType.PARTIALLY_REFUNDED, {}, {}, REFUNDS),
        (EventType.RELEASED, {}, {}, "a later answer that fits lifts what only waited"),
        (EventType.HELD, HELD, {}, TAKEN_BACK),
        (EventType.COMPLETED, {}, {"resolved": True}, BY_PERSON),
        (EventType.HELD, HELD, {"resolved": True}, TAKEN_BACK),
        (EventType.COMPLETED, {}, {"stated": True}, BY_STATEMENT),
        (EventType.HELD, HELD, {"stated": True}, TAKEN_BACK),
    ],
)
def test_every_change_names_the_rule_that_it_came_from(event: EventType, fields: Any, by: Any, rule: str) -> None:
    assert rule_of(Drive().new(**fields), event, **{"resolved": False, **by}) == rule


# -- claims and answers ------------------------------------------------------------------------------------------------


def test_a_claim_is_told_with_whether_it_was_believed_and_why() -> None:
    explanation = alone(
        claim(said="success", transaction_id="T-9"),
        claim(source="webhook", authenticity="signed", verdict="repeated"),
        claim(source="operator"),
        claim(source="ipn", verdict="answered already"),
        claim(source="ipn", verdict=TOO_MANY),
        claim(source="sweep", verdict="due"),
    )
    assert lines(explanation)[1:] == [
        "A browser that came back said success and transaction T-9. Anyone could have sent it, so we ask the gateway.",
        "A webhook of the gateway named this payment. It is signed, and it counts once: the same came before.",
        "A person, or the shop's API, wants it looked at, so we ask the gateway.",
        (
            "A notification in the gateway's name named this payment. Anyone could have sent it, and nothing is asked: "
            "the gateway was asked since it came in, and answered already."
        ),
        (
            "A notification in the gateway's name named this payment. Anyone could have sent it, "
            f"and we ask when there is room: {TOO_MANY}."
        ),
        "Our schedule said that it was time, and nothing could be asked just then.",
    ]


def test_claims_are_named_that_the_archive_keeps() -> None:
    told = alone(
        claim(claim_id="c1"),
        claim(claim_id="c2"),
        claim(source="operator", claim_id="c3"),
        claim(source="sweep", verdict="due", claim_id="c4"),
    ).story[1:]
    assert [(one.count, one.claim_ids) for one in told] == [(2, ("c1", "c2")), (1, ()), (1, ())]


def test_the_eleventh_unsigned_claim_of_an_hour_is_told_to_be_too_many() -> None:
    drive = Drive()
    payment_id = at_once(drive.open())
    for _ in range(11):
        at_once(drive.hit(payment_id))
        drive.clock.advance(5)
    verdicts = [one.data["verdict"] for one in drive.ledger.entries(payment_id) if one.kind is EntryKind.CLAIM]
    assert verdicts == ["asks"] * 10 + [TOO_MANY]


def test_no_answer_is_told_to_mean_nothing_for_the_money() -> None:
    drive = Drive(troubled())
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id, source=Source.WEBHOOK, signed=True))
    assert lines(told(drive, payment_id))[-1] == (
        "We asked the gateway what happened because a signed claim came in or a person wants to know; no answer after "
        "0.250 s: server_error (server_error). That means nothing for the money."
    )


def test_a_question_without_a_reply_and_an_answer_of_an_older_version_are_told_alone() -> None:
    explanation = alone(
        (EntryKind.QUESTION, {"question": "status", "transaction_asked": "txn1"}),
        (EntryKind.ANSWER, {"seconds": 0.25, "question": "status", "refused": "other_payment"}),
        (EntryKind.ANSWER, {"seconds": 0.25, "inconclusive": "server_error", "detail": "HTTP 500"}),
    )
    assert lines(explanation)[1:] == [
        "We asked the gateway what happened about transaction txn1; no reply is recorded, it may be on its way.",
        "After 0.250 s it said that it knows it as another payment's; the claim is refused.",
        "No answer after 0.250 s: server_error (HTTP 500). That means nothing for the money.",
    ]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("call 01712345678 now", "call 017******** now"),
        ("+8801912345678", "019********"),
        ("write to buyer@example.com", "write to ***@***"),
        ("AGW71234501712345678", "AGW71234501712345678"),
    ],
)
def test_a_gateways_words_are_told_without_phone_numbers_and_addresses(words: str, shown: str) -> None:
    assert masked(words) == shown


# -- long stories ------------------------------------------------------------------------------------------------------


def test_a_flood_and_days_of_questions_are_a_line_each() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(expires_at=drive.clock.now + timedelta(days=3)))
    for _ in range(500):
        at_once(drive.hit(payment_id, Said.SUCCESS))
    at_once(drive.wait(timedelta(days=2)))
    explanation = told(drive, payment_id)
    assert len(drive.ledger.entries(payment_id)) > 1000
    assert len(explanation.story) < 20
    assert sum(one.count for one in explanation.story if one.kind is EntryKind.CLAIM) == 500
    often = max(explanation.story, key=lambda one: one.count if one.kind is EntryKind.ANSWER else 0)
    assert often.count > 500
    assert often.last_at - often.at > timedelta(days=1)
    assert "at most 0.250 s" in often.words


def test_rounds_of_claims_and_questions_are_put_together_and_what_happened_once_stands_alone() -> None:
    def said(seconds: int, words: str) -> Any:
        return timeline_line(AT + timedelta(seconds=seconds), "claim", words)

    story = [said(0, "a"), said(1, "b"), said(2, "a"), said(3, "a"), said(4, "b"), said(5, "a"), said(6, "b")]
    together = collapse_rounds([*story, said(7, "c"), said(8, "a")])
    assert [(one.words, one.count) for one in together] == [("a", 4), ("b", 3), ("c", 1), ("a", 1)]
    assert (together[0].at, together[0].last_at) == (AT, AT + timedelta(seconds=5))


# -- what a person decides by ------------------------------------------------------------------------------------------


def compared(explained: PaymentSnapshot) -> list[dict[str, Compared]]:
    found = evidence(explained)
    assert found is not None
    return [{one.what: one for one in answer.compared} for answer in found.answers]


def differing(explained: PaymentSnapshot) -> list[set[str]]:
    return [{what for what, one in answer.items() if one.differs} for answer in compared(explained)]


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({"amount": Decimal("15.00")}, {"amount"}),
        ({"currency": "USD"}, {"currency"}),
        ({"reference": "another"}, {"reference"}),
        ({"session_id": "another"}, {"session"}),
        ({"amount": None}, {"amount"}),
        ({"refunded_amount": Decimal("100.01")}, {"refunded"}),
    ],
)
def test_what_differs_from_what_was_expected_is_marked(fields: dict[str, Any], differs: set[str]) -> None:
    drive = Drive(says(Status.COMPLETED, **fields))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    assert differing(dossier(drive, payment_id)) == [differs]
    (answer,) = compared(dossier(drive, payment_id))
    assert (answer["session"].asked, answer["session"].expected) == ("S-001", "S-001")


def test_what_the_rules_let_pass_is_not_marked() -> None:
    """A question that was on its way while the checkout was opened again brings the earlier session."""
    drive = Drive(says(Status.COMPLETED, session_id="S-before", amount=Decimal("15.00")))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    held = dossier(drive, payment_id)
    assert differing(held) == [{"amount", "session"}]
    reopened = replace(held.payment, opened_at=drive.clock.now + timedelta(seconds=1))
    assert differing(replace(held, case=replace(held.case, payment=reopened))) == [{"amount"}]


def test_what_a_person_accepted_is_not_marked_beside_what_contradicts_it() -> None:
    drive = Drive(says(Status.COMPLETED, amount=Decimal("15.00")))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    wish = ResolutionRequest(status=Status.COMPLETED, actor="rahim", reason="it is on the statement")
    at_once(resolve_payment(drive.ledger, drive.rules, payment_id, wish))
    drive.gateway = says(Status.FAILED)
    drive.clock.advance(60)
    at_once(drive.hit(payment_id))
    assert differing(dossier(drive, payment_id)) == [set(), {"status"}]


def test_a_contradiction_shows_both_answers() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    drive.gateway = says(Status.FAILED)
    drive.clock.advance(60)
    at_once(drive.hit(payment_id))
    assert differing(dossier(drive, payment_id)) == [set(), {"status"}]
    assert told(drive, payment_id).summary.startswith("Paid, but held as contradiction: ")


def test_what_a_person_settled_is_not_shown_again() -> None:
    drive = Drive(says(Status.COMPLETED, amount=Decimal("15.00")))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    wish = ResolutionRequest(status=Status.COMPLETED, actor="rahim", reason="it is on the statement")
    at_once(resolve_payment(drive.ledger, drive.rules, payment_id, wish))
    explanation = told(drive, payment_id)
    assert "as rahim decided at " in explanation.summary
    assert lines(explanation)[-3] == "rahim resolved it as completed: it is on the statement."
    assert "The rule: a person's word settles what is held." in lines(explanation)[-2]
    drive.gateway = says(Status.COMPLETED, amount=Decimal("16.00"))
    drive.clock.advance(60)
    at_once(drive.hit(payment_id))
    (answer,) = compared(dossier(drive, payment_id))
    assert answer["amount"] == Compared(what="amount", answered="16.00", expected="100.00", differs=True)


def test_the_other_payment_is_named() -> None:
    drive = Drive(says(Status.COMPLETED, transaction_id="T-1"))
    first, second = at_once(drive.open()), at_once(drive.open())
    for one in (first, second):
        at_once(drive.hit(one))
    held = dossier(drive, second, others=Others(transactions={"T-1": first}))
    assert held.payment.hold is Hold.TRANSACTION_REUSED
    assert differing(held) == [{"transaction"}]
    found = evidence(held)
    assert found is not None
    assert found.others == (f"Transaction T-1 was recorded first for {first}.",)


def test_where_nobody_can_be_asked_the_claim_is_shown() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(SILENT))
    at_once(drive.hit(payment_id, Said.SUCCESS, transaction_id="T-77"))
    found = evidence(dossier(drive, payment_id))
    assert found is not None
    assert found.answers == ()
    assert "and named transaction T-77; expected is order-1." in found.others[0]
    assert plans(told(drive, payment_id)) == ["a person resolves it (payproof payments resolve)"]


def test_the_hold_is_as_old_as_its_first_reason() -> None:
    drive = Drive(says(None))
    payment_id = at_once(drive.open())
    at_once(drive.hit(payment_id))
    began = drive.clock.now
    drive.gateway = says(Status.COMPLETED, amount=Decimal("1.00"))
    drive.clock.advance(60)
    at_once(drive.hit(payment_id))
    found = evidence(dossier(drive, payment_id))
    assert found is not None
    assert (found.hold, found.since) == (Hold.AMOUNT_MISMATCH, began)
    assert found.holds == (Hold.AMOUNT_MISMATCH, Hold.UNMAPPED_STATUS)


# -- what comes next ---------------------------------------------------------------------------------------------------


def test_every_schedule_has_its_reason() -> None:
    assert set(SCHEDULES) == set(get_args(ScheduleName))


def test_what_needs_no_more_looks_says_so() -> None:
    assert plans(alone(status=Status.REFUNDED, account=PROVING)) == ["nothing; it is settled"]


def test_an_open_payment_says_when_it_is_asked_when_it_closes_and_when_we_give_up() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PROVING))
    explanation = told(drive, payment_id)
    assert plans(explanation) == [
        "we ask the gateway again, because it is not paid yet",
        "it closes as expired, once two answers 10 minutes apart say that nobody paid",
        "we give up asking, and it is put before a person as unresolved",
    ]
    assert next(plan.at for plan in explanation.plans) == drive.payment(payment_id).next_check_at
    unknown = at_once(drive.open(CANDIDATES))
    assert plans(told(drive, unknown))[0] == (
        "the gateway is not asked, because no id is known yet that it can be asked by"
    )


@pytest.mark.parametrize("account", [INVOICES, CANDIDATES])
@pytest.mark.parametrize("said", [None, Said.CANCEL, Said.SUCCESS])
def test_where_no_id_came_to_ask_by_no_question_is_promised(account: Account, said: Said | None) -> None:
    drive = Drive()
    payment_id = at_once(drive.open(account, outcome=Opened(checkout_url="https://gateway.example/pay")))
    assert at_once(drive.hit(payment_id, said)) == []
    assert at_once(drive.publish(drive.claim(payment_id, source=Source.OPERATOR))) == []
    explanation = told(drive, payment_id)
    assert "so we ask the gateway" not in " ".join(lines(explanation))
    assert lines(explanation)[-2:] == [
        (
            f"A browser that came back {f'said {said}' if said else 'named this payment'}. Anyone could have sent it, "
            "and nothing is asked: no id is known yet that the gateway can be asked by."
        ),
        (
            "A person, or the shop's API, wants it looked at, "
            "and nothing is asked: no id is known yet that the gateway can be asked by."
        ),
    ]
    assert "the gateway cannot be asked yet" in explanation.summary
    assert any("no id is known yet" in one for one in plans(explanation))


def test_a_claim_without_an_id_is_asked_about_once_a_later_one_brings_it() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = at_once(drive.open(INVOICES, outcome=Opened(checkout_url="https://gateway.example/pay")))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    at_once(drive.hit(payment_id, session_id="INV-1"))
    assert drive.payment(payment_id).status is Status.COMPLETED
    assert "so we ask the gateway" in " ".join(lines(told(drive, payment_id)))


def test_a_payment_of_an_account_that_is_gone_says_that_nothing_is_asked() -> None:
    drive = Drive()
    payment_id = at_once(drive.open())
    assert plans(told(drive, payment_id, account=None)) == [
        "nothing is asked while the account plain is not in the configuration"
    ]


def test_a_question_that_waits_for_its_gateway_or_its_budget_says_so() -> None:
    drive = Drive()
    payment_id = at_once(drive.open())
    drive.clock.advance(timedelta(minutes=3))
    now = drive.clock.now
    assert plans(told(drive, payment_id))[0].startswith("a question is due, because it is not paid yet; a running")
    shut = AccountLimits(account="plain", calls=0, at=now, troubles=12, shut_until=now + timedelta(seconds=9))
    assert (
        "the gateway gave 12 times in a row no answer, so nobody asks it before"
        in plans(told(drive, payment_id, limits=shut))[0]
    )
    poor = replace(PLAIN, calls_per_second=2.0)
    spent = AccountLimits(account="plain", calls=-3, at=now)
    assert (
        "the account's budget of 2 calls a second is used up just now"
        in plans(told(drive, payment_id, limits=spent, account=poor))[0]
    )


def test_a_question_on_its_way_says_so() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(EXECUTING))
    at_once(drive.take(drive.claim(payment_id, Said.SUCCESS)))
    assert any(plan.startswith("a question is on its way") for plan in plans(told(drive, payment_id)))


# -- webhooks ----------------------------------------------------------------------------------------------------------


def delivery(result: str, **heard: Any) -> tuple[EntryKind, dict[str, Any]]:
    data = {"endpoint": "wh_0123456789ab", "host": "shop.example", "event_id": "pay_1.2", "type": "payment.completed"}
    return EntryKind.DELIVERY, {**data, "milliseconds": 120, "attempt": 1, "result": result, **heard}


def test_each_webhook_says_what_was_sent_where_what_came_back_and_what_then() -> None:
    explanation = alone(
        delivery("failed", status=503, next_at="2026-11-20T10:45:05Z"),
        delivery("failed", status=503, next_at="2026-11-20T10:50:05Z"),
        delivery("failed", error="no answer within 15 s"),
        delivery("given_up", error="no answer: connection refused"),
        delivery("disabled", status=410),
        delivery("delivered", status=204),
    )
    sent = "Sent payment.completed, version 2, to shop.example (wh_0123456789ab)"
    assert lines(explanation)[1:] == [
        f"{sent}; it answered 503 after at most 0.120 s: not delivered, and it is sent again.",
        f"{sent}; no answer within 15 s after 0.120 s: not delivered, and it is sent again.",
        (
            f"{sent}; no answer: connection refused after 0.120 s: not delivered, and given up; "
            "payproof webhooks replay sends it again."
        ),
        (
            f"{sent}; it answered 410 after 0.120 s: the endpoint says that it is gone, "
            "and nothing is sent there until payproof webhooks enable."
        ),
        f"{sent}; it answered 204 after 0.120 s: delivered.",
    ]
    assert explanation.story[1].count == 2


def test_money_that_cannot_be_read_is_told_as_that() -> None:
    drive = Drive(says(Status.COMPLETED, amount=None, unreadable=("amount", "refunded_amount")))
    payment_id = at_once(drive.open(PROVING))
    at_once(drive.hit(payment_id, source=Source.OPERATOR))
    explanation = told(drive, payment_id)
    assert any(", unreadable: amount, refunded amount" in words for words in lines(explanation))
    found = explanation.evidence
    assert found is not None
    compared = {one.what: one for one in found.answers[0].compared}
    assert (compared["amount"].answered, compared["amount"].differs) == ("no money", True)
    assert (compared["refunded"].answered, compared["refunded"].differs) == ("no money", True)


def test_a_refund_is_compared_with_the_amount_that_a_person_accepted() -> None:
    more = {"amount": Decimal("120.00")}
    drive = Drive(says(Status.COMPLETED, **more))
    payment_id = at_once(drive.open(PLAIN))
    at_once(drive.hit(payment_id, source=Source.OPERATOR))
    wish = ResolutionRequest(status=Status.COMPLETED, actor="rahima", reason="more is more")
    at_once(resolve_payment(drive.ledger, drive.rules, payment_id, wish))
    for back, differs in (("110.00", False), ("120.01", True)):
        drive.gateway = says(Status.COMPLETED, **more, refunded_amount=Decimal(back), currency="USD")
        at_once(drive.wait(timedelta(minutes=1)))
        at_once(drive.hit(payment_id, source=Source.OPERATOR))
        found = told(drive, payment_id).evidence
        assert found is not None
        refunds = [one for answer in found.answers for one in answer.compared if one.what == "refunded"]
        assert (refunds[-1].answered, refunds[-1].differs) == (back, differs)


# -- what was written and what was delivered ---------------------------------------------------------------------------

SHOP = Receiver(
    endpoint="wh_000000000001",
    host="shop.example",
    event_id="pay_00000000000000000000000001.2",
    type="payment.refunded",
    written_at=AT,
)
IT = "shop.example (wh_000000000001)"
LATER = AT + timedelta(minutes=5)


def refunded(*receivers: Receiver) -> Explanation:
    """A payment with nothing planned but deliveries."""
    drive = Drive(says(Status.REFUNDED))
    payment_id = at_once(drive.open(PROVING))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    return told(drive, payment_id, receivers=receivers, now=AT)


def test_an_endpoint_that_fails_was_not_told_and_nothing_is_settled() -> None:
    failing = replace(SHOP, attempts=3, answer="it answered 500", next_at=LATER)
    explanation = refunded(failing)
    assert explanation.summary.endswith(
        "shop.example (wh_000000000001) has not had it since 2026-11-20 10:45:00Z: 3 attempts failed, the last: "
        "it answered 500, and it is tried next at 2026-11-20 10:50:00Z."
    )
    again = "payment.refunded is sent to shop.example (wh_000000000001) again; 3 attempts failed, the last:"
    assert plans(explanation) == [f"{again} it answered 500"]
    assert explanation.plans[0].at == LATER
    assert explanation.deliveries == (failing,)


def test_of_one_attempt_that_failed_it_speaks_as_of_one() -> None:
    explanation = refunded(replace(SHOP, attempts=1, answer="it answered 500", next_at=LATER))
    assert "has not had it since 2026-11-20 10:45:00Z: 1 attempt failed: it answered 500, and" in explanation.summary
    assert plans(explanation) == [f"payment.refunded is sent to {IT} again; 1 attempt failed: it answered 500"]


def test_an_endpoint_that_was_sent_nothing_yet_says_so() -> None:
    explanation = refunded(SHOP)
    assert explanation.summary.endswith(f"; {IT} has not had it since 2026-11-20 10:45:00Z, and it is on its way.")


def test_of_what_was_never_written_the_shop_was_told_nothing() -> None:
    assert alone().summary.endswith(" Nothing was written to the shop's log yet.")


def test_where_every_endpoint_has_it_the_shop_was_told_and_it_is_settled() -> None:
    explanation = refunded(replace(SHOP, attempts=1, answer="200", delivered_at=LATER))
    assert explanation.summary.endswith("shop.example (wh_000000000001) has it since 2026-11-20 10:50:00Z.")
    assert plans(explanation) == ["nothing; it is settled"]


def test_of_several_endpoints_each_is_told_of() -> None:
    other = replace(SHOP, endpoint="wh_000000000002", host="books.example", event_id="x.1", type="payment.opened")
    again = replace(SHOP, had_at=LATER, given_up_at=LATER, attempts=2, answer="500")
    assert "and it was sent again in vain: 2 attempts failed, the last: 500" in refunded(again).summary
    assert "has not had" not in refunded(again).summary
    summary = refunded(replace(SHOP, delivered_at=LATER), replace(other, given_up_at=LATER)).summary
    assert "; shop.example (wh_000000000001) has " in summary
    assert "; books.example (wh_000000000002) has not had payment.opened, the newest that it wants, since " in summary


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        (
            replace(SHOP, attempts=9, answer="no reply", given_up_at=LATER),
            f"payment.refunded did not reach {IT}, and is not sent again by itself (payproof webhooks replay)",
        ),
        (
            replace(SHOP, disabled_at=LATER),
            (
                f"payment.refunded waits until somebody enables {IT}, which said that it is gone "
                "(payproof webhooks enable)"
            ),
        ),
        (SHOP, f"payment.refunded is to be sent to {IT}"),
        (replace(SHOP, next_at=AT), f"payment.refunded is to be sent to {IT}"),
        (replace(SHOP, next_at=LATER), f"payment.refunded is sent to {IT} again"),
    ],
    ids=["given up", "gone", "on its way", "due", "later"],
)
def test_what_an_endpoint_has_not_had_says_what_comes_or_what_to_do(receiver: Receiver, words: str) -> None:
    has_it = replace(SHOP, endpoint="wh_000000000002", delivered_at=LATER)
    assert plans(refunded(has_it, receiver)) == [words]


# -- what fails by itself, and what ends without an answer -------------------------------------------------------------

FAILING = Failing(
    payment_id="pay_00000000000000000000000000",
    failures=11,
    first_at=AT,
    last_at=LATER,
    reason="ValueError at consumers/money/fold.py:41",
    stopped_at=LATER,
)


def test_a_payment_that_is_asked_no_more_because_it_fails_says_so() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = at_once(drive.open(PLAIN))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    drive.ledger.rest(payment_id)
    (plan,) = plans(told(drive, payment_id, failing=FAILING))
    assert plan.startswith("nothing more is asked by itself, because it failed by itself 11 times since 2026-11-20")
    assert "ValueError" in plan


def test_a_pending_one_that_fails_says_when_it_is_looked_at_all_the_same() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PLAIN))
    failing = replace(FAILING, payment_id=payment_id)
    at_once(stop_asking(drive.ledger, drive.rules, replace(failing, stopped_at=None)))
    drive.ledger.rest(payment_id, drive.clock.now + timedelta(days=1))
    lifts, asks = plans(told(drive, payment_id, failing=failing))
    assert lifts.startswith("a later answer lifts the hold")
    assert asks.startswith("we ask the gateway again")


def test_unresolved_says_which_of_its_causes_it_was() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PLAIN))
    at_once(drive.wait(timedelta(days=8)))
    by_schedule, by_failures = dossier(drive, payment_id), dossier(drive, payment_id, failing=FAILING)
    for one, words in ((by_schedule, "until the schedule ended"), (by_failures, "cannot be recorded")):
        found = evidence(one)
        assert found is not None
        assert found.hold is Hold.UNRESOLVED
        assert words in found.why


def test_unresolved_says_that_nobody_could_be_asked() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(INVOICES, outcome=Opened(checkout_url="https://gateway.example/pay")))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    at_once(drive.wait(timedelta(days=8)))
    found = evidence(dossier(drive, payment_id))
    assert found is not None
    assert (found.hold, found.why) == (
        Hold.UNRESOLVED,
        "no question could be asked: no callback brought an id that the gateway can be asked by",
    )


def test_an_id_that_the_gateway_never_came_to_know_is_named() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="not_found"))
    payment_id = at_once(drive.open(CANDIDATES))
    at_once(drive.hit(payment_id, Said.SUCCESS, transaction_id="TRX-1", signed=True))
    (asked,) = [one for one in lines(told(drive, payment_id)) if "We asked" in one]
    assert asked.endswith(": it does not know that one, or not yet.")
    assert any("does not know transaction TRX-1 yet" in one for one in plans(told(drive, payment_id)))
    at_once(drive.wait(timedelta(hours=2)))
    found = evidence(dossier(drive, payment_id))
    assert found is not None
    assert found.why == "it was said to be paid by TRX-1, which the gateway never came to know"


def test_a_session_that_a_callback_named_is_told_as_a_session() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="not_found"))
    payment_id = at_once(drive.open(INVOICES, outcome=Opened(checkout_url="https://gateway.example/pay")))
    at_once(drive.hit(payment_id, session_id="INV-1"))
    (asked,) = [one for one in lines(told(drive, payment_id)) if "We asked" in one]
    assert asked.startswith("We asked the gateway what happened about session INV-1")
    assert asked.endswith(": it does not know that one, or not yet.")
    assert any("does not know session INV-1 yet" in one for one in plans(told(drive, payment_id)))


def test_a_session_of_another_payment_is_told_with_whose_it_is() -> None:
    drive = Drive(says(Status.COMPLETED))
    unnamed = Opened(checkout_url="https://gateway.example/pay")
    first, second = [at_once(drive.open(INVOICES, outcome=unnamed)) for _ in range(2)]
    for one in (first, second):
        at_once(drive.hit(one, session_id="INV-1"))
    held = dossier(drive, second, others=Others(sessions={"INV-1": first}))
    assert held.payment.hold is Hold.IDENTITY_MISMATCH
    assert differing(held) == [{"session"}]
    found = evidence(held)
    assert found is not None
    assert found.others == (f"Session INV-1 is that of {first}.",)


def test_an_execute_that_was_not_sent_is_told_as_one_that_took_nothing() -> None:
    drive = Drive(lambda asked: executed(asked, "not_sent", None))
    payment_id = at_once(drive.open(EXECUTING))
    at_once(drive.hit(payment_id, Said.SUCCESS))
    (words,) = [one for one in lines(told(drive, payment_id)) if "Execute" in one]
    assert words.startswith("Execute, which takes the money, was to be asked and was not sent: ")
    assert words.endswith("Nothing was taken, and it is tried again.")


def test_a_gateway_that_knows_none_of_an_accounts_payments_closes_none_and_that_is_told() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PROVING))
    row = AccountLimits(account="proving", calls=0.0, at=drive.clock.now, unknown_by=("a", "b", "a", "b", "a"))
    planned = plans(told(drive, payment_id, limits=row))
    assert any("no payment of the account closes on `not found`" in one for one in planned)


def test_the_second_answer_about_the_end_is_told_to_be_that() -> None:
    drive = Drive()
    payment_id = at_once(drive.open(PROVING))
    at_once(drive.until(drive.payment(payment_id).expires_at + timedelta(minutes=3)))
    assert any("a second one, 10 minutes later, closes it" in one for one in plans(told(drive, payment_id)))
    at_once(drive.wait(timedelta(minutes=15)))
    assert drive.payment(payment_id).status is Status.EXPIRED
