"""iPay's checkout: log in with mobile number and PIN, see the balance, confirm."""

from __future__ import annotations

from decimal import Decimal

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View, shown_money

STYLE = """
body{--back:#f1edfb;--ink:#241a45;--focus:#241a45}
main{max-width:25rem;margin-top:1.5rem;background:#fff;border-radius:26px;overflow:hidden;
 box-shadow:0 14px 44px #3d1f8f33}
.brand,.order{background:#4a23a8;color:#fff;text-align:center}
.brand{padding:1.5rem 1.5rem .25rem;font-size:1.25rem;font-weight:800;letter-spacing:-.02em}
.brand span{font-weight:400;font-size:.875rem;letter-spacing:0;margin-left:.4rem}
.order{padding:.75rem 1.75rem 2.75rem;background:linear-gradient(#4a23a8,#6a35d0)}
.amount{font-size:2.5rem;line-height:1.2}
.order dl{font-size:.875rem}
.order dl div{display:block}.order dt{display:none}.order dd{text-align:center}
.clock{margin-top:.35rem}
.act{background:#fff;border-radius:26px 26px 0 0;margin-top:-1.5rem;position:relative;padding:1.75rem}
.act .lead{color:#5a5470;margin:.25rem 0 1.1rem}
.stage{color:#5b2bbf}
input{border-radius:14px;border-color:#8d83ad;padding:.7rem 1rem}
.hint,.foot{color:#5a5470}
.go{background:#5b2bbf;color:#fff;border-radius:99px;min-height:3.1rem}
.go:hover{background:#441c9c}
.back{background:none;color:#5b2bbf;border-radius:99px}
.back:hover{background:#f1edfb}
.sums{background:#f5f2fd;border-radius:16px;padding:.4rem 1rem;margin:1rem 0 1.25rem}
.sums div{display:flex;justify-content:space-between;padding:.5rem 0;gap:1rem}
.sums div+div{border-top:1px solid #d9d0f2}
.sums dd{font-variant-numeric:tabular-nums;font-weight:600}
.low{color:#a01a1a}
@media(max-width:28rem){main{margin:0;border-radius:0;box-shadow:none}}
"""
NUMBER = CheckoutField(name="number", label="Mobile number", given="01770618575", hint="Any number is taken.")
PIN = CheckoutField(name="pin", label="PIN", given="12345", hint="Any PIN is taken.", secret=True)
LOW = "00000"


def _account(view: View) -> str:
    """A balance that suffices, unless the PIN is that of an account with too little money."""
    amount = Decimal(view.session.amount)
    low = view.entered.get("pin") == LOW
    balance = amount / 2 if low else amount + Decimal("2750.00")
    rows = [("Your balance", shown_money(str(balance), "BDT"), ""), ("This payment", "− " + view.amount, "")]
    rows.append(("Too little by", shown_money(str(amount - balance), "BDT"), "low")) if low else rows.append(
        ("Balance after", shown_money(str(balance - amount), "BDT"), "")
    )
    told = "".join(f'<div class="{mark}"><dt>{name}</dt><dd>{value}</dd></div>' for name, value, mark in rows)
    return (
        f'<p class="lead">Logged in as <b>{view.typed(NUMBER)}</b> · <span lang="bn">আপনার ব্যালেন্স</span></p>'
        f'<dl class="sums">{told}</dl>'
    )


def _login(view: View) -> str:
    del view
    return '<p class="lead" lang="bn">মোবাইল নম্বর ও পিন দিয়ে লগ ইন করুন</p>'


LOOK = CheckoutLook(
    title="iPay payment",
    brand="iPay<span>payment</span>",
    style=STYLE,
    about="description",
    steps=(
        Step(
            name="login",
            title="Log in to pay",
            stage="1 / 2",
            lead=_login,
            fields=(NUMBER, PIN),
            button="Log in",
            to="confirm",
        ),
        Step(name="confirm", title="Confirm the payment", stage="2 / 2", lead=_account, button="Pay {amount}"),
    ),
    specials=(
        Special(field="pin", value="11111", does="again", says="Mobile number and PIN do not fit. Please try again."),
        Special(field="pin", value=LOW, does="fail", says="The balance is too low."),
    ),
    foot="A payment cannot be taken back from here.",
)
