"""A payment: in short, what the shop knows of it, its money, evidence, timeline, other attempts and notes."""

from __future__ import annotations

import unicodedata

import htpy as h
from aiohttp import web

from consumers.checks.planned_questions import can_ask
from consumers.explain.explain import explain_payment
from schemas.payments import Payment
from schemas.requests import ListQuery
from schemas.shown import is_payment_id
from worker.config.webhook_endpoints import endpoints_of
from worker.console.acted import act_of, acted
from worker.console.elements import confirm_field, form, text_field
from worker.console.layout import error_page, missing, page, see_other
from worker.console.pages import payment_sections as sections
from worker.console.payment_parts import page_of, status_words
from worker.console.route_table import REVEALING, may_act
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.audit_rows import read_audit
from worker.postgres.events.endpoint_rows import known_endpoints
from worker.postgres.reads.reading import read_page, read_payment
from worker.postgres.reads.snapshots import read_dossier
from worker.verify.ask_now import ask_now

ANSWER_SECONDS = 2.0
LONGEST_NOTE = 500
ATTEMPTS = 20


async def show_payment(visit: Visit) -> web.StreamResponse:
    payment = await payment_of(visit)
    if payment is None:
        return missing(visit)
    config, database = visit.context.config, visit.database
    endpoints = await known_endpoints(database, endpoints_of(config))
    snapshot = await read_dossier(database, payment.id, config.account(payment.account), config.checks, endpoints)
    if snapshot is None:
        return missing(visit)
    explained, attempts = explain_payment(snapshot), []
    if payment.order_ref is not None:
        query = ListQuery(order=payment.order_ref, limit=ATTEMPTS)
        attempts = [
            one for one in (await read_page(database, payment.merchant, query, None)).payments if one != payment
        ]
    acts = await read_audit(database, [payment.merchant], payment_id=payment.id)
    return page(
        visit,
        payment.reference,
        h.p[status_words(visit, snapshot.payment)],
        h.p(".lead")[told(visit, explained.paid)],
        sections.receivers(visit, endpoints, explained.deliveries),
        _actions(visit, snapshot.payment),
        sections.held(visit, explained.evidence),
        sections.money(visit, snapshot.payment),
        sections.plans(visit, explained.plans),
        sections.timeline(visit, explained.story),
        sections.attempts(visit, snapshot.payment, attempts),
        sections.acts(visit, acts),
        _note_form(visit, payment),
        sections.callbacks(visit, payment, snapshot.entries),
    )


async def verify_payment(visit: Visit) -> web.StreamResponse:
    """Ask the gateway, and wait ANSWER_SECONDS for its answer; the page shows what came."""
    payment = await payment_of(visit)
    if payment is None or not _can_be_asked(visit, payment):
        return missing(visit)
    asked = act_of(visit, "payment.verified", merchant=payment.merchant, payment_id=payment.id)
    await ask_now(visit.database, visit.context.claims, payment, ANSWER_SECONDS, asked)
    return to_payment(payment)


async def add_note(visit: Visit) -> web.StreamResponse:
    """A note is a record of the audit trail: nobody changes it."""
    payment, note = await payment_of(visit), visit.field("note")
    if payment is None:
        return missing(visit)
    if not note or len(note) > LONGEST_NOTE or any(unicodedata.category(sign) == "Cc" for sign in note):
        return error_page(visit, 422, "note")
    await record(visit, payment, "payment.noted", why=note)
    return to_payment(payment)


async def payment_of(visit: Visit) -> Payment | None:
    """The payment of the path, of a merchant that the operator sees."""
    payment_id = visit.request.match_info["payment"]
    if not is_payment_id(payment_id):
        return None
    for merchant in visit.merchants:
        if found := await read_payment(visit.database, merchant.id, payment_id):
            return found
    return None


async def record(
    visit: Visit, payment: Payment, action: str, subject: str | None = None, why: str | None = None
) -> None:
    """Write into the audit trail what the operator does to this payment."""
    await acted(visit, action, subject, merchant=payment.merchant, payment_id=payment.id, why=why)


def to_payment(payment: Payment) -> web.Response:
    return see_other(f"/payments/{payment.id}")


def _can_be_asked(visit: Visit, payment: Payment) -> bool:
    account = visit.context.config.account(payment.account)
    return account is not None and bool(account.capabilities.asked_by) and can_ask(payment, account.capabilities)


def _actions(visit: Visit, payment: Payment) -> h.Node:
    made: list[h.Node] = []
    may = may_act(visit)
    if may and _can_be_asked(visit, payment):
        ask = h.button[visit.say("payment.verify")]
        made.append(form(visit, f"/payments/{payment.id}/verify", ask, kind="inline"))
    if payment.hold is not None and may and (address := page_of(visit, "/held", payment.id)):
        made.append(h.a(".button", href=address)[visit.say("payment.decide")])
    return h.div(".buttons.acts")[made] if made else None


def _note_form(visit: Visit, payment: Payment) -> h.Node:
    if not may_act(visit):
        return None
    note = text_field(visit, "payment.note", "note", required=True, most=LONGEST_NOTE)
    return form(visit, f"/payments/{payment.id}/notes", note, h.button(".second")[visit.say("payment.note.add")])


def reveal_form(visit: Visit, payment: Payment, claim_id: str) -> h.Node:
    """The form by which an auditor sees a callback, with the password or a new code."""
    if visit.operator.role not in REVEALING:
        return None
    hidden = h.input(type="hidden", name="claim", value=claim_id)
    button = h.button[visit.say("callback.reveal")]
    action = f"/payments/{payment.id}/callback"
    return form(visit, action, hidden, confirm_field(visit, action), button)
