"""Moneybag's checkout: tabs for card, mobile wallet and net banking beside a summary of the order."""

from __future__ import annotations

from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View

STYLE = """
body{--back:#eef0f6;--ink:#14213d;--focus:#1d4ed8}
main{max-width:60rem;display:grid;grid-template-columns:1fr 21rem;gap:1.25rem 1.5rem;padding:0 1.5rem 1.5rem}
.brand{grid-column:1/-1;color:#fff;background:#14213d;padding:1rem 0 1.25rem;display:flex;align-items:center;
 justify-content:space-between;border-image:linear-gradient(#14213d calc(100% - 4px),#fbbf24 0) fill 0/0/0 100vw}
.brand b{font:700 1.375rem/1 Georgia,serif}
.brand span{font-size:.8125rem;color:#c3cbe0}
.act{grid-column:1;grid-row:2;background:#fff;border-radius:6px;border:1px solid #d3d8e6;padding:0 1.5rem 1.5rem}
.order{grid-column:2;grid-row:2;align-self:start;background:#fff;border-radius:6px;border:1px solid #d3d8e6;
 padding:1.25rem;display:flex;flex-direction:column}
.order::before{content:"Order summary";font-weight:700;padding-bottom:.5rem}
.order dl{font-size:.9375rem}
.order dl div{padding:.5rem 0;border-top:1px solid #e4e8f2}
.order dt,.clock,.hint{color:#55607a}
.amount{order:1;font-size:1.5rem;border-top:2px solid #14213d;padding:.6rem 0 0;display:flex;
 justify-content:space-between;align-items:baseline}
.amount::before{content:"Total";font-size:1rem}
.clock{order:2}
.tabs{display:flex;list-style:none;margin:0 -1.5rem 1.25rem;border-bottom:1px solid #d3d8e6;background:#f4f5f9}
.tabs li{flex:1}
.tabs a{display:grid;place-items:center;min-height:3.25rem;padding:.4rem;text-decoration:none;text-align:center;
 font-weight:600;color:#3d4963;outline-offset:-4px;line-height:1.2}
.tabs a[aria-current]{background:#fff;color:#14213d;box-shadow:inset 0 -3px #b45309}
.tabs a:hover{color:#000}
.act .lead{color:#55607a;margin:.2rem 0 1rem}
.act.over{padding-top:1.5rem}
.buttons{flex-direction:row}
.go{background:#fbbf24;color:#14213d;flex:1}
.go:hover{background:#f5ab00}
.back{background:#fff;color:#14213d;border:1px solid #7782a0}
input{border-radius:4px}
.foot{color:#55607a}
@media(max-width:46rem){main{display:flex;flex-direction:column;gap:0;padding:0}.brand{padding:.8rem 1.25rem 1rem}
 .order{align-self:auto;border-width:0 0 1px;border-radius:0;padding:.8rem 1.25rem}.order::before{display:none}
 .order dl div{border:0;padding:.1rem 0}.amount{padding:.3rem 0;border-top-width:1px}
 .act{border:0;border-radius:0;padding:0 1.25rem 1.25rem}.tabs{margin:0 -1.25rem 1rem}.buttons{flex-direction:column}}
"""
TABS = (("card", "Card"), ("wallet", "Mobile wallet"), ("bank", "Net banking"))


def _tabs(name: str, view: View) -> str:
    links = (
        f'<li><a href="{view.to(tab)}"{" aria-current=page" if tab == name else ""}>{title}</a></li>'
        for tab, title in TABS
    )
    return f'<nav aria-label="Ways to pay"><ul class="tabs">{"".join(links)}</ul></nav>'


def _step(name: str, title: str, bangla: str, *fields: CheckoutField) -> Step:
    def lead(view: View) -> str:
        del view
        return f'<p class="lead" lang="bn">{bangla}</p>'

    return Step(name=name, title=title, above=partial(_tabs, name), lead=lead, fields=fields, button="Pay {amount}")


LOOK = CheckoutLook(
    title="Moneybag checkout",
    brand="<b>Moneybag</b><span>Payment page</span>",
    style=STYLE,
    about="order_description",
    steps=(
        _step(
            "card",
            "Debit or credit card",
            "ডেবিট বা ক্রেডিট কার্ড",
            CheckoutField(name="card", label="Card number", given="4242 4242 4242 4242", hint="Any card is taken."),
            CheckoutField(name="until", label="Valid until", given="12 / 30", narrow=True),
            CheckoutField(name="secret", label="CVV", given="123", secret=True, narrow=True),
        ),
        _step(
            "wallet",
            "Mobile wallet",
            "মোবাইল ব্যাংকিং",
            CheckoutField(name="number", label="Wallet number", given="01770618575", hint="Any number is taken."),
            CheckoutField(name="pin", label="PIN", given="12345", hint="Any PIN is taken.", secret=True),
        ),
        _step(
            "bank",
            "Net banking",
            "ইন্টারনেট ব্যাংকিং",
            CheckoutField(name="bank", label="Bank", given="Sandbox Bank", digits=False),
            CheckoutField(name="user", label="User id", given="rahima", hint="Any user is taken.", digits=False),
            CheckoutField(name="password", label="Password", given="sandbox", secret=True, digits=False),
        ),
    ),
    specials=(
        Special(field="card", value="4000000000000002", does="fail", says="The bank declines the card."),
        Special(field="pin", value="00000", does="fail", says="The balance is too low."),
        Special(field="password", value="WRONG", does="again", says="User id and password do not fit. Try again."),
    ),
    foot="Moneybag payment page, simulated",
)
