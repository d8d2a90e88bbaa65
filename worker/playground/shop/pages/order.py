"""One order's page: what the browser brought, what the shop believes, possible actions, and the timeline.

The outcome is the shop's own, from events alone. The timeline is payproof's. What the browser brought stands apart and
changes neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from msgspec import Struct

from worker.playground.shop.books import Believed, Event
from worker.playground.shop.client import Document
from worker.playground.shop.pages.beliefs import outcome_shown, word
from worker.playground.shop.pages.frame import respond, shop_page
from worker.playground.shop.pages.markup import Html, html, joined
from worker.playground.shop.pages.order_timeline import timeline
from worker.playground.shop.return_signature import Return

NOTHING = Html("")
_PAGE = """<p class="soft"><a href="/orders">Orders</a> / {order}</p>
<h1>{description}</h1>{notice}
<div class="two"><div class="beside">{parts}{brought}</div>
<section class="card steps-card" aria-labelledby="steps-title">
<div class="head"><h2 id="steps-title">The proof, step by step</h2>
<span id="live">As of now</span></div>{trouble}<ol class="steps" id="steps">{steps}</ol></section></div>"""
_LIVE = '<!doctype html><title>{title}</title>{parts}<ol id="steps">{steps}</ol>'
_PARTS = """<section id="outcome" class="card outcome {tone}" aria-live="polite">{outcome}</section>
<section id="actions" class="card" aria-label="What you can do">{actions}</section>
<section id="attempts" class="card" aria-label="Attempts">{attempts}</section>"""
_OUTCOME = """<h2>{title}</h2><p>{text}</p><dl><dt>Status</dt><dd>{status}{hold}</dd><dt>Amount</dt><dd>{amount}</dd>
<dt>Gateway</dt><dd>{gateway}</dd><dt>Transaction</dt><dd>{transaction}</dd>
<dt>Event</dt><dd>{type}, version {version}, {way}</dd></dl>"""
_BROUGHT = """<section class="card brought"><h2>What your browser brought</h2>
<p>It came back saying <b>{status}</b>. {verdict}</p>
<p class="soft">The shop shows it and does not act on it.</p></section>"""
_VERDICTS = {
    "right": "The signature is Payproof's: it verified this word once.",
    "wrong": "The signature is wrong: somebody wrote this address by hand.",
    "missing": "There is no signature: anyone could have written this address.",
    "unchecked": "The shop has no secret to check the signature by.",
}
_BUTTON = '<form method="post" action="/orders/{reference}/{does}"><button id="do-{does}">{label}</button></form>'
_RESOLVE = """<details><summary id="resolve">Resolve it, as a person</summary>
<form method="post" action="/orders/{reference}/resolve"><input type="hidden" name="version" value="{version}">
<div class="field"><label for="status">It was</label><select id="status" name="status">
<option value="completed">completed: the money is there</option>
<option value="failed">failed: there is no money</option>
</select></div><div class="field"><label for="reason">Because</label>
<input type="text" id="reason" name="reason" required maxlength="200" value="Seen in the gateway's own panel"></div>
<button id="do-resolve">Resolve</button></form></details>"""
_ATTEMPT = '<p><a href="/orders/{reference}"{here}>{reference}</a> <span class="pill {tone}">{status}</span></p>'


class Shown(Struct, frozen=True, kw_only=True):
    """The data of the page. `entries` is None while payproof cannot be asked for them."""

    believed: Believed
    shipped: Event | None
    attempts: Sequence[Believed]
    entries: Sequence[Document] | None
    gateway: str


def order_page(shown: Shown, brought: Return | None, *, notice: str | None = None, status: int = 200) -> web.Response:
    payment = shown.believed.payment
    body = html(
        _PAGE,
        order=shown.believed.order,
        description=payment.description,
        notice=NOTHING if notice is None else html('<div class="notice" role="alert"><p>{it}</p></div>', it=notice),
        parts=_parts(shown),
        brought=_brought(brought),
        trouble=_trouble(payment.metadata.get("trouble")),
        steps=_steps(shown),
    )
    return shop_page(_title(shown), body, script="live.js", status=status)


def live(shown: Shown) -> web.Response:
    """The parts of the page that may have changed, for its script to compare."""
    return respond(html(_LIVE, title=_title(shown), parts=_parts(shown), steps=_steps(shown)))


def _title(shown: Shown) -> str:
    return f"{outcome_shown(shown.believed, shown.shipped).title}: {shown.believed.payment.reference}"


def _parts(shown: Shown) -> Html:
    found = outcome_shown(shown.believed, shown.shipped)
    payment = shown.believed.payment
    said = html(
        _OUTCOME,
        title=found.title,
        text=found.text,
        status=payment.status,
        hold=f", held: {payment.hold}" if payment.hold else "",
        amount=f"{payment.amount} {payment.currency}",
        gateway=shown.gateway,
        transaction=payment.transaction_id or "none yet",
        type=shown.believed.event.type,
        version=payment.version,
        way={"feed": "read from /v1/events", "webhook": "by a webhook"}[shown.believed.way],
    )
    attempts = joined(_attempt(one, shown) for one in shown.attempts)
    heading = html("<h2>{text}</h2>", text="Attempts to pay this order")
    return html(_PARTS, tone=found.tone, outcome=said, actions=_actions(shown), attempts=joined([heading, attempts]))


def _actions(shown: Shown) -> Html:
    """The actions that make sense now. The shop knows no more than that: payproof or the gateway may still refuse."""
    payment, url = shown.believed.payment, shown.believed.payment.checkout_url or ""
    buttons = []
    # A buyer who paid, or may have paid, is not asked to pay again.
    unpaid = shown.shipped is None and payment.hold is None
    if unpaid and payment.status == "pending" and url.startswith(("https://", "http://")):
        buttons.append(html('<a class="button main" href="{url}">Go to the checkout</a>', url=url))
    wanted = [("verify", "Verify now")]
    if payment.status == "completed":
        wanted.append(("refund", "Refund at the gateway"))
    if unpaid and payment.order is not None:
        wanted.append(("again", "Pay in another attempt"))
    buttons += [html(_BUTTON, reference=payment.reference, does=does, label=label) for does, label in wanted]
    row = html('<div class="row">{buttons}</div>', buttons=joined(buttons))
    if payment.hold is None:
        return row
    return joined([row, html(_RESOLVE, reference=payment.reference, version=payment.version)])


def _attempt(one: Believed, shown: Shown) -> Html:
    here = Html(' aria-current="page"') if one is shown.believed else ""
    tone = outcome_shown(one, shown.shipped).tone
    return html(_ATTEMPT, reference=one.payment.reference, here=here, tone=tone, status=word(one))


def _brought(brought: Return | None) -> Html:
    if brought is None:
        return NOTHING
    return html(_BROUGHT, status=brought.status or "nothing", verdict=_VERDICTS[brought.verdict])


def _trouble(script: str | None) -> Html:
    if not script:
        return NOTHING
    return html('<p class="soft">You asked for trouble: <b>{name}</b>.</p>', name=script.replace("_", " "))


def _steps(shown: Shown) -> Html:
    if shown.entries is None:
        return html('<li class="other"><p>{text}</p></li>', text="Payproof cannot be asked for the timeline just now.")
    return timeline(shown.entries, shown.believed.payment.opened_at)
