"""Draws a checkout: the sandbox's strip, the gateway's brand, the order, the step, and a developer's controls.

Deeds are buttons of one empty form (`formaction`), apart from the step's own form, so that Enter in a field always
presses the step's button and never Cancel.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import sha256
from html import escape

from aiohttp import web

from worker.playground.sandbox.checkout.checkout_style import BASE
from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Step, View
from worker.playground.sandbox.simulated_gateway import WayBack
from worker.playground.sandbox.times import DHAKA

_AT_THE_END = "setTimeout(() => location.replace(document.body.dataset.to), document.body.dataset.left * 1000);"
_AT_ONCE = "document.getElementById('back').submit();"
COUNTED_SECONDS = 3600  # of a longer wait only the end is shown
_FOOT = "Simulated by Payproof's sandbox"  # once the checkout is over, the gateway's own words no longer hold
_SHOWN = 300  # characters of a text that a shop chose


def checkout_page(
    look: CheckoutLook,
    view: View,
    act: str,
    controls: str,
    *,
    over: bool = False,
    leaves: bool = False,
    status: int = 200,
) -> web.Response:
    """The whole document around `act`. While the checkout is open it looks again when the time is over.

    A script does that. Browsers without scripts have a link, as a page must not reload under a person's hands. A page
    that `leaves` sends the form with the id `back` at once; without scripts the form's button does.
    """
    session = view.session
    watch = not over and view.left <= COUNTED_SECONDS
    left = f' data-left="{int(view.left) + 1}" data-to="{view.to()}"' if watch else ""
    script = _AT_ONCE if leaves else _AT_THE_END
    run = f"<script>{script}</script>" if watch or leaves else ""
    link = f'<noscript><p><a href="{view.to()}">Look again</a></p></noscript>' if watch else ""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(look.title)} (sandbox)</title><style>{BASE}{look.style}</style></head><body{left}>"
        f'<p class="sandbox"><strong>Sandbox:</strong> no real money moves</p>{_scripted(view)}'
        f'<main><header class="brand">{look.brand}</header>{_order(look, view, over=over)}'
        f'<section class="act{" over" if over else ""}">{act}{link}</section></main>'
        f'<p class="foot">{escape(_FOOT if over else look.foot)}</p>'
        f'<aside class="controls" aria-labelledby="controls"><h2 id="controls">Sandbox controls</h2>{controls}'
        f'<p class="address">{escape(session.session_id)} · {escape(session.amount)} {escape(session.currency)} · '
        f"{session.status}</p></aside>"
        f'<form id="deeds" method="post" action="{view.to()}"></form>{run}</body></html>'
    )
    return web.Response(text=html, status=status, content_type="text/html", headers=_headers(script))


def posting_form(back: WayBack, label: str, *, name: str = "") -> str:
    """The form whose button posts the way back to the shop."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(field)}" value="{escape(value)}">'
        for field, value in (back.form or {}).items()
    )
    mark = f' id="{name}"' if name else ""
    return f'<form{mark} method="post" action="{escape(back.url)}">{hidden}<button class="go">{label}</button></form>'


def step_html(look: CheckoutLook, step: Step, view: View) -> str:
    """The step's form, filled in; the entries of earlier steps travel along hidden."""
    cancel = deed(view, "cancel", "Cancel and return", mark="back")
    head = (
        f"{step.above(view)}{f'<p class=stage>Step {escape(step.stage)}</p>' if step.stage else ''}"
        f"<h1>{escape(step.title)}</h1>{step.lead(view)}"
        f"{f'<p class=refused role=alert>{escape(view.refused)}</p>' if view.refused else ''}"
    )
    if not step.button:
        return f'{head}<div class="buttons">{cancel}</div>'
    here = {field.name for field in step.fields}
    known = dict.fromkeys(field.name for field in look.fields())
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(view.entered[name])}">'
        for name in known
        if name in view.entered and name not in here
    )
    fields = "".join(_field(field, view) for field in step.fields)
    go = f'<button class="go">{escape(step.button).format(amount=view.amount)}</button>'
    buttons = (cancel, go) if look.cancel_first else (go, cancel)
    return (
        f'{head}<form method="post" action="{view.to(step.to)}" autocomplete="off">'
        f'<input type="hidden" name="at" value="{step.name}">{hidden}<div class="fields">{fields}'
        f'</div><div class="buttons">{"".join(buttons)}</div></form>'
    )


def deed(view: View, does: str, label: str, *, mark: str = "") -> str:
    return (
        f'<button form="deeds" formaction="{view.to(does)}"{f" class={mark}" if mark else ""}>{escape(label)}</button>'
    )


def _headers(script: str) -> dict[str, str]:
    hashed = base64.b64encode(sha256(script.encode()).digest()).decode()
    return {
        "Cache-Control": "no-store",
        # A browser applies form-action to the redirect after a POST too, and the way back leads to a shop anywhere.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{hashed}'; base-uri 'none'; "
        "form-action 'self' http: https:; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _field(field: CheckoutField, view: View) -> str:
    told = f' aria-describedby="{field.name}-hint"' if field.hint else ""
    hint = f'<small class="hint" id="{field.name}-hint">{escape(field.hint)}</small>' if field.hint else ""
    kind = f'type="{"password" if field.secret else "text"}"{" inputmode=numeric" if field.digits else ""}'
    return (
        f'<div class="field{" narrow" if field.narrow else ""}"><label for="{field.name}">{escape(field.label)}</label>'
        f'<input id="{field.name}" name="{field.name}" {kind} value="{view.typed(field)}" maxlength="64" '
        f'autocomplete="off"{told}>{hint}</div>'
    )


def _order(look: CheckoutLook, view: View, *, over: bool) -> str:
    about = str(view.session.body.get(look.about) or "")
    rows = [
        ("Shop", "Sandbox shop"),
        ("Order", _cut(view.session.reference)),
        *([("For", _cut(about))] if about else []),
    ]
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    clock = "" if over else _clock(view)
    return (
        f'<section class="order" aria-label="Your order"><p class="amount">{view.amount}</p><dl>{told}</dl>{clock}'
        "</section>"
    )


def _clock(view: View) -> str:
    """Counts down by style alone; its text names the end for readers who cannot see that."""
    ends = datetime.fromtimestamp(view.session.expires_at, DHAKA)
    at = f'<time datetime="{ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}">{ends:%H:%M:%S}</time>'
    left = int(view.left)
    if left > COUNTED_SECONDS:
        return f'<p class="clock">{left // 3600} h {left % 3600 // 60} min left, until {at} in Dhaka</p>'
    count = f'<b class="count" aria-hidden="true" style="--left:{left};animation-duration:{left}s"></b>'
    return f'<p class="clock">Time left {count} · until {at} in Dhaka</p>'


def _scripted(view: View) -> str:
    if not view.scripted:
        return ""
    return f'<p class="scripted"><strong>Set to go wrong:</strong> {escape(", ".join(view.scripted))}</p>'


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
