"""Dead letters of the table: listed, shown masked, replayed by an operator, dropped by an approver.

Those at RabbitMQ are not read from here: a reader takes them from their queue, so `payproof dead` alone does it. A
reply of a gateway is recorded by `payproof dead replay`, as the console writes no payment.
"""

from __future__ import annotations

from contextlib import aclosing

import htpy as h
import msgspec
from aiohttp import web

from schemas.audit import AuditRecord
from worker.console.acted import act_of
from worker.console.elements import Column, confirm_field, facts, form, moment, table, text_field
from worker.console.layout import error_page, missing, page, see_other
from worker.console.payment_parts import payment_link
from worker.console.route_table import APPROVING, may_act
from worker.console.visit import Visit
from worker.dead_letters import CheckedOut, NotReplayed, account_of, not_to_be_replayed, shown_letter
from worker.postgres.queue.dead_table import PostgresDead

MOST = 100
MOST_LOOKED_AT = 5_000
"""So many letters are looked at for those that the operator sees: all of them could be of another merchant."""

LONGEST_REASON = 500
_COLUMNS = (
    Column("dead.letter"),
    Column("dead.kind"),
    Column("dead.since"),
    Column("deliveries.payment"),
    Column("dead.reason"),
)


async def show_dead_letters(visit: Visit) -> web.StreamResponse:
    letters, more, cut, looked_at = list[CheckedOut](), False, False, 0
    async with aclosing(PostgresDead(visit.database).read()) as reading:
        async for opened in reading:
            if cut := looked_at == MOST_LOOKED_AT:
                break
            looked_at += 1
            if not _sees(visit, opened):
                continue
            if more := len(letters) == MOST:
                break
            letters.append(opened)
    at_broker = visit.context.config.settings.amqp_url is not None
    return page(
        visit,
        visit.say("nav.dead"),
        h.p(".lead")[visit.say("dead.some" if letters or cut else "dead.none", count=len(letters))],
        h.p(".note")[visit.say("dead.cut", count=f"{MOST_LOOKED_AT:,}")] if cut else None,
        h.p(".note")[visit.say("dead.at_broker")] if at_broker else None,
        table(
            visit,
            visit.say("dead.table"),
            _COLUMNS,
            (_row(visit, one) for one in letters),
            empty=visit.say("none") if cut else visit.say("dead.none", count=0),
        ),
        h.p(".quiet")[visit.say("dead.more", count=MOST)] if more else None,
    )


async def show_dead_letter(visit: Visit) -> web.StreamResponse:
    opened = await _letter(visit)
    if opened is None:
        return missing(visit)
    one, path = opened.letter, f"/dead-letters/{opened.tag}"
    stays = _why_it_stays(visit, opened)
    drops = visit.operator.role in APPROVING
    return page(
        visit,
        visit.say("dead.title"),
        facts(
            visit,
            ("dead.letter", h.code[one.id]),
            ("dead.kind", visit.say(f"dead.kind.{one.kind}", gateway=one.provider)),
            ("dead.since", moment(visit, one.since)),
            ("deliveries.payment", payment_link(one.payment_id) if one.payment_id else None),
            ("dead.reason", one.reason),
        ),
        h.p(".note")[visit.say("dead.stays", why=stays)] if stays else None,
        form(visit, f"{path}/replay", h.button[visit.say("dead.replay")], kind="inline")
        if may_act(visit) and not stays
        else None,
        h.h2[visit.say("dead.holds")],
        h.pre[msgspec.json.format(msgspec.json.encode(shown_letter(opened)), indent=2).decode()],
        (
            h.h2[visit.say("dead.drop")],
            h.p[visit.say("dead.drop.means")],
            form(
                visit,
                f"{path}/drop",
                text_field(visit, "dead.why", "why", required=True, most=LONGEST_REASON),
                confirm_field(visit, f"{path}/drop"),
                h.button(".danger")[visit.say("dead.drop")],
            ),
        )
        if drops
        else None,
    )


async def replay_dead_letter(visit: Visit) -> web.StreamResponse:
    opened = await _letter(visit)
    if opened is None:
        return missing(visit)
    if why := _why_it_stays(visit, opened):
        return error_page(visit, 409, "dead_stays", "dead.stays", why=why)
    try:
        await PostgresDead(visit.database).replay(opened, _record(visit, "dead_letter.replayed", opened))
    except NotReplayed as failed:
        return error_page(visit, 409, "dead_stays", "dead.stays", why=failed)
    return see_other("/dead-letters")


async def drop_dead_letter(visit: Visit) -> web.StreamResponse:
    opened, why = await _letter(visit), visit.field("why")
    if opened is None:
        return missing(visit)
    if not why:
        return error_page(visit, 422, "dead_stays", "dead.why_missing")
    record = _record(visit, "dead_letter.dropped", opened, why=why[:LONGEST_REASON])
    await PostgresDead(visit.database).drop(opened, record)
    return see_other("/dead-letters")


def _row(visit: Visit, opened: CheckedOut) -> tuple[h.Node, ...]:
    one = opened.letter
    return (
        h.a(".id", href=f"/dead-letters/{opened.tag}")[one.id],
        visit.say(f"dead.kind.{one.kind}", gateway=one.provider),
        moment(visit, one.since),
        payment_link(one.payment_id) if one.payment_id else "",
        one.reason,
    )


async def _letter(visit: Visit) -> CheckedOut | None:
    """The letter of the path; None where there is none that the operator sees."""
    place = visit.request.match_info["letter"]
    if not place.isascii() or not place.isdigit() or len(place) > 18:
        return None
    opened = await PostgresDead(visit.database).find(int(place))
    return opened if opened is not None and _sees(visit, opened) else None


def _sees(visit: Visit, opened: CheckedOut) -> bool:
    """Whether the operator may see it: one that names no account is for operators of all merchants."""
    account = visit.context.config.account(account_of(opened) or "")
    return visit.operator.merchants is None or (account is not None and visit.operator.sees(account.merchant))


def _why_it_stays(visit: Visit, opened: CheckedOut) -> str | None:
    """Why it cannot be replayed from here; None if it can."""
    if opened.letter.kind == "reply":
        return visit.say("dead.by_command", letter=opened.letter.id)
    return not_to_be_replayed(opened.letter, {one.provider.name for one in visit.context.config.accounts})


def _record(visit: Visit, action: str, opened: CheckedOut, why: str | None = None) -> AuditRecord:
    account = visit.context.config.account(account_of(opened) or "")
    merchant = account.merchant if account else None
    return act_of(visit, action, opened.letter.id, merchant=merchant, payment_id=opened.letter.payment_id, why=why)
