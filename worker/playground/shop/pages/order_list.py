"""All orders, newest first, as the shop's books have them; and the page for an order that is not in them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from worker.playground.shop.books import Believed, Books, Event
from worker.playground.shop.pages.beliefs import outcome_shown, paid_by, word
from worker.playground.shop.pages.frame import shop_page
from worker.playground.shop.pages.markup import Html, html, joined

PER_PAGE = 20
_PAGE = """<h1>Orders</h1><p class="lead">What this shop knows, from events alone. Nothing is kept: when it starts, it
reads them all again.</p>{notice}<div class="card">{table}</div><div class="row">{newer}{older}</div>"""
_TABLE = """<table><thead><tr><th>Order</th><th class="num">Amount</th><th>Gateway</th><th>Status</th><th>Shipped</th>
</tr></thead><tbody>{rows}</tbody></table>"""
_ROW = """<tr><td><a href="/orders/{reference}">{description}</a><small>{reference}</small></td>
<td class="num">{amount}</td><td>{gateway}</td>
<td><span class="pill {tone}">{status}</span></td><td>{shipped}</td></tr>"""
_UNKNOWN = """<h1>No such order</h1><p>No event has named <code>{reference}</code> so far. {trouble}</p>
<p><a href="/orders">All orders</a></p>"""
_LINK = '<a class="button" href="/orders?page={number}">{text}</a>'


def orders_page(books: Books, names: Mapping[str, str], number: int, trouble: str | None) -> web.Response:
    """`names` are the gateways' by account, `number` counts pages from 1."""
    payments = books.newest_first()
    first = (number - 1) * PER_PAGE
    shown = payments[first : first + PER_PAGE]
    rows = joined(_row(one, books, names) for one in shown)
    body = html(
        _PAGE,
        notice="" if trouble is None else html('<div class="notice"><p>{it}</p></div>', it=trouble),
        table=html(_TABLE, rows=rows) if rows else html("<p>{it}</p>", it="No orders yet."),
        newer=html(_LINK, number=number - 1, text="Newer") if number > 1 else "",
        older=html(_LINK, number=number + 1, text="Older") if len(payments) > first + PER_PAGE else "",
    )
    return shop_page("Orders", body, script="again.js")


def unknown_page(reference: str, trouble: str | None) -> web.Response:
    body = html(_UNKNOWN, reference=reference, trouble=trouble or "")
    return shop_page("No such order", body, script="again.js", status=404)


def _row(one: Believed, books: Books, names: Mapping[str, str]) -> Html:
    payment, shipped = one.payment, books.shipped.get(one.order)
    return html(
        _ROW,
        reference=payment.reference,
        description=payment.description.strip() or payment.reference,
        amount=f"{payment.amount} {payment.currency}",
        gateway=names.get(payment.account, payment.account),
        tone=outcome_shown(one, shipped).tone,
        status=word(one),
        shipped=_shipped(one, shipped),
    )


def _shipped(one: Believed, shipped: Event | None) -> str:
    if shipped is None:
        return "not shipped"
    return f"shipped {shipped.time[11:19]} UTC" if paid_by(one, shipped) else f"see {shipped.data.reference}"
