"""Find: anything by its id, or a buyer's payments by phone number or e-mail address. A single hit is opened at once."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from worker.console.elements import moment
from worker.console.layout import page, see_other
from worker.console.payment_parts import address_with, linked, page_of, payment_rows
from worker.console.visit import Visit
from worker.postgres.reads.differences import read_differences
from worker.postgres.reads.find import LONGEST_ID, MOST_FOUND, Found, find, scope_of
from worker.runtime.contacts import is_contact, is_personal


async def show_find(visit: Visit) -> web.StreamResponse:
    """A link to an id. A buyer's number or address is refused in an address; the form is filled with it."""
    typed = visit.request.query.get("q", "").strip()
    if typed and is_personal(typed):
        words = h.p(".note.bad", role="alert")[visit.say("find.not_in_address")]
        return page(visit, visit.say("nav.find"), words, _form(visit, typed), status=422)
    return await _answer(visit, typed)


async def find_typed(visit: Visit) -> web.StreamResponse:
    """An id leads to its link. What may be a buyer's number or address is answered here, and stands in no address."""
    typed = visit.field("q")[:LONGEST_ID]
    if typed and not is_contact(typed):
        return see_other(address_with("/find", {"q": typed}))
    return await _answer(visit, typed)


async def _answer(visit: Visit, typed: str) -> web.StreamResponse:
    title = visit.say("nav.find")
    if not typed:
        return page(visit, title, _form(visit, ""), h.p(".quiet")[visit.say("find.explain")])
    config = visit.context.config
    scope = scope_of(config, {one.id for one in visit.merchants})
    found = await find(visit.database, typed, scope, config.contacts.hashing)
    if found.count == 1 and (only := _only_page(visit, found)):
        return see_other(only)
    payments = [one.payment for one in found.payments]
    held = [one for one in payments if one.hold is not None]
    differences = await read_differences(visit.database, held, config.accounts, config.checks)
    return page(visit, title, _form(visit, typed), _found(visit, typed, found, differences))


def _only_page(visit: Visit, found: Found) -> str | None:
    for payment in found.payments:
        return f"/payments/{payment.payment.id}"
    for endpoint in found.endpoints:
        return page_of(visit, "/endpoints", endpoint.id)
    for run in found.runs:
        return page_of(visit, "/statements", run.id)
    return None


def _form(visit: Visit, typed: str) -> h.Element:
    return h.form(".stacked", action="/find", method="post", role="search", aria_label=visit.say("find.form"))[
        h.input(type="hidden", name="token", value=visit.form_token),
        h.label(for_="find")[visit.say("find.label")],
        h.input("#find", type="search", name="q", value=typed, maxlength=str(LONGEST_ID), autocomplete="off"),
        h.button[visit.say("search.button")],
    ]


def _found(visit: Visit, typed: str, found: Found, differences: dict[str, str]) -> h.Node:
    if not found.count:
        return _nothing(visit, typed, found)
    parts: list[h.Node] = []
    if found.payments:
        newest = tuple(one.payment for one in reversed(found.payments))
        count = len(newest)
        caption = visit.say("find.most" if count == MOST_FOUND else "find.payments", count=count)
        parts.append(payment_rows(visit, caption, newest, differences, empty=""))
    others = [
        h.li[
            linked(page_of(visit, "/endpoints", one.id), one.configured_id or one.id), f" · {one.merchant} · {one.url}"
        ]
        for one in found.endpoints
    ]
    others += [
        h.li[
            linked(page_of(visit, "/statements", one.id), one.source),
            f" · {one.account} · ",
            moment(visit, one.started_at),
        ]
        for one in found.runs
    ]
    return [*parts, h.ul[others]] if others else parts


def _nothing(visit: Visit, typed: str, found: Found) -> h.Node:
    if found.deleted_at is not None:
        return h.p(role="status")[visit.say("find.deleted"), " ", moment(visit, found.deleted_at)]
    return [
        h.p(role="status")[visit.say("find.nothing", typed=typed)],
        h.p(".quiet")[visit.say("find.no_key" if found.no_contact_key else "find.explain")],
    ]
