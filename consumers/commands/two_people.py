"""Two people decide about money: what one person proposes, another approves, and both decide on the same facts.

A proposal is bound to all that its proposer saw of the payment: its version, its holds, every answer, and which of its
keys other payments have. If any of it is another when a person approves, or when the approved proposal is applied, the
proposal is stale and is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from consumers.commands.basis import basis_of
from consumers.commands.resolve import (
    ResolutionRefused,
    ResolutionRequest,
    Seconded,
    resolve_within,
)
from consumers.money.at_stake import needs_second_person
from consumers.ports.ledger import Batch, Ledger
from consumers.rules import Rules
from schemas.payments import Case, TakenKeys
from schemas.proposals import Origin, Person, Proposal, ProposalState


class ProposalRefused(ResolutionRefused):
    """A person may not do so with the proposal, or the proposal is stale. The console tells of it, and not the API.

    `code` is one of own_proposal, not_allowed, not_your_proposal, already_decided, no_such_proposal, no_such_payment,
    version_conflict, not_held, second_person_needed, account_not_configured.
    """


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they are written."""
    return _plain(one) == _plain(other)


def key_actor(key: str, word: str) -> str:
    """Who acts by the API: the key. `word` is the name that its caller gave, which proves nothing."""
    return f"key:{key} ({word})"


def proposed_by(proposal: Proposal, name: str) -> bool:
    """Whether this person proposed it: by the name, by the API key, or by the user of the shell that it came from."""
    shell = (proposal.proposed_from or "").partition("@")[0] if proposal.proposed_via == "command" else ""
    key = proposal.proposed_key or ""
    word = proposal.proposed_by.removeprefix(f"key:{key} (").removesuffix(")") if key else proposal.proposed_by
    return any(same_person(one, name) for one in (word, key, shell) if one)


def check_approval(proposal: Proposal, case: Case | None, others: TakenKeys, person: Person) -> None:
    """Raises ProposalRefused where this person may not approve this proposal of the payment as it is now.

    `others`: see `basis_of`.
    """
    _check_decider(proposal, person)
    _check_basis(proposal, case, others)


def check_rejection(proposal: Proposal, person: Person) -> None:
    """Raises ProposalRefused where this person may not reject this proposal."""
    _check_decider(proposal, person)


def check_withdrawal(proposal: Proposal, person: Person) -> None:
    """Raises ProposalRefused where this person may not withdraw this proposal: only who proposed it may."""
    _check_open(proposal, person)
    if not same_person(proposal.proposed_by, person.name):
        raise ProposalRefused("not_your_proposal", f"{proposal.proposed_by} proposed it and alone may withdraw it")


def check_proposer(person: Person, merchant: str) -> None:
    """Raises ProposalRefused where this person may not propose a resolution for this merchant."""
    if not person.sees(merchant):
        raise ProposalRefused("no_such_payment", "there is no such payment")
    if not person.proposes:
        raise ProposalRefused("not_allowed", f"{person.name} may not propose; the roles operator and approver may")


def the_same(waiting: Proposal, wanted: ResolutionRequest, origin: Origin) -> Proposal:
    """The proposal that waits, if it is what this person proposes again. Raises ResolutionRefused for any other."""
    mine = same_person(waiting.proposed_by, origin.actor) and waiting.proposed_key == origin.key
    same = (waiting.status, waiting.transaction_id, waiting.reason, waiting.evidence)
    if mine and same == (wanted.status, wanted.transaction_id, wanted.reason, wanted.evidence):
        return waiting
    said = (
        f"{waiting.proposed_by} proposed to resolve it as {waiting.status} ({waiting.id}), and that is {waiting.state}"
    )
    raise ResolutionRefused("proposal_open", said)


def check_rejected(rejected: Sequence[Proposal], wanted: ResolutionRequest) -> None:
    """Raises ResolutionRefused where a person rejected the same resolution, on the same facts, from the same key.

    A program that sends its request again does not ask that person again.
    """
    asked = (wanted.status, wanted.transaction_id, wanted.reason, wanted.evidence)
    for one in rejected:
        if (one.status, one.transaction_id, one.reason, one.evidence) == asked:
            why = f": {one.decided_why}" if one.decided_why else ""
            raise ResolutionRefused("proposal_rejected", f"{one.decided_by} rejected it ({one.id}){why}")


def request_of(proposal: Proposal) -> ResolutionRequest:
    return ResolutionRequest(
        status=proposal.status,
        actor=proposal.proposed_by,
        reason=proposal.reason,
        evidence=proposal.evidence,
        transaction_id=proposal.transaction_id,
        version=proposal.version,
    )


async def apply_proposal(ledger: Ledger, rules: Rules, proposal: Proposal) -> ProposalState:
    """Resolve the payment as an approved proposal says, and end the proposal, in one transaction.

    A proposal that the rules of money refuse by now is ended as refused, with their words. Returns how it ended. A
    proposal that another process has ended meanwhile is left as it is, and returned as applied. Two at once apply once.
    """
    try:
        async with ledger.batch([proposal.payment_id]) as batch:
            if (approved := await batch.approved_proposal(proposal.id)) is None:
                return ProposalState.APPLIED
            await _apply(batch, rules, approved)
            await batch.end_proposal(approved, ProposalState.APPLIED)
            await batch.commit()
            return ProposalState.APPLIED
    except ResolutionRefused as refused:
        # In a transaction of its own: nothing of the refused resolution stays, no key that it had reserved either.
        return await refuse_proposal(ledger, proposal, refused)


async def refuse_proposal(ledger: Ledger, proposal: Proposal, refused: ResolutionRefused) -> ProposalState:
    """End an approved proposal as refused, unless another process has ended it."""
    async with ledger.batch([]) as batch:
        if (approved := await batch.approved_proposal(proposal.id)) is not None:
            await batch.end_proposal(approved, ProposalState.REFUSED, refused.code, str(refused))
            await batch.commit()
    return ProposalState.REFUSED


async def _apply(batch: Batch, rules: Rules, approved: Proposal) -> None:
    case = batch.cases.get(approved.payment_id)
    others = TakenKeys() if case is None else await batch.taken(case, approved.transaction_id)
    _check_basis(approved, case, others)
    assert case is not None, "its basis is checked"
    if case.payment.account not in rules.accounts:
        raise ProposalRefused("account_not_configured", "the account of this payment is no longer configured")
    if approved.alone and needs_second_person(case, rules.second_person_from):
        raise ProposalRefused("second_person_needed", "a second person has to approve it; propose it again")
    seconded = Seconded(proposal_id=approved.id, approved_by=None if approved.alone else approved.decided_by)
    await resolve_within(batch, rules, case, request_of(approved), seconded)


def _check_decider(proposal: Proposal, person: Person) -> None:
    _check_open(proposal, person)
    if not person.approves:
        raise ProposalRefused("not_allowed", f"{person.name} may not decide about proposals; the role approver may")
    if proposed_by(proposal, person.name):
        raise ProposalRefused("own_proposal", "nobody decides about their own proposal; another person has to")


def _check_open(proposal: Proposal, person: Person) -> None:
    if not person.sees(proposal.merchant):
        raise ProposalRefused("no_such_proposal", "there is no such proposal")
    if proposal.state is not ProposalState.OPEN:
        by = f" by {proposal.decided_by}" if proposal.decided_by else ""
        raise ProposalRefused("already_decided", f"the proposal is {proposal.state}{by} already")


def _check_basis(proposal: Proposal, case: Case | None, others: TakenKeys) -> None:
    if case is None:
        raise ProposalRefused("not_held", "the payment is no longer here")
    if case.payment.hold is None:
        raise ProposalRefused("not_held", "the payment is no longer held")
    if case.payment.version != proposal.version or basis_of(case, others) != proposal.basis:
        raise changed_since()


def changed_since() -> ProposalRefused:
    """The refusal of a stale proposal."""
    words = "the payment changed since this was proposed; look at it again, and propose anew"
    return ProposalRefused("version_conflict", words, "version")


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
