"""The first page: what is bought, through which gateway, and what shall go wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web
from msgspec import Struct

from worker.playground.shop.pages.frame import shop_page
from worker.playground.shop.pages.markup import Html, html, joined
from worker.playground.shop.shop_config import Account
from worker.playground.shop.simulator import Script

NOTHING = Html("")
_FORM = """<h1>Buy some tea, and watch the money be proven</h1>
<p class="lead">You order here, pay at a simulated gateway, and come back. What your browser says on its return is only
a hint: this shop ships when Payproof has asked the gateway and sent the event.</p>
{notice}
<div class="two wide"><form class="card" method="post" action="/orders">
<div class="field"><label for="description">What</label>
<input type="text" id="description" name="description" value="{description}" maxlength="255" required{description_bad}>
{description_wrong}</div>
<div class="field"><label for="amount">Amount in taka</label>
<input type="text" id="amount" name="amount" value="{amount}" inputmode="decimal" autocomplete="off"
required{amount_bad}>
{amount_wrong}</div>
<fieldset{account_bad}><legend>Pay with</legend><div class="pick">{accounts}</div>{account_wrong}</fieldset>
<div class="field"><label for="trouble">What shall go wrong</label>
<select id="trouble" name="trouble"{trouble_bad}>{troubles}</select>
{trouble_wrong}<p class="hint" id="trouble-about" aria-live="polite">Set at the sandbox before you pay; a real gateway
does such things by itself.</p></div>
<button class="main">Place the order and pay</button>
</form>
<aside><div class="card"><h2>What you will see</h2>
<p><b>Claims</b>: somebody says that you paid. Nobody is believed.</p>
<p><b>Questions and answers</b>: Payproof asks the gateway itself.</p>
<p><b>Decisions</b>: does the answer fit the order, its amount, its currency?</p>
<p><b>Events</b>: what is written to the log; this shop acts on each once.</p></div>
<p class="soft">This shop is a small client of Payproof's public API; its code is in
<code>worker/playground/shop</code>.
The simulated gateways are moved by <a href="/_control">their control API</a>.</p></aside></div>"""
_ACCOUNT = """<label><input type="radio" name="account" value="{id}" data-provider="{provider}"{checked}><b>{name}</b>
<small>{about}</small></label>"""
_FITS = ' data-title="{title}" data-fits="{gateways}"'
_TROUBLE = """<option value="{script}" data-what="{what}"{fits}{selected}>{label}</option>"""


class Form(Struct, frozen=True, kw_only=True):
    """The form as it was filled in, and its errors by field; the empty name is for the order as a whole."""

    description: str = "Two kilos of first-flush tea"
    amount: str = "1500.50"
    account: str = ""
    trouble: str = ""
    wrong: Mapping[str, str] = {}


def catalogue(accounts: Sequence[Account], scripts: Sequence[Script], form: Form, *, status: int = 200) -> web.Response:
    fields = ("description", "amount", "account", "trouble")
    wrong = {f"{name}_wrong": _wrong(name, form.wrong.get(name)) for name in fields}
    bad = {f"{name}_bad": _error_attributes(name, form) for name in fields}
    chosen = form.account or accounts[0].id
    body = html(
        _FORM,
        notice=_notice(form),
        description=form.description,
        amount=form.amount,
        accounts=joined(_account(account, checked=account.id == chosen) for account in accounts),
        troubles=joined([_no_trouble(), *(_trouble(one, accounts, form.trouble) for one in scripts)]),
        **wrong,
        **bad,
    )
    return shop_page("New order", body, script="catalogue.js", status=status)


def _notice(form: Form) -> Html:
    if not form.wrong:
        return NOTHING
    general = form.wrong.get("", "Please look at what is marked below.")
    return html('<div class="notice" role="alert"><p><b>No order was placed.</b> {text}</p></div>', text=general)


def _error_attributes(name: str, form: Form) -> Html:
    """The attributes that mark a wrong field, and name its error and its hint to screen readers."""
    wrong = name in form.wrong
    told = " ".join([*([f"{name}-wrong"] if wrong else []), *(["trouble-about"] if name == "trouble" else [])])
    described = f' aria-describedby="{told}"' if told else ""
    return Html((' aria-invalid="true"' if wrong else "") + described)


def _wrong(name: str, text: str | None) -> Html:
    return NOTHING if text is None else html('<p class="wrong" id="{name}-wrong">{text}</p>', name=name, text=text)


def _account(account: Account, *, checked: bool) -> Html:
    return html(
        _ACCOUNT,
        id=account.id,
        provider=account.provider,
        name=account.name,
        about=account.about,
        checked=" checked" if checked else "",
    )


def _no_trouble() -> Html:
    what = "The gateway behaves: you pay, and come back."
    return html(_TROUBLE, script="", what=what, fits="", label="Nothing", selected="")


def _trouble(script: Script, accounts: Sequence[Account], chosen: str) -> Html:
    """Where no script runs, the label names the gateways that the trouble fits."""
    providers = {account.provider for account in accounts}
    fitting = [account.name for account in accounts if account.provider in script.gateways]
    everywhere = providers <= set(script.gateways)
    return html(
        _TROUBLE,
        script=script.script,
        what=script.what,
        fits="" if everywhere else html(_FITS, title=script.title, gateways=" ".join(script.gateways)),
        label=script.title if everywhere else f"{script.title} ({', '.join(fitting)})",
        selected=" selected" if script.script == chosen else "",
    )
