"""aamarPay's checkout: wallets and cards; back by a form, and after a cancel by a bare visit."""

from __future__ import annotations

from worker.playground.sandbox.checkout.shape import CheckoutLook
from worker.playground.sandbox.checkout.wallet_steps import PICKER, SPECIALS, wallet_steps

STYLE = (
    PICKER
    + """
body{--back:#fff7ec;--ink:#2b2118;--focus:#8a3d00}
main{max-width:44rem;margin-top:1.5rem;display:grid;grid-template-columns:1fr 15rem;background:#fff;
 border:1px solid #e3cfb4;border-radius:10px;overflow:hidden}
.brand{grid-column:1/-1;background:#8a3d00;color:#fff;padding:.9rem 1.5rem;font-weight:700;font-size:1.125rem}
.order{grid-column:2;grid-row:2;background:#fdf1e0;padding:1.5rem 1.25rem}
.amount{font-size:1.625rem}
.order dl{font-size:.875rem}
.order dl div{display:block;margin-top:.5rem}.order dd{text-align:left}
.clock{margin-top:.75rem}
.act{grid-column:1;grid-row:2;padding:1.5rem}
.tiles a:hover{background:#fdf1e0}
.lead a{color:#8a3d00}
.go{background:#8a3d00;color:#fff}
.go:hover{background:#6b2f00}
.back{background:none;color:#8a3d00;text-decoration:underline}
@media(max-width:40rem){main{display:block;margin:0;border:0;border-radius:0}
 .order dl div{display:flex;margin-top:0}.order dd{text-align:right}}
"""
)

LOOK = CheckoutLook(
    title="aamarPay checkout",
    brand="aamarPay",
    style=STYLE,
    about="desc",
    steps=wallet_steps("cus_phone", "পেমেন্টের মাধ্যম বেছে নিন"),
    specials=SPECIALS,
    foot="aamarPay · simulated",
)
