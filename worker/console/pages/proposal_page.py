"""A proposal: what it would change now, for another person to decide about, and what became of it."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from consumers.commands.basis import basis_of
from consumers.commands.preview import Preview, preview
from consumers.commands.resolve import ResolutionRefused
from consumers.commands.two_people import check_approval, proposed_by, request_of, same_person
from consumers.explain.evidence import Evidence, evidence
from schemas.payments import Case, Payment, TakenKeys
from schemas.proposals import Proposal, ProposalState
from worker.console import elements
from worker.console.acted import acted
from worker.console.layout import error_page, missing, page, see_other
from worker.console.pages.decide_parts import evidence_part, path_id, person_of, preview_part
from worker.console.payment_parts import payment_link
from worker.console.route_table import APPROVING, may_examine
from worker.console.visit import Visit
from worker.postgres.evidence_files import has_file, read_file
from worker.postgres.proposal_reads import outcome_of, read_proposal
from worker.postgres.proposal_rows import approve, reject, withdraw
from worker.postgres.reads.snapshots import read_dossier, read_for_decision
from worker.runtime.encryption import ArchiveCipher, NotDecrypted
from worker.runtime.idle_roles import nobody_takes

PROPOSAL_ID = "prop_[0-9a-f]{24}"
LONGEST_WORDS = 500
TONES = {
    ProposalState.OPEN: "hand",
    ProposalState.APPROVED: "wait",
    ProposalState.APPLIED: "good",
    ProposalState.REFUSED: "stop",
}


async def show_proposal(visit: Visit) -> web.StreamResponse:
    proposal = await _proposal(visit)
    config = visit.context.config
    read = await read_for_decision(visit.database, proposal.payment_id, proposal.transaction_id)
    if read is None:
        raise ResolutionRefused("no_such_payment", "there is no such payment")
    case, others, _ = read
    seen: Preview | None = None
    dead = why_dead(visit, proposal, case.payment, basis_of(case, others))
    gone = case.payment.account not in visit.context.rules.accounts
    if proposal.state is ProposalState.OPEN and dead is None and gone:
        dead = visit.say("refused.account_not_configured")
    elif proposal.state is ProposalState.OPEN and dead is None:
        try:
            seen = await preview(case, visit.context.rules, request_of(proposal), others, visit.now)
        except ResolutionRefused as refused:
            dead = visit.say(f"refused.{refused.code}")
    account = config.account(case.payment.account)
    snapshot = await read_dossier(visit.database, proposal.payment_id, account, config.checks)
    found = evidence(snapshot) if snapshot is not None else None
    return page(
        visit,
        visit.say("approvals.title", reference=case.payment.reference),
        h.p(".lead")[h.span(class_=TONES.get(proposal.state, "quiet"))[visit.say(f"state.{proposal.state}")]],
        _unapplied(visit, proposal),
        _now(visit, case.payment) if proposal.state.ended else None,
        _facts(visit, proposal, case.payment, file=await has_file(visit.database, proposal.id)),
        h.p(".note.bad")[dead] if dead else None,
        preview_part(visit, seen) if seen is not None else None,
        _evidence(visit, found) if proposal.state is ProposalState.OPEN else None,
        _acts(visit, proposal, case, others, gone=gone),
        h.p[h.a(href="/approvals")[visit.say("nav.approvals")]],
        refresh=2 if proposal.state is ProposalState.APPROVED else None,
    )


async def approve_proposal(visit: Visit) -> web.StreamResponse:
    proposal = await _proposal(visit)
    await approve(visit.database, proposal.id, person_of(visit), _words(visit))
    await outcome_of(visit.database, proposal.id)
    return see_other(f"/approvals/{proposal.id}")


async def reject_proposal(visit: Visit) -> web.StreamResponse:
    proposal = await _proposal(visit)
    await reject(visit.database, proposal.id, person_of(visit), _words(visit))
    return see_other(f"/approvals/{proposal.id}")


async def withdraw_proposal(visit: Visit) -> web.StreamResponse:
    proposal = await _proposal(visit)
    await withdraw(visit.database, proposal.id, person_of(visit))
    return see_other(f"/approvals/{proposal.id}")


async def show_file(visit: Visit) -> web.StreamResponse:
    """The file of a proposal, to be saved and never shown within the console. Who took it is in the audit trail."""
    proposal = await _proposal(visit)
    try:
        file = await read_file(visit.database, proposal.id, ArchiveCipher(visit.context.config.archive.cipher_keys))
    except NotDecrypted:
        return error_page(visit, 409, "refused", "refused.key")
    if file is None:
        return missing(visit)
    await acted(visit, "evidence.read", proposal.id, merchant=proposal.merchant, payment_id=proposal.payment_id)
    answer = web.Response(body=file.body, content_type=file.media)
    answer.headers["Content-Disposition"] = f'attachment; filename="{proposal.id}.{file.suffix}"'
    return answer


async def _proposal(visit: Visit) -> Proposal:
    """The proposal of the path, if the operator sees its merchant. Raises ResolutionRefused."""
    proposal = await read_proposal(visit.database, path_id(visit, "proposal_id", PROPOSAL_ID))
    if proposal is None or not visit.operator.sees(proposal.merchant):
        raise ResolutionRefused("no_such_proposal", "there is no such proposal")
    return proposal


def origin_words(visit: Visit, proposal: Proposal) -> str:
    """By which way it came: the database compared it with the login that wrote it."""
    name = proposal.proposed_key or proposal.proposed_from or visit.say("none")
    return visit.say(f"approvals.via.{proposal.proposed_via}", name=name)


def why_dead(visit: Visit, proposal: Proposal, payment: Payment, basis: str | None = None) -> str | None:
    """In words why nobody can approve an open proposal any more; None where it can be approved."""
    if proposal.state is not ProposalState.OPEN:
        return None
    if payment.hold is None:
        return visit.say("approvals.resolved")
    changed = payment.version != proposal.version or basis not in (None, proposal.basis)
    return visit.say("approvals.dead") if changed else None


def _facts(visit: Visit, proposal: Proposal, payment: Payment, *, file: bool) -> h.Node:
    decided = None if proposal.alone else proposal.decided_by
    return elements.facts(
        visit,
        ("decide.payment", payment_link(payment.id)),
        ("field.amount", elements.amount_of(visit, payment.amount, payment.currency)),
        ("approvals.wanted", h.strong[visit.say(f"status.{proposal.status}")]),
        ("field.transaction", proposal.transaction_id),
        ("approvals.by", proposal.proposed_by),
        ("approvals.from", origin_words(visit, proposal)),
        ("approvals.at", elements.moment(visit, proposal.proposed_at)),
        ("approvals.reason", proposal.reason),
        ("approvals.evidence", _of_evidence(visit, proposal, file=file)),
        ("approvals.decided", decided),
        ("approvals.decided_why", proposal.decided_why),
        ("refused", _refusal(visit, proposal)),
    )


def _unapplied(visit: Visit, proposal: Proposal) -> h.Node:
    """That nobody applies what was approved, and what to do; nothing for as long as that is to be expected."""
    if proposal.state is not ProposalState.APPROVED or proposal.decided_at is None:
        return None
    words = nobody_takes("consume", proposal.decided_at, visit.now)
    return words and h.p(".note.bad", role="alert", lang="en")[words]


def _now(visit: Visit, payment: Payment) -> h.Node:
    """How the payment stands by now."""
    hold = None if payment.hold is None else f" {visit.say('held.reason')}: {visit.say(f'hold.{payment.hold}')}."
    return h.p[visit.say("approvals.now", status=visit.say(f"status.{payment.status}")), hold]


def _of_evidence(visit: Visit, proposal: Proposal, *, file: bool) -> h.Node:
    """The evidence in words, and the `file` that is kept with it: what the words say of one proves nothing."""
    if proposal.evidence is None:
        return None
    text = h.span[proposal.evidence]
    if not file:
        return text
    if not may_examine(visit):
        return h.fragment[text, " ", h.span(".quiet")[visit.say("approvals.file.not_shown")]]
    return h.fragment[text, " ", h.a(href=f"/approvals/{proposal.id}/file")[visit.say("approvals.file")]]


def _refusal(visit: Visit, proposal: Proposal) -> h.Node:
    return None if proposal.refusal_code is None else h.strong(".stop")[visit.say(f"refused.{proposal.refusal_code}")]


def _evidence(visit: Visit, found: Evidence | None) -> h.Node:
    return None if found is None else evidence_part(visit, found)


def _acts(visit: Visit, proposal: Proposal, case: Case, others: TakenKeys, *, gone: bool) -> h.Node:
    """What this person may do with an open proposal; in words where that is nothing. `gone`: its account is."""
    if proposal.state is not ProposalState.OPEN:
        return None
    name = visit.operator.name
    own = h.fragment[
        h.p(".note")[visit.say("approvals.own")],
        _form(visit, proposal, "withdraw", kind="second") if same_person(proposal.proposed_by, name) else None,
    ]
    if proposed_by(proposal, name):
        return own
    if visit.operator.role not in APPROVING:
        return h.p(".note")[visit.say("approvals.reads")]
    refusal = "account_not_configured" if gone else None
    try:
        check_approval(proposal, case, others, person_of(visit))
    except ResolutionRefused as refused:
        refusal = refused.code
    approving = (
        h.p(".note.bad")[visit.say(f"refused.{refusal}")]
        if refusal
        else _form(visit, proposal, "approve", confirms=True)
    )
    return h.section[
        h.h2[visit.say("approvals.decide")],
        h.div(".cards")[
            h.div(".card")[h.h3[visit.say("approvals.approve")], approving],
            h.div(".card")[
                h.h3[visit.say("approvals.reject")], _form(visit, proposal, "reject", kind="danger", confirms=True)
            ],
        ],
    ]


def _form(visit: Visit, proposal: Proposal, act: str, *, kind: str = "", confirms: bool = False) -> h.Node:
    fields: h.Node = None
    action = f"/approvals/{proposal.id}/{act}"
    if confirms:
        fields = h.fragment[
            h.label(for_=f"why-{act}")[visit.say("approvals.why")],
            h.input(f"#why-{act}", name="why", maxlength=str(LONGEST_WORDS), autocomplete="off"),
            elements.confirm_field(visit, action, f"confirm-{act}"),
        ]
    button = h.button(class_=kind or None)[visit.say(f"approvals.{act}")]
    return elements.form(visit, action, fields, button)


def _words(visit: Visit) -> str | None:
    return visit.field("why")[:LONGEST_WORDS] or None
