"""EPS's checkout: one sheet with the ways to pay on its left and the chosen one's fields on its right."""

from __future__ import annotations

from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View

STYLE = """
body{--back:#e8f1ec;--ink:#10281d;--focus:#0b6b3a}
main{max-width:46rem;margin-top:1.5rem;background:#fff;border-top:6px solid #0b6b3a;box-shadow:0 6px 26px #0b3a2222;
 display:grid;grid-template-columns:13rem 1fr}
.brand{grid-column:1/-1;padding:1rem 1.5rem;display:flex;justify-content:space-between;align-items:center}
.brand b{font-size:1.375rem;color:#0b6b3a;letter-spacing:.06em}
.brand span{font-size:.8125rem;color:#4a5f54}
.order{grid-column:1/-1;background:#10281d;color:#fff;padding:.9rem 1.5rem;display:grid;grid-template-columns:1fr auto;
 align-items:center;column-gap:1.25rem}
.order dl{font-size:.875rem;grid-row:1;min-width:0}
.order .amount{grid-column:2;grid-row:1;font-size:1.5rem}
.clock{grid-column:1/-1}
.act{grid-column:1/-1;padding:1.25rem 1.5rem 1.5rem}
.ways{display:flex;gap:.5rem;list-style:none;padding:0;margin:0 0 1.25rem}
.ways a{display:block;padding:.6rem .9rem;border:1px solid #6f8a7b;color:#10281d;text-decoration:none;font-weight:600;
 min-height:1.5rem}
.ways a[aria-current]{background:#0b6b3a;border-color:#0b6b3a;color:#fff}
.act .lead,.hint,.foot{color:#4a5f54}
.act .lead{margin:.25rem 0 1rem}
.buttons{flex-direction:row}
.go{background:#0b6b3a;color:#fff;flex:1}
.go:hover{background:#085229}
.back{background:#fff;color:#10281d;border:1px solid #6f8a7b}
@media(max-width:34rem){main{margin-top:0;display:block}.order{display:block}.buttons{flex-direction:column}
 .ways{flex-wrap:wrap}}
"""
WAYS = (("wallet", "Mobile wallet"), ("card", "Card"), ("bank", "Bank account"))


def _ways(name: str, view: View) -> str:
    links = (
        f'<li><a href="{view.to(way)}"{" aria-current=page" if way == name else ""}>{title}</a></li>'
        for way, title in WAYS
    )
    return f'<nav aria-label="Ways to pay"><ul class="ways">{"".join(links)}</ul></nav>'


def _step(name: str, title: str, bangla: str, *fields: CheckoutField) -> Step:
    def lead(view: View) -> str:
        del view
        return f'<p class="lead" lang="bn">{bangla}</p>'

    return Step(name=name, title=title, above=partial(_ways, name), lead=lead, fields=fields, button="Pay {amount}")


LOOK = CheckoutLook(
    title="EPS payment",
    brand="<b>EPS</b><span>Easy Payment System</span>",
    style=STYLE,
    about="productName",
    steps=(
        _step(
            "wallet",
            "Pay from a mobile wallet",
            "মোবাইল ওয়ালেট থেকে দিন",
            CheckoutField(name="number", label="Wallet number", given="01770618575", hint="Any number is taken."),
            CheckoutField(name="pin", label="PIN", given="12345", hint="Any PIN is taken.", secret=True),
        ),
        _step(
            "card",
            "Pay by card",
            "কার্ড দিয়ে দিন",
            CheckoutField(name="card", label="Card number", given="4242 4242 4242 4242", hint="Any card is taken."),
            CheckoutField(name="until", label="Valid until", given="12 / 30", narrow=True),
            CheckoutField(name="secret", label="CVV", given="123", secret=True, narrow=True),
        ),
        _step(
            "bank",
            "Pay from a bank account",
            "ব্যাংক অ্যাকাউন্ট থেকে দিন",
            CheckoutField(name="account", label="Account number", given="1002003004005", hint="Any number is taken."),
            CheckoutField(name="code", label="Code by SMS", given="123456", hint="Any code is taken."),
        ),
    ),
    specials=(
        Special(field="pin", value="11111", does="again", says="The PIN is not right. Please try again."),
        Special(field="pin", value="00000", does="fail", says="The balance is too low."),
        Special(field="card", value="4000000000000002", does="fail", says="The bank declines the card."),
        Special(field="code", value="000000", does="again", says="That code is not the one we sent. Please try again."),
    ),
    foot="Easy Payment System, simulated",
)
