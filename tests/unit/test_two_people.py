"""Two people decide about money: who may, about what, and that both decided on the same facts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.commands.basis import basis_of
from consumers.commands.preview import Difference, preview
from consumers.commands.resolve import (
    ResolutionRefused,
    ResolutionRequest,
    SecondPersonNeeded,
    resolve_payment,
)
from consumers.commands.two_people import (
    apply_proposal,
    check_approval,
    check_proposer,
    check_rejection,
    check_withdrawal,
)
from consumers.money.at_stake import amount_at_stake, needs_second_person
from consumers.rules import Rules
from schemas.payments import Case, TakenKeys
from schemas.proposals import Origin, Person, Proposal, ProposalState
from schemas.words import EventType, Hold, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT, at_once
from tests.unit.test_lifecycle import Bench

COMPLETED, FAILED, REFUNDED = Status.COMPLETED, Status.FAILED, Status.REFUNDED
LESS = Decimal("99.50")
WISH = ResolutionRequest(status=COMPLETED, actor="rahim", reason="seen in the panel")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def person(name: str = "karima", **fields: Any) -> Person:
    return Person(**{"origin": Origin(actor=name, via="console"), "proposes": True, "approves": True, **fields})


def two_decide(bench: Bench, limit: str = "0.00") -> Rules:
    return replace(bench.drive.rules, second_person_from=Decimal(limit))


def held(bench: Bench, **fields: Any) -> str:
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, **{"amount": LESS, **fields}).hold is not None
    return payment_id


def case_of(bench: Bench, payment_id: str) -> Case:
    case = bench.drive.ledger.case(payment_id)
    assert case is not None
    return case


def proposed(bench: Bench, payment_id: str, wanted: ResolutionRequest = WISH, **fields: Any) -> Proposal:
    case = case_of(bench, payment_id)
    proposal = Proposal(
        **{
            "id": f"prop_{payment_id}",
            "payment_id": payment_id,
            "merchant": case.payment.merchant,
            "version": case.payment.version,
            "basis": basis_of(case, taken(bench, case, wanted.transaction_id)),
            "status": wanted.status,
            "transaction_id": wanted.transaction_id,
            "reason": wanted.reason,
            "evidence": wanted.evidence,
            "proposed_by": wanted.actor,
            "proposed_via": "console",
            "proposed_at": NOON,
            **fields,
        }
    )
    bench.drive.ledger.put_proposal(proposal)
    return proposal


def approved(bench: Bench, payment_id: str, wanted: ResolutionRequest = WISH) -> Proposal:
    proposal = replace(proposed(bench, payment_id, wanted), state=ProposalState.APPROVED, decided_by="karima")
    bench.drive.ledger.put_proposal(proposal)
    return proposal


def taken(bench: Bench, case: Case, named: str | None = None) -> TakenKeys:
    async def read() -> TakenKeys:
        async with bench.drive.ledger.batch([case.payment.id]) as batch:
            return await batch.taken(case, named)

    return at_once(read())


def code(refused: pytest.ExceptionInfo[ResolutionRefused]) -> str:
    return refused.value.code


# -- who decides alone -------------------------------------------------------------------------------------------------


def test_without_a_limit_one_person_decides(bench: Bench) -> None:
    payment_id = held(bench)
    assert at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, WISH)).status is COMPLETED


@pytest.mark.parametrize(("limit", "two"), [("0.00", True), ("100.00", True), ("100.01", False), ("5000.00", False)])
def test_from_the_limit_on_nothing_is_resolved_by_one_person(bench: Bench, limit: str, two: bool) -> None:
    payment_id, rules = held(bench), two_decide(bench, limit)
    before = bench.drive.payment(payment_id)
    work = resolve_payment(bench.drive.ledger, rules, payment_id, WISH)
    if two:
        with pytest.raises(SecondPersonNeeded) as needed:
            at_once(work)
        assert needed.value.case.payment == before
        assert bench.drive.payment(payment_id) == before
    else:
        assert at_once(work).hold is None


@pytest.mark.parametrize(
    ("answer", "at_stake"),
    [
        ({"amount": LESS}, AMOUNT),
        ({"amount": Decimal("9000.00")}, Decimal("9000.00")),
        ({"refunded_amount": Decimal("9000.00")}, Decimal("9000.00")),
        ({"currency": "USD"}, None),
        ({"amount": None, "unreadable": ("amount",)}, None),
    ],
)
def test_at_stake_is_the_greatest_amount_that_anybody_named(
    bench: Bench, answer: dict[str, Any], at_stake: Decimal | None
) -> None:
    case = case_of(bench, held(bench, **answer))
    assert amount_at_stake(case) == at_stake
    assert needs_second_person(case, Decimal(5000)) == (at_stake is None or at_stake >= 5000)
    assert not needs_second_person(case, None)


def test_the_same_resolution_again_needs_nobody(bench: Bench) -> None:
    payment_id = held(bench)
    done = at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, WISH))
    assert at_once(resolve_payment(bench.drive.ledger, two_decide(bench), payment_id, WISH)) == done


def test_what_would_be_refused_is_refused_before_anybody_proposes_it(bench: Bench) -> None:
    payment_id = held(bench)
    at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, WISH))
    with pytest.raises(ResolutionRefused) as refused:
        at_once(resolve_payment(bench.drive.ledger, two_decide(bench), payment_id, replace(WISH, status=FAILED)))
    assert code(refused) == "not_held"


def test_who_decided_alone_is_in_the_audit_trail(bench: Bench) -> None:
    payment_id = held(bench)
    origin = Origin(actor="rahim", via="command", address="rahim@shop")
    at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, WISH, origin))
    (record,) = bench.drive.ledger.audit
    assert (record.origin, record.action, record.payment_id, record.why) == (
        origin,
        "payment.resolved",
        payment_id,
        WISH.reason,
    )


# -- who may approve ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rahim", "Rahim", " RAHIM ", "ｒａｈｉｍ"])
def test_nobody_approves_or_rejects_their_own_proposal(bench: Bench, name: str) -> None:
    payment_id = held(bench)
    proposal, case = proposed(bench, payment_id), case_of(bench, payment_id)
    for check in (
        lambda: check_approval(proposal, case, TakenKeys(), person(name)),
        lambda: check_rejection(proposal, person(name)),
    ):
        with pytest.raises(ResolutionRefused) as refused:
            check()
        assert code(refused) == "own_proposal"


def test_a_proposal_by_a_key_is_the_keys_own_too(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = proposed(bench, payment_id, proposed_key="karima")
    with pytest.raises(ResolutionRefused) as refused:
        check_approval(proposal, case_of(bench, payment_id), TakenKeys(), person("Karima"))
    assert code(refused) == "own_proposal"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"approves": False}, "not_allowed"),
        ({"merchants": frozenset({"another"})}, "no_such_proposal"),
        ({"merchants": frozenset()}, "no_such_proposal"),
    ],
)
def test_an_approver_has_the_role_and_the_merchant(bench: Bench, fields: dict[str, Any], said: str) -> None:
    payment_id = held(bench)
    with pytest.raises(ResolutionRefused) as refused:
        check_approval(proposed(bench, payment_id), case_of(bench, payment_id), TakenKeys(), person(**fields))
    assert code(refused) == said


def test_only_the_proposer_withdraws(bench: Bench) -> None:
    proposal = proposed(bench, held(bench))
    check_withdrawal(proposal, person("Rahim"))
    with pytest.raises(ResolutionRefused) as refused:
        check_withdrawal(proposal, person("karima"))
    assert code(refused) == "not_your_proposal"


@pytest.mark.parametrize("state", [state for state in ProposalState if state is not ProposalState.OPEN])
def test_what_is_decided_is_not_decided_again(bench: Bench, state: ProposalState) -> None:
    payment_id = held(bench)
    proposal, case = replace(proposed(bench, payment_id), state=state), case_of(bench, payment_id)
    for check in (
        lambda: check_approval(proposal, case, TakenKeys(), person()),
        lambda: check_rejection(proposal, person()),
        lambda: check_withdrawal(proposal, person("rahim")),
    ):
        with pytest.raises(ResolutionRefused) as refused:
            check()
        assert code(refused) == "already_decided"


def test_a_viewer_proposes_nothing(bench: Bench) -> None:
    check_proposer(person(), "shop")
    with pytest.raises(ResolutionRefused) as refused:
        check_proposer(person(proposes=False), "shop")
    assert code(refused) == "not_allowed"
    with pytest.raises(ResolutionRefused) as refused:
        check_proposer(person(merchants=frozenset({"another"})), "shop")
    assert code(refused) == "no_such_payment"


# -- both decide on the same facts -------------------------------------------------------------------------------------


def test_an_answer_that_comes_again_leaves_a_proposal_as_it_is(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = proposed(bench, payment_id)
    bench.says(payment_id, COMPLETED, 40, amount=LESS)
    check_approval(proposal, case_of(bench, payment_id), TakenKeys(), person())


def test_a_different_answer_makes_a_proposal_stale_though_the_version_is_the_same(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = approved(bench, payment_id)
    after = bench.says(payment_id, COMPLETED, 40, amount=Decimal("1.00"))
    assert (after.version, after.hold) == (proposal.version, Hold.AMOUNT_MISMATCH)
    with pytest.raises(ResolutionRefused) as refused:
        check_approval(replace(proposal, state=ProposalState.OPEN), case_of(bench, payment_id), TakenKeys(), person())
    assert code(refused) == "version_conflict"
    apply = apply_proposal(bench.drive.ledger, two_decide(bench), proposal)
    assert at_once(apply) is ProposalState.REFUSED
    assert bench.drive.ledger.proposal(proposal.id).refusal_code == "version_conflict"
    assert bench.drive.payment(payment_id) == after


def test_a_payment_that_is_no_longer_held_is_not_decided_about(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = approved(bench, payment_id)
    at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, replace(WISH, actor="another")))
    with pytest.raises(ResolutionRefused) as refused:
        check_approval(replace(proposal, state=ProposalState.OPEN), case_of(bench, payment_id), TakenKeys(), person())
    assert code(refused) == "not_held"
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), proposal)) is ProposalState.REFUSED
    assert bench.drive.ledger.proposal(proposal.id).refusal_code == "not_held"


# -- it is applied once, and as it was approved ------------------------------------------------------------------------


def test_an_approved_proposal_resolves_the_payment_and_names_both_people(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = approved(bench, payment_id)
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), proposal)) is ProposalState.APPLIED
    payment = bench.drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.version) == (COMPLETED, None, proposal.version + 1)
    (resolution,) = case_of(bench, payment_id).resolutions
    assert (resolution.actor, resolution.approved_by, resolution.proposal_id) == ("rahim", "karima", proposal.id)
    entry = next(one for one in bench.drive.ledger.entries(payment_id) if one.kind == "resolution")
    assert (entry.data["actor"], entry.data["approved_by"]) == ("rahim", "karima")


def test_it_is_applied_once_however_often_it_is_tried(bench: Bench) -> None:
    payment_id = held(bench)
    proposal = approved(bench, payment_id)
    for _ in range(3):
        at_once(apply_proposal(bench.drive.ledger, two_decide(bench), proposal))
    assert [one.type for one in bench.drive.ledger.events_of(payment_id)].count(EventType.COMPLETED) == 1
    assert len(case_of(bench, payment_id).resolutions) == 1


@pytest.mark.parametrize(("limit", "ends"), [("100.01", "applied"), ("100.00", "refused")])
def test_who_decides_alone_does_so_below_the_limit_of_the_worker(bench: Bench, limit: str, ends: str) -> None:
    payment_id = held(bench)
    proposal = replace(proposed(bench, payment_id), state=ProposalState.APPROVED, decided_by="rahim", alone=True)
    bench.drive.ledger.put_proposal(proposal)
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench, limit), proposal)) == ends
    if ends == "applied":
        assert case_of(bench, payment_id).resolutions[-1].approved_by is None
    else:
        assert bench.drive.ledger.proposal(proposal.id).refusal_code == "second_person_needed"
        assert bench.drive.payment(payment_id).hold is not None


@pytest.mark.parametrize("state", [ProposalState.OPEN, ProposalState.REJECTED, ProposalState.WITHDRAWN])
def test_what_is_not_approved_is_not_applied(bench: Bench, state: ProposalState) -> None:
    payment_id = held(bench)
    proposal = replace(proposed(bench, payment_id), state=state)
    bench.drive.ledger.put_proposal(proposal)
    before = bench.drive.payment(payment_id)
    at_once(apply_proposal(bench.drive.ledger, two_decide(bench), proposal))
    assert bench.drive.payment(payment_id) == before


def test_a_transaction_that_another_payment_took_meanwhile_refuses_it_and_keeps_no_key(bench: Bench) -> None:
    first, second = held(bench), held(bench, transaction_id="T2")
    wish = replace(WISH, transaction_id="T-named")
    one, two = approved(bench, first, wish), approved(bench, second, wish)
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), one)) is ProposalState.APPLIED
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), two)) is ProposalState.REFUSED
    assert bench.drive.ledger.proposal(two.id).refusal_code == "version_conflict"
    assert bench.drive.payment(second).hold is not None


def test_one_transaction_does_not_pay_two_payments_that_two_people_accepted(bench: Bench) -> None:
    """Both are held with answers that name it. The second proposal is stale once the first is applied."""
    first, second = held(bench, transaction_id="T77"), held(bench, transaction_id="T77")
    one, two = approved(bench, first), approved(bench, second)
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), one)) is ProposalState.APPLIED
    assert bench.drive.payment(first).transaction_id == "T77"
    case = case_of(bench, second)
    with pytest.raises(ResolutionRefused) as refused:
        check_approval(replace(two, state=ProposalState.OPEN, decided_by=None), case, taken(bench, case), person())
    assert code(refused) == "version_conflict"
    assert at_once(apply_proposal(bench.drive.ledger, two_decide(bench), two)) is ProposalState.REFUSED
    assert bench.drive.ledger.proposal(two.id).refusal_code == "version_conflict"
    assert bench.drive.payment(second).status is Status.PENDING


@pytest.mark.parametrize("status", [COMPLETED, REFUNDED])
def test_a_transaction_of_another_payment_is_refused_though_nobody_names_it(bench: Bench, status: Status) -> None:
    first, second = held(bench, transaction_id="T77"), held(bench, transaction_id="T77")
    at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, first, WISH))
    wish = replace(WISH, status=status)
    with pytest.raises(ResolutionRefused) as refused:
        at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, second, wish))
    assert (code(refused), refused.value.field) == ("transaction_used", "transaction_id")
    assert "T77" in str(refused.value)
    named = at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, second, replace(wish, transaction_id="T78")))
    assert (named.status, named.transaction_id) == (status, "T78")


def test_who_was_shown_another_answer_decides_nothing(bench: Bench) -> None:
    payment_id = held(bench)
    case = case_of(bench, payment_id)
    shown, wish = basis_of(case, taken(bench, case)), replace(WISH, version=case.payment.version)
    bench.says(payment_id, COMPLETED, 40, amount=Decimal("1.00"))
    for rules in (bench.drive.rules, two_decide(bench)):
        with pytest.raises(ResolutionRefused) as refused:
            at_once(resolve_payment(bench.drive.ledger, rules, payment_id, wish, basis=shown))
        assert code(refused) == "version_conflict"
    assert bench.drive.payment(payment_id).hold is Hold.AMOUNT_MISMATCH


STEPS = ("apply", "apply again", "same answer", "other answer", "fitting answer", "resolve alone")


@given(st.permutations(STEPS))
def test_whatever_happens_around_an_approval_money_is_told_completed_at_most_once(steps: list[str]) -> None:
    """And a payment is resolved by the proposal only if nothing else was learned of it first."""
    bench = Bench()
    payment_id = held(bench)
    proposal = approved(bench, payment_id)
    rules, ledger = two_decide(bench), bench.drive.ledger
    for place, step in enumerate(steps):
        match step:
            case "apply" | "apply again":
                at_once(apply_proposal(ledger, rules, proposal))
            case "same answer":
                bench.says(payment_id, COMPLETED, 40 + place, amount=LESS)
            case "other answer":
                bench.says(payment_id, COMPLETED, 40 + place, amount=Decimal("1.00"))
            case "fitting answer":
                bench.says(payment_id, COMPLETED, 40 + place)
            case "resolve alone":
                with pytest.raises((SecondPersonNeeded, ResolutionRefused)):
                    at_once(resolve_payment(ledger, rules, payment_id, replace(WISH, actor="another")))
    ended = ledger.proposal(proposal.id)
    decided_first = min(steps.index("apply"), steps.index("apply again"))
    learned_first = min(steps.index("other answer"), steps.index("fitting answer"))
    applied = decided_first < learned_first
    assert ended.state is (ProposalState.APPLIED if applied else ProposalState.REFUSED)
    assert len(case_of(bench, payment_id).resolutions) == applied
    assert [one.type for one in ledger.events_of(payment_id)].count(EventType.COMPLETED) <= 1


# -- the preview -------------------------------------------------------------------------------------------------------

WISHES = [
    WISH,
    replace(WISH, status=FAILED),
    replace(WISH, status=REFUNDED),
    replace(WISH, transaction_id="T-named"),
    replace(WISH, status=Status.PENDING),
]


@pytest.mark.parametrize("wanted", WISHES, ids=lambda one: f"{one.status}-{one.transaction_id}")
@pytest.mark.parametrize("answer", [{"amount": LESS}, {"currency": "USD"}, {"reference": "another"}])
def test_a_preview_is_what_then_happens(wanted: ResolutionRequest, answer: dict[str, Any]) -> None:
    bench = Bench()
    payment_id = held(bench, **answer)
    case = case_of(bench, payment_id)
    seen = at_once(preview(case, bench.drive.rules, wanted, TakenKeys(), NOON + timedelta(seconds=60)))
    after = at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, wanted))
    told = bench.drive.ledger.events_of(payment_id)[-1]
    assert (seen.event, seen.version, seen.status, seen.hold) == (told.type, after.version, after.status, after.hold)
    assert not seen.already


def test_a_preview_says_what_changes_and_changes_nothing(bench: Bench) -> None:
    payment_id = held(bench)
    before = bench.drive.payment(payment_id)
    seen = at_once(preview(case_of(bench, payment_id), bench.drive.rules, WISH, TakenKeys(), NOON))
    assert bench.drive.payment(payment_id) == before
    assert Difference(field="status", before="pending", after="completed") in seen.changes
    assert Difference(field="hold", before="amount_mismatch", after=None) in seen.changes
    assert seen.changes[-1] == Difference(field="accepted_amount", before=None, after="99.50")
    assert seen.asked == "100.00"


def test_a_preview_is_refused_where_the_resolution_would_be(bench: Bench) -> None:
    payment_id = held(bench)
    wanted, others = replace(WISH, transaction_id="T9"), TakenKeys(transactions=frozenset({"T9"}))
    with pytest.raises(ResolutionRefused) as refused:
        at_once(preview(case_of(bench, payment_id), bench.drive.rules, wanted, others, NOON))
    assert code(refused) == "transaction_used"


def test_a_preview_of_what_was_decided_already_says_so(bench: Bench) -> None:
    payment_id = held(bench)
    at_once(resolve_payment(bench.drive.ledger, bench.drive.rules, payment_id, WISH))
    seen = at_once(preview(case_of(bench, payment_id), bench.drive.rules, WISH, TakenKeys(), NOON))
    assert (seen.already, seen.event, seen.changes) == (True, None, ())


def test_a_basis_does_not_depend_on_the_order_of_answers(bench: Bench) -> None:
    answers = [LESS, Decimal("1.00"), Decimal("2.00")]
    found = set()
    for order in permutations(range(3)):
        another = Bench()
        payment_id = another.open()
        for number in order:
            another.says(payment_id, COMPLETED, 10 + number, amount=answers[number])
        case = case_of(another, payment_id)
        found.add(basis_of(replace(case, payment=replace(case.payment, id="pay_1", version=2)), TakenKeys()))
    assert len(found) == 1
