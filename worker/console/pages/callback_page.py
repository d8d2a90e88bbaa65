"""A callback as it was received, with a buyer's data: for auditors, who confirm it. Each look is in the audit trail."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from schemas.callbacks import Callback, read_claim
from schemas.own_json import NotOurs
from worker.console.elements import Column, facts, moment, table
from worker.console.layout import missing, page
from worker.console.pages.payment_page import payment_of, record, reveal_form
from worker.console.payment_parts import payment_link
from worker.console.visit import Visit
from worker.postgres.archive import claim_is_of, read_archived
from worker.runtime.encryption import ArchiveCipher, NotDecrypted


async def ask_to_reveal(visit: Visit) -> web.StreamResponse:
    payment, claim_id = await payment_of(visit), visit.request.query.get("claim", "")
    if payment is None or not await claim_is_of(visit.database, claim_id, payment.id):
        return missing(visit)
    return page(
        visit,
        visit.say("callback.title"),
        h.p[payment_link(payment.id, payment.reference)],
        h.p(".note")[visit.say("callback.warning")],
        reveal_form(visit, payment, claim_id),
    )


async def reveal_callback(visit: Visit) -> web.StreamResponse:
    payment, claim_id = await payment_of(visit), visit.field("claim")
    if payment is None or not await claim_is_of(visit.database, claim_id, payment.id):
        return missing(visit)
    await record(visit, payment, "callback.revealed", subject=claim_id)  # before anything is shown
    try:
        keys = visit.context.config.archive.cipher_keys
        archived = await read_archived(visit.database, claim_id, ArchiveCipher(keys))
        callback = None if archived is None else read_claim(archived).callback
    except (NotDecrypted, NotOurs):
        return page(visit, visit.say("callback.title"), h.p(role="alert")[visit.say("callback.unreadable")])
    if callback is None:
        return page(visit, visit.say("callback.title"), h.p(role="status")[visit.say("callback.gone")])
    back = h.p[payment_link(payment.id, payment.reference)]
    return page(visit, visit.say("callback.title"), back, _shown(visit, callback))


def _shown(visit: Visit, callback: Callback) -> list[h.Node]:
    columns = [Column("callback.name"), Column("callback.value")]
    query = table(visit, visit.say("callback.query"), columns, callback.query, empty=visit.say("callback.no_query"))
    headers = table(
        visit, visit.say("callback.headers"), columns, callback.headers, empty=visit.say("callback.no_query")
    )
    body = callback.body.decode("utf-8", "replace")
    return [
        facts(
            visit,
            ("callback.received", moment(visit, callback.received_at)),
            ("callback.source", f"{callback.method} · {callback.source} · {callback.account}"),
        ),
        None if callback.omitted is None else h.p(".note", lang="en")[str(callback.omitted)],
        query,
        headers,
        h.h2[visit.say("callback.body")],
        h.pre(tabindex="0")[body] if body else h.p(".quiet")[visit.say("none")],
    ]
