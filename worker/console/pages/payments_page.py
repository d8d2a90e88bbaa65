"""Payments: the API's filters as a form, the sums of all that match, what differs, and the same list as CSV.

The address of a list is its filters, so a view is saved as a link. Days are those of Dhaka, the last day included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import htpy as h
from aiohttp import web
from msgspec import Struct

from schemas.request_shape import Wrong
from schemas.requests import ListQuery
from schemas.shown import PAYMENT_ID
from schemas.words import Hold, Status
from worker.config import Merchant
from worker.console.elements import moment, taka
from worker.console.layout import missing, page
from worker.console.payment_parts import address_with, payment_rows
from worker.console.visit import Visit
from worker.postgres.reads.differences import read_differences
from worker.postgres.reads.list_filters import read_filters
from worker.postgres.reads.reading import MOST_SEEN, MOST_SUMMED, PageWithSummary, Position, read_page
from worker.runtime.contacts import is_personal
from worker.runtime.zone import DHAKA

PAGE = 50
MOST_EXPORTED, EXPORT_SECONDS = 1_000_000, 90.0
"""Where a CSV ends: a spreadsheet opens hardly more rows, and a download has a turn for a time alone."""

_TEXTS = ("q", "reference", "order", "transaction_id", "session_id")
_NAMES = (*_TEXTS, "merchant", "status", "hold", "account", "from", "to", "amount_min", "amount_max")
_CURSOR = re.compile(rf"([0-9]{{1,17}})\.({PAYMENT_ID})", re.ASCII)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Asked(Struct, frozen=True, kw_only=True):
    """The list of a request: `given` are the filters as they were typed, `wrong` what is wrong with them."""

    merchant: Merchant
    given: Mapping[str, str]
    query: ListQuery
    wrong: tuple[Wrong, ...]
    after: Position | None


async def show_payments(visit: Visit) -> web.StreamResponse:
    asked = asked_of(visit)
    if asked is None:
        return missing(visit)
    found = None
    if not asked.wrong:
        found = await read_page(visit.database, asked.merchant.id, asked.query, asked.after)
    content: list[h.Node] = [_views(visit, asked), _form(visit, asked)]
    if found is not None:
        config = visit.context.config
        held = [one for one in found.payments if one.hold is not None]
        differences = await read_differences(visit.database, held, config.accounts, config.checks)
        content += _listed(visit, asked, found, differences)
    return page(visit, visit.say("nav.payments"), content, status=422 if asked.wrong else 200)


def asked_of(visit: Visit) -> Asked | None:
    """None where the operator may not see the merchant that is named, or sees none."""
    given = {name: value.strip() for name in _NAMES if (value := visit.request.query.get(name, "")).strip()}
    named = given.get("merchant")
    merchant = next((one for one in visit.merchants if named in (None, one.id)), None)
    if merchant is None:
        return None
    query, wrong = read_filters({name: value for name, value in given.items() if name != "merchant"}, PAGE)
    if query.account is not None and query.account not in {one.id for one in merchant.accounts}:
        wrong.append(Wrong("account", visit.say("payments.no_account")))
    if is_personal(given.get("q", "")):
        wrong.append(Wrong("q", visit.say("find.not_in_address")))
    after = _CURSOR.fullmatch(visit.request.query.get("after", ""))
    return Asked(
        merchant=merchant,
        given=given,
        query=query,
        wrong=tuple(wrong),
        after=None if after is None else (_EPOCH + timedelta(microseconds=int(after[1])), after[2]),
    )


def cursor_of(position: Position) -> str:
    at, payment_id = position
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}.{payment_id}"


def _views(visit: Visit, asked: Asked) -> h.Element:
    """Lists that are looked at every day, as links. A list that is open may be saved as a bookmark in the same way."""
    today = visit.now.astimezone(DHAKA).date()
    month = today.replace(day=1)
    named = {"merchant": asked.given.get("merchant", "")}
    views = {
        "today": {"from": f"{today}"},
        "paid_today": {"from": f"{today}", "status": "completed", "hold": "none"},
        "held": {"hold": "any"},
        "pending": {"status": "pending"},
        "failed": {"status": "failed", "from": f"{today - timedelta(days=6)}"},
        "refunded": {"status": "refunded"},
        "month": {"from": f"{month}"},
    }
    links = [
        h.li[h.a(href=address_with("/payments", named | to))[visit.say(f"payments.view.{key}")]]
        for key, to in views.items()
    ]
    return h.nav(".views", aria_label=visit.say("payments.views"))[h.ul[links]]


def _form(visit: Visit, asked: Asked) -> h.Element:
    given, wrong = asked.given, {one.field: one.message for one in asked.wrong}

    def field(name: str, control: h.Node) -> h.Element:
        problem = (
            h.p(".stop", id=f"{name}-wrong", role="alert")[h.span(lang="en")[wrong[name]]] if name in wrong else None
        )
        return h.div[h.label(for_=f"f-{name}")[visit.say(f"payments.f.{name}")], control, problem]

    def text(name: str, kind: str = "text", **more: str) -> h.Element:
        told = f"{name}-wrong" if name in wrong else None
        invalid = "true" if name in wrong else None
        value = given.get(name)
        return field(
            name,
            h.input(
                f"#f-{name}",
                type=kind,
                name=name,
                value=value,
                autocomplete="off",
                aria_describedby=told,
                aria_invalid=invalid,
                **more,
            ),
        )

    def choice(name: str, options: Iterable[tuple[str, str]]) -> h.Element:
        every = h.option(value="")[visit.say("payments.all")]
        made = [h.option(value=value, selected=given.get(name) == value)[words] for value, words in options]
        return field(name, h.select(f"#f-{name}", name=name)[every, made])

    merchants = None
    if len(visit.merchants) > 1:
        chosen = [
            h.option(value=one.id, selected=one.id == asked.merchant.id)[one.name or one.id] for one in visit.merchants
        ]
        merchants = field("merchant", h.select("#f-merchant", name="merchant")[chosen])
    holds = [("any", visit.say("payments.any_hold")), ("none", visit.say("payments.no_hold"))]
    more = {"transaction_id", "session_id", "amount_min", "amount_max", "account", "order"} & {*given, *wrong}
    return h.form(action="/payments", method="get", aria_label=visit.say("payments.form"))[
        h.div(".filters")[
            merchants,
            text("q"),
            choice("status", [(one.value, visit.say(f"status.{one}")) for one in Status]),
            choice("hold", [*holds, *((one.value, visit.say(f"hold.{one}")) for one in Hold)]),
            text("from", "date" if len(given.get("from", "")) in (0, 10) else "text"),
            text("to", "date" if len(given.get("to", "")) in (0, 10) else "text"),
        ],
        h.details(open=bool(more))[
            h.summary[visit.say("payments.more")],
            h.div(".filters")[
                choice("account", [(one.id, one.id) for one in asked.merchant.accounts]),
                text("reference"),
                text("order"),
                text("transaction_id"),
                text("session_id"),
                text("amount_min", inputmode="decimal"),
                text("amount_max", inputmode="decimal"),
            ],
        ],
        h.div(".buttons")[
            h.button[visit.say("payments.filter")],
            h.a(".button.second", href=address_with("/payments", {"merchant": given.get("merchant", "")}))[
                visit.say("payments.clear")
            ],
        ],
    ]


def _listed(visit: Visit, asked: Asked, found: PageWithSummary, differences: Mapping[str, str]) -> list[h.Node]:
    sums, given = found.summary, dict(asked.given)
    words = visit.say(
        "payments.sum_capped" if sums.capped else "payments.sum",
        most=f"{MOST_SUMMED:,}",
        count=f"{sums.count:,}",
        completed=f"{sums.completed_count:,}",
        amount=taka(visit, Decimal(sums.completed_amount)),
        failed=f"{sums.failed_count:,}",
    )
    links: list[h.Node] = []
    if asked.after is not None:
        links.append(h.a(href=address_with("/payments", given))[visit.say("payments.first")])
    if found.next is not None:
        words_on = visit.say("payments.next" if found.looked_until is None else "payments.look_on")
        links.append(
            h.a(href=address_with("/payments", given | {"after": cursor_of(found.next)}), rel="next")[words_on]
        )
    export = h.a(href=address_with("/payments.csv", given), download="payments.csv")[visit.say("payments.csv")]
    beside = None
    if sums.capped:
        most = visit.say("payments.csv_most", most=f"{MOST_EXPORTED:,}", seconds=f"{EXPORT_SECONDS:.0f}")
        beside = h.small[" ", most]
    looked = None
    if found.looked_until is not None:
        words_until = visit.say("payments.looked", most=f"{MOST_SEEN:,}")
        looked = h.p(".note", role="status")[words_until, " ", moment(visit, found.looked_until)]
    none = visit.say("payments.none" if found.looked_until is None else "payments.none_there")
    return [
        h.p(".lead", role="status")[words],
        h.p[export, beside],
        payment_rows(visit, visit.say("payments.caption"), found.payments, differences, empty=none),
        looked,
        h.p[[(link, " ") for link in links]] if links else None,
    ]
