"""Parts that many pages have: tables that a phone can show, forms with their session's token, times and amounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from urllib.parse import quote

import htpy as h
from msgspec import Struct

from worker.console.visit import Guest, Visit
from worker.runtime.zone import DHAKA

Cells = Sequence[h.Node]


class Column(Struct, frozen=True):
    """A column by the key of its heading's words. `number`: its values stand to the right."""

    key: str
    number: bool = False


def table(
    visit: Guest,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Cells],
    *,
    empty: str,
    narrow: bool = False,
) -> h.Renderable:
    """A table whose rows are cards on a phone. The first cell of a row heads it; `empty` is said where there is none.

    Rows that come from a generator are made while the page is written.

    `caption` and `empty` are texts, not keys. `narrow`: the table fits on a phone as it is.
    """
    names = [visit.say(column.key) for column in columns]
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return h.p(".quiet")[empty]
    body = (_row(names, columns, cells) for cells in chain([first], rows))
    # The roles are said because a browser takes them from a table that is shown as blocks.
    head = h.thead(role="rowgroup")[
        h.tr(role="row")[
            [
                h.th(class_="n" if column.number else None, scope="col", role="columnheader")[name]
                for column, name in zip(columns, names, strict=True)
            ]
        ]
    ]
    return h.table(class_="narrow" if narrow else "stacks", role="table")[
        h.caption[caption], head, h.tbody(role="rowgroup")[body]
    ]


def _row(names: Sequence[str], columns: Sequence[Column], cells: Cells) -> h.Element:
    made = []
    for index, (name, column, cell) in enumerate(zip(names, columns, cells, strict=True)):
        if cell is None or cell == "":
            made.append(h.td(role="cell"))
            continue
        kind, role = (h.th, "rowheader") if index == 0 else (h.td, "cell")
        scope = "row" if index == 0 else None
        made.append(kind(class_="n" if column.number else None, scope=scope, role=role, data_name=name)[h.div[cell]])
    return h.tr(role="row", data_row=True)[made]


def facts(visit: Guest, *pairs: tuple[str, h.Node]) -> h.Element:
    """A list of terms, by the keys of their words, and values. A value of None is left out."""
    return h.dl(".facts")[[(h.dt[visit.say(key)], h.dd[value]) for key, value in pairs if value is not None]]


def form(visit: Visit, action: str, *content: h.Node, kind: str = "stacked", files: bool = False) -> h.Element:
    """A form that changes something: it is posted, with its session's token."""
    enctype = "multipart/form-data" if files else None
    token = h.input(type="hidden", name="token", value=visit.form_token)
    return h.form(class_=kind, method="post", action=action, enctype=enctype)[token, content]


def confirm_field(visit: Visit, action: str, anchor: str = "confirm") -> h.Fragment:
    """The field for the password or a code, in the form of a route that `confirms`; `action` is the form's.

    With an identity provider there is also a way to sign in there again, in another tab: the form stays as it is.
    `anchor`: the id of the field, another one for each of several forms on a page.
    """
    oidc, operator = visit.context.operators.console.oidc, visit.operator
    own = oidc is None or operator.password is not None or operator.totp is not None
    words = visit.say("confirm" if oidc is None or operator.password is not None else "confirm.code")
    return h.fragment[
        own
        and (
            h.label(for_=anchor)[words],
            h.input(
                f"#{anchor}", type="password", name="confirm", required=oidc is None, autocomplete="current-password"
            ),
        ),
        oidc is not None
        and h.p[
            h.a(href=f"/confirm?act={quote(action, safe='')}", target="_blank", rel="noopener")[
                visit.say("confirm.or_provider" if own else "confirm.provider", host=oidc.host)
            ]
        ],
    ]


def text_field(
    visit: Guest,
    key: str,
    name: str,
    value: str = "",
    *,
    kind: str = "text",
    required: bool = False,
    most: int | None = None,
) -> h.Fragment:
    """A field with its label, by the key of the label's words. `most`: its length in characters."""
    return h.fragment[
        h.label(for_=name)[visit.say(key)],
        h.input(
            f"#{name}",
            type=kind,
            name=name,
            value=value or None,
            required=required,
            maxlength=None if most is None else str(most),
            autocomplete="off",
        ),
    ]


def moment(visit: Guest, at: datetime | None) -> h.Node:
    """A time in Dhaka, with UTC beside it; the day is in both."""
    if at is None:
        return visit.say("none")
    there, here = at.astimezone(DHAKA), at.astimezone(UTC)
    same_day = there.date() == here.date()
    utc = f"{here:%H:%M:%S}" if same_day else f"{here:%Y-%m-%d %H:%M:%S}"
    return h.time(datetime=f"{here:%Y-%m-%dT%H:%M:%SZ}")[f"{there:%Y-%m-%d %H:%M:%S} ", h.small[f"{utc} UTC"]]


def taka(visit: Guest, amount: Decimal | None) -> str:
    """An amount in taka, grouped as in South Asia: 12,34,567.50."""
    if amount is None:
        return visit.say("none")
    whole, _, part = f"{abs(amount):.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    sign = "-" if amount < 0 else ""
    return visit.say("taka", amount=f"{sign}{','.join([*groups, tail])}.{part}")


def amount_of(visit: Guest, amount: Decimal, currency: str) -> str:
    """An amount in any currency; taka are grouped, and written as in every other place."""
    return taka(visit, amount) if currency == "BDT" else f"{amount:,.2f} {currency}"


def age(visit: Guest, seconds: float) -> str:
    """How long ago, in the largest unit that fits: `3 min`."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= length:
            return visit.say(f"age.{unit}", count=int(seconds // length))
    return visit.say("age.seconds", count=max(0, int(seconds)))
