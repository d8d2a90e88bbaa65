"""shurjoPay's checkout: wallets and cards, and back by a redirect that names their order id."""

from __future__ import annotations

from worker.playground.sandbox.checkout.shape import CheckoutLook
from worker.playground.sandbox.checkout.wallet_steps import PICKER, SPECIALS, wallet_steps

STYLE = (
    PICKER
    + """
body{--back:#eef6ef;--ink:#152018;--focus:#14532d}
main{max-width:30rem;margin-top:1.5rem;background:#fff;border-radius:16px;overflow:hidden;border:2px solid #14532d}
.brand{padding:1.1rem 1.5rem 0;font-weight:800;color:#14532d;font-size:1.25rem}
.brand i{font-style:normal;color:#a34100}
.order{padding:.5rem 1.5rem 1rem;border-bottom:2px dashed #b9cdbd}
.amount{font-size:2rem;color:#14532d}
.order dl{font-size:.875rem}
.act{padding:1.25rem 1.5rem 1.5rem}
.tiles a:hover{background:#eef6ef}
.lead a{color:#14532d}
.go{background:#14532d;color:#fff;border-radius:99px}
.go:hover{background:#0d3b1f}
.back{background:none;color:#14532d}
@media(max-width:31rem){main{margin:0;border-radius:0;border:0}}
"""
)

LOOK = CheckoutLook(
    title="shurjoPay checkout",
    brand="shurjo<i>Pay</i>",
    style=STYLE,
    steps=wallet_steps("customer_phone", "যেভাবে টাকা দিতে চান"),
    specials=SPECIALS,
    foot="shurjoPay · simulated",
)
