"""Decide about a held payment, in two steps: choose what is true; then see the event that will be told, and confirm.

The second step posts the basis of what it showed. If the payment changed meanwhile, nothing is proposed.
"""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from consumers.commands.basis import basis_of
from consumers.commands.preview import preview
from consumers.commands.resolve import ResolutionRefused, ResolutionRequest
from consumers.commands.two_people import check_proposer
from consumers.explain.evidence import Evidence, evidence
from consumers.explain.snapshot import PaymentSnapshot
from consumers.money.at_stake import needs_second_person
from schemas.payments import Case, Payment, TakenKeys
from schemas.proposals import Proposal
from schemas.request_shape import Wrong
from schemas.shown import PAYMENT_ID
from worker.console import elements
from worker.console.layout import error_page, page, see_other
from worker.console.pages.decide_parts import evidence_part, path_id, person_of, preview_part
from worker.console.pages.decision_form import decision_form, read_form
from worker.console.payment_parts import payment_link
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.evidence_files import EvidenceFile, FileRefused, evidence_file
from worker.postgres.proposal_reads import outcome_of, waiting_proposals
from worker.postgres.proposal_rows import propose
from worker.postgres.reads.snapshots import read_dossier, read_for_decision
from worker.runtime.encryption import ArchiveCipher

MB = 1024 * 1024
MOST_BODY = 3 * MB
"""Of the second step's form: a file of 2 MiB and the fields around it."""


class _Chosen(Struct, frozen=True):
    """What a decision is about: the payment, the keys that others have, and what was chosen."""

    case: Case
    others: TakenKeys
    wanted: ResolutionRequest

    @property
    def payment(self) -> Payment:
        return self.case.payment

    @property
    def basis(self) -> str:
        return basis_of(self.case, self.others)


async def show_decide(visit: Visit) -> web.StreamResponse:
    return await _step_one(visit)


async def show_preview(visit: Visit) -> web.StreamResponse:
    """Step two. What is wrong with the first step is said there."""
    found = await _chosen(visit)
    if not isinstance(found, _Chosen):
        return await _step_one(visit, found)
    case, wanted = found.case, found.wanted
    seen = await preview(case, visit.context.rules, wanted, found.others, visit.now)
    differs = evidence(await _snapshot(visit))
    two = _two_people(visit, case)
    fields = {
        "status": wanted.status.value,
        "reason": wanted.reason,
        "evidence": wanted.evidence,
        "transaction_id": wanted.transaction_id,
        "basis": found.basis,
    }
    kept = [h.input(type="hidden", name=name, value=value) for name, value in fields.items() if value]
    act = elements.form(
        visit,
        f"/held/{case.payment.id}",
        kept,
        h.label(for_="file")[visit.say("decide.file")],
        h.input("#file", type="file", name="file", accept=".pdf,.png,.jpg,.jpeg,.txt,.csv"),
        elements.confirm_field(visit, f"/held/{case.payment.id}"),
        h.button[visit.say("decide.propose" if two else "decide.do_it")],
        files=True,
    )
    return page(
        visit,
        _title(visit, case.payment),
        elements.facts(
            visit,
            ("decide.payment", payment_link(case.payment.id)),
            ("field.amount", elements.amount_of(visit, case.payment.amount, case.payment.currency)),
            ("decide.status", h.strong[visit.say(f"status.{wanted.status}")]),
            ("decide.reason", wanted.reason),
            ("approvals.evidence", wanted.evidence),
        ),
        h.h2[visit.say("decide.step_two")],
        preview_part(visit, seen),
        None if differs is None else evidence_part(visit, differs),
        None if seen.already else h.p(".note")[visit.say("decide.two" if two else "decide.one")],
        None if seen.already else act,
        h.p[h.a(href=f"/held/{case.payment.id}")[visit.say("back")]],
    )


async def act(visit: Visit) -> web.StreamResponse:
    """Propose it, or decide alone below the limit. The page that follows has the outcome, after 2 s at most."""
    found = await _chosen(visit)
    if not isinstance(found, _Chosen):
        return await _step_one(visit, found)
    if found.basis != visit.field("basis"):
        raise ResolutionRefused("version_conflict", "the payment changed since it was looked at")
    seen = await preview(found.case, visit.context.rules, found.wanted, found.others, visit.now)
    if seen.already:
        return see_other(f"/held/{found.payment.id}")
    try:
        file = _file(visit)
    except FileRefused as refused:
        return error_page(visit, 422, "refused", "refused.file", words=str(refused))
    alone = not _two_people(visit, found.case)
    cipher = ArchiveCipher(visit.context.config.archive.cipher_keys)
    origin = person_of(visit).origin
    made = await propose(
        visit.database,
        found.case,
        found.wanted,
        origin,
        basis=found.basis,
        file=file,
        cipher=cipher,
        alone=alone,
    )
    if alone:
        await outcome_of(visit.database, made.id)
    return see_other(f"/approvals/{made.id}")


async def _step_one(visit: Visit, wrong: Sequence[Wrong] = ()) -> web.StreamResponse:
    snapshot = await _snapshot(visit)
    payment, found = snapshot.payment, evidence(snapshot)
    waiting = await waiting_proposals(visit.database, [payment.merchant], payment.id)
    return page(
        visit,
        _title(visit, payment),
        h.p(".note.bad", role="alert")[visit.say("decide.wrong", count=len(wrong))] if wrong else None,
        _about(visit, payment, found),
        [_waits(visit, one) for one in waiting],
        evidence_part(visit, found) if found is not None else None,
        decision_form(visit, payment, wrong) if found is not None and not waiting else None,
        h.p[h.a(href="/held")[visit.say("decide.held_list")]],
        status=422 if wrong else 200,
    )


def _about(visit: Visit, payment: Payment, found: Evidence | None) -> h.Node:
    status = visit.say(f"status.{payment.status}")
    if found is None:
        return h.p(".note")[visit.say("decide.not_held"), " ", visit.say("decide.now", status=status)]
    return elements.facts(
        visit,
        ("decide.payment", payment_link(payment.id)),
        ("decide.order", payment.order_ref),
        ("held.account", payment.account),
        ("field.amount", elements.amount_of(visit, payment.amount, payment.currency)),
        ("field.status", status),
        ("held.reason", h.strong[", ".join(visit.say(f"hold.{hold}") for hold in found.holds)]),
        ("decide.why", told(visit, found.why)),
        ("decide.do", told(visit, found.to_do)),
        ("decide.since", elements.moment(visit, found.since)),
    )


def _waits(visit: Visit, proposal: Proposal) -> h.Node:
    words = visit.say("decide.waits", name=proposal.proposed_by, status=visit.say(f"status.{proposal.status}"))
    return h.p(".note")[h.a(href=f"/approvals/{proposal.id}")[words]]


async def _chosen(visit: Visit) -> _Chosen | list[Wrong]:
    """What the form says, about the payment as it is now; or what is wrong with the form. Raises ResolutionRefused."""
    wanted = read_form(visit)
    if not isinstance(wanted, ResolutionRequest):
        return wanted
    read = await read_for_decision(visit.database, path_id(visit, "payment_id", PAYMENT_ID), wanted.transaction_id)
    if read is None:
        raise ResolutionRefused("no_such_payment", "there is no such payment")
    case, others, _ = read
    check_proposer(person_of(visit), case.payment.merchant)
    if case.payment.account not in visit.context.rules.accounts:
        raise ResolutionRefused("account_not_configured", "the account of this payment is no longer configured")
    return _Chosen(case, others, replace(wanted, version=case.payment.version))


async def _snapshot(visit: Visit) -> PaymentSnapshot:
    payment_id, config = path_id(visit, "payment_id", PAYMENT_ID), visit.context.config
    snapshot = await read_dossier(visit.database, payment_id, None, config.checks)
    if snapshot is None or not visit.operator.sees(snapshot.payment.merchant):
        raise ResolutionRefused("no_such_payment", "there is no such payment")
    return replace(snapshot, account=config.account(snapshot.payment.account))


def _two_people(visit: Visit, case: Case) -> bool:
    return needs_second_person(case, visit.context.rules.second_person_from)


def _file(visit: Visit) -> EvidenceFile | None:
    """The file of the form. Raises FileRefused."""
    given = visit.file("file")
    return None if given is None else evidence_file(given.name, given.body)


def _title(visit: Visit, payment: Payment) -> str:
    return visit.say("decide.title", reference=payment.reference)
