"""The sections of a payment's page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import htpy as h

from consumers.explain.collapse import TimelineLine
from consumers.explain.evidence import Evidence
from consumers.explain.next_steps import Plan
from consumers.explain.reached import Receiver
from schemas.audit import RecordedAct
from schemas.changes import Entry
from schemas.payments import Payment
from schemas.words import EntryKind, Source
from worker.config.webhook_endpoints import Endpoint
from worker.console.elements import Column, amount_of, facts, form, moment, table
from worker.console.evidence_parts import answers_part
from worker.console.pages.endpoint_parts import answer_words, endpoint_badge, name_of, state_badge
from worker.console.payment_parts import act_words, delivery_page_of, linked, page_of, payment_rows
from worker.console.route_table import REVEALING, may_act
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.events.delivery_reads import DeliveryState
from worker.postgres.events.endpoint_reads import EndpointState

_MOST_CALLBACKS = 20
_RECEIVERS = (
    Column("endpoints.endpoint"),
    Column("deliveries.type"),
    Column("deliveries.state"),
    Column("deliveries.attempts", number=True),
    Column("deliveries.answer"),
)


def held(visit: Visit, found: Evidence | None) -> h.Node:
    """Why it is held, and each answer beside what was expected."""
    if found is None:
        return None
    since = None if found.since is None else h.p[visit.say("payment.held_since"), " ", moment(visit, found.since)]
    return h.section(aria_labelledby="evidence")[
        h.h2("#evidence")[visit.say("payment.evidence")],
        h.div(".note")[
            h.p[h.span(".badge.hand")[visit.say(f"hold.{found.hold}")]],
            h.p[told(visit, found.why)],
            h.p[h.b[visit.say("decide.do")], ": ", told(visit, found.to_do)],
            since,
        ],
        answers_part(visit, found),
    ]


def receivers(visit: Visit, endpoints: Iterable[Endpoint], found: Sequence[Receiver]) -> h.Element:
    """Does the shop know? The answer first; then each endpoint: delivered or waiting, next attempt, last answer."""
    names = {one.id: name_of(one) for one in endpoints}
    rows = [
        (
            [linked(page_of(visit, "/endpoints", one.endpoint), names[one.endpoint]), " ", h.small[one.host]],
            linked(delivery_page_of(visit, one.endpoint, one.event_id), one.type),
            [_delivery(visit, one), _send_again(visit, one)],
            str(one.attempts),
            answer_words(visit, one.answer),
        )
        for one in found
    ]
    caption = visit.say("payment.shop.caption")
    return h.section(aria_labelledby="shop")[
        h.h2("#shop")[visit.say("payment.shop")],
        [h.p(class_=f"lead mark {tone}")[h.span[words]] for tone, words in _knows(visit, found, names)],
        table(visit, caption, _RECEIVERS, rows, empty="") if rows else None,
    ]


def _knows(visit: Visit, found: Sequence[Receiver], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The answer in sentences, with their tones: one for each endpoint that does not have its newest event."""
    if not found:
        yield "quiet", visit.say("payment.shop.none")
    late = [one for one in found if one.delivered_at is None and one.had_at is None]
    if found and not late:
        yield "good", visit.say("payment.shop.yes", types=", ".join(dict.fromkeys(one.type for one in found)))
    for one in late:
        if one.given_up_at is not None:
            tone, key = "stop", "payment.shop.given_up"
        elif one.disabled_at is not None:
            tone, key = "stop", "payment.shop.blocked"
        else:
            tone, key = "hand", "payment.shop.failing" if one.attempts else "payment.shop.waiting"
        answer = answer_words(visit, one.answer)
        yield tone, visit.say(key, type=one.type, name=names[one.endpoint], attempts=one.attempts, answer=answer)


def _send_again(visit: Visit, one: Receiver) -> h.Node:
    address = delivery_page_of(visit, one.endpoint, one.event_id)
    if address is None or not may_act(visit):
        return None
    return form(visit, f"{address}/resend", h.button(".second")[visit.say("deliveries.resend")], kind="inline")


def _delivery(visit: Visit, one: Receiver) -> h.Node:
    if one.delivered_at is not None:
        return [state_badge(visit, DeliveryState.DELIVERED), " ", moment(visit, one.delivered_at)]
    if one.had_at is not None:
        key = "deliveries.again.vain" if one.given_up_at is not None else "deliveries.again"
        delivered = state_badge(visit, DeliveryState.DELIVERED)
        return [delivered, " ", moment(visit, one.had_at), ", ", visit.say(key)]
    if one.given_up_at is not None:
        return [state_badge(visit, DeliveryState.GIVEN_UP), " ", moment(visit, one.given_up_at)]
    if one.disabled_at is not None:
        return [endpoint_badge(visit, EndpointState.BLOCKED), " ", moment(visit, one.disabled_at)]
    waits = state_badge(visit, DeliveryState.WAITING)
    if one.next_at is None or one.next_at <= visit.now:
        return [waits, " ", visit.say("deliveries.now")]
    return [waits, " ", visit.say("deliveries.next"), " ", moment(visit, one.next_at)]


def money(visit: Visit, payment: Payment) -> h.Element:

    def written(amount: Decimal) -> str:
        return amount_of(visit, amount, payment.currency)

    verified = visit.say("yes" if payment.amount_verified else "no")
    return h.section(aria_labelledby="money")[
        h.h2("#money")[visit.say("payment.money")],
        facts(
            visit,
            ("payments.amount", written(payment.amount)),
            ("payment.verified", verified),
            ("payment.refunded", written(payment.refunded_amount) if payment.refunded_amount else None),
            ("payment.fee", None if payment.fee is None else written(payment.fee)),
            ("payment.method", payment.method),
            ("payment.risk", payment.risk),
            ("payment.description", payment.description or None),
            ("payment.id", h.span(".id")[payment.id]),
            ("payments.f.order", payment.order_ref),
            ("payments.f.transaction_id", _id(payment.transaction_id)),
            ("payments.f.session_id", _id(payment.session_id)),
            ("payment.account", f"{payment.merchant} · {payment.account} · {payment.provider}"),
            ("payments.opened", moment(visit, payment.opened_at)),
            ("payment.expires", moment(visit, payment.expires_at)),
            ("payment.completed", moment(visit, payment.completed_at) if payment.completed_at else None),
            ("payment.checked", moment(visit, payment.checked_at) if payment.checked_at else None),
            ("payment.version", str(payment.version)),
        ),
    ]


def _id(text: str | None) -> h.Node:
    return None if text is None else h.span(".id")[text]


def plans(visit: Visit, found: Sequence[Plan]) -> h.Element:
    items = [
        h.li[
            told(visit, one.words),
            None if one.at is None else [" ", moment(visit, one.at)],
        ]
        for one in found
    ]
    return h.section(aria_labelledby="next")[h.h2("#next")[visit.say("payment.next")], h.ul[items]]


def timeline(visit: Visit, story: Sequence[TimelineLine]) -> h.Element:
    items = [
        h.li[
            moment(visit, line.at),
            h.div[
                told(visit, line.words),
                h.small[" ", visit.say("payment.times", count=f"{line.count:,}")] if line.count > 1 else None,
            ],
        ]
        for line in story
    ]
    return h.section(aria_labelledby="timeline")[
        h.h2("#timeline")[visit.say("payment.timeline")], h.ol(".timeline")[items]
    ]


def attempts(visit: Visit, payment: Payment, found: Sequence[Payment]) -> h.Node:
    if payment.order_ref is None:
        return None
    caption, empty = visit.say("payment.attempts.caption", order=payment.order_ref), visit.say("payment.attempts.none")
    return h.section(aria_labelledby="attempts")[
        h.h2("#attempts")[visit.say("payment.attempts")], payment_rows(visit, caption, found, {}, empty=empty)
    ]


def acts(visit: Visit, found: Sequence[RecordedAct]) -> h.Element:
    """Notes, and everything else that people did about this payment, the newest first."""
    columns = [Column(f"payment.a.{name}") for name in ("action", "at", "who", "why")]
    rows = [(act_words(visit, one.action), moment(visit, one.at), one.origin.actor, one.why or "") for one in found]
    return h.section(aria_labelledby="acts")[
        h.h2("#acts")[visit.say("payment.acts")],
        table(visit, visit.say("payment.acts.caption"), columns, rows, empty=visit.say("payment.acts.none")),
    ]


def callbacks(visit: Visit, payment: Payment, entries: Sequence[Entry]) -> h.Node:
    """The callbacks that were received, for an auditor, who may see what they carried."""
    if visit.operator.role not in REVEALING:
        return None
    own = (Source.OPERATOR, Source.SWEEP)
    claims = [one for one in entries if one.kind is EntryKind.CLAIM and one.data.get("source") not in own]
    items = [
        h.li[
            h.a(href=f"/payments/{payment.id}/callback?claim={one.data['claim_id']}")[
                visit.say("callback.of", source=str(one.data["source"]))
            ],
            " ",
            moment(visit, one.at),
        ]
        for one in claims[-_MOST_CALLBACKS:][::-1]
        if "claim_id" in one.data
    ]
    return h.section(aria_labelledby="callbacks")[
        h.h2("#callbacks")[visit.say("callback.list")],
        h.ul[items] if items else h.p(".quiet")[visit.say("callback.none")],
    ]
