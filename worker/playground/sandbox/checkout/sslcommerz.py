"""SSLCOMMERZ's checkout: one panel with wallets and cards; its browser goes back by a form that posts itself."""

from __future__ import annotations

from worker.playground.sandbox.checkout.shape import CheckoutLook
from worker.playground.sandbox.checkout.wallet_steps import PICKER, SPECIALS, wallet_steps

STYLE = (
    PICKER
    + """
body{--back:#e8eef5;--ink:#14263b;--focus:#0b4f9c}
main{max-width:27rem;margin-top:1.5rem;background:#fff;border-top:6px solid #0b4f9c;box-shadow:0 2px 18px #14263b26}
.brand{padding:1.1rem 1.5rem .25rem;font-weight:800;letter-spacing:.02em}
.brand b{color:#0b4f9c}
.order{margin:.5rem 1.5rem 0;padding:.9rem 1rem;background:#eef3f9;border-radius:6px}
.amount{font-size:1.75rem}
.order dl{font-size:.875rem}
.act{padding:1.25rem 1.5rem 1.5rem}
.tiles a:hover{background:#eef3f9}
.lead a{color:#0b4f9c}
.go{background:#0b4f9c;color:#fff}
.go:hover{background:#083c78}
.back{background:none;color:#9b1c1c;border:1px solid #9b1c1c}
@media(max-width:28rem){main{margin:0;box-shadow:none}}
"""
)

LOOK = CheckoutLook(
    title="SSLCOMMERZ checkout",
    brand="<b>SSL</b>COMMERZ",
    style=STYLE,
    about="product_name",
    steps=wallet_steps("cus_phone", "কীভাবে টাকা দেবেন, বেছে নিন"),
    specials=SPECIALS,
    foot="SSLCOMMERZ · simulated",
)
