"""PayParse's checkout: pick a wallet, send the money to a personal number, enter the TrxID of that transfer.

The TrxID typed becomes the transaction's id, so that one transfer can be shown for two orders, as cheats do.
"""

from __future__ import annotations

import hashlib
from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View
from worker.playground.sandbox.checkout.wallets import WALLETS, Wallet, tiles
from worker.playground.sandbox.sessions import Session

STYLE = """
body{--back:#0e1424;--ink:#e6ecf7;--focus:#5eead4}
main{max-width:30rem;padding:1.25rem}
.brand{display:flex;justify-content:space-between;align-items:center;padding:.5rem 0 1.25rem;font-weight:700}
.brand b{font:700 1.125rem/1 ui-monospace,monospace;color:#5eead4}
.brand span{font-size:.8125rem;font-weight:400;color:#9fb0c9}
.order{background:#182238;border-radius:14px 14px 0 0;padding:1.25rem;border:1px solid #2c3a5a}
.amount{font:700 2rem/1.2 ui-monospace,monospace;color:#fff}
.amount::before{content:"Amount";display:block;font:400 .8125rem/1.5 system-ui,sans-serif;color:#9fb0c9}
.order dl{font-size:.875rem;margin-top:.5rem}
.order dt,.clock{color:#9fb0c9}
.act{background:#131b2e;border:1px solid #2c3a5a;border-top:0;border-radius:0 0 14px 14px;padding:1.25rem}
.act .lead{color:#9fb0c9;margin:.2rem 0 1rem}
.tiles{margin-bottom:1.25rem;display:grid;gap:.6rem}
.tiles a{background:#1e2a45;border:1px solid #6479a5;border-radius:10px}
.tiles a::after{content:"›";margin-left:auto;font-size:1.5rem;color:#9fb0c9}
.tiles a:hover{background:#273659}
.tiles i{border:2px solid #fff}
.tiles small{color:#9fb0c9;font-weight:400;margin-left:.3rem}
.how{list-style:none;counter-reset:n;margin:1rem 0 1.25rem;display:grid;gap:.75rem}
.how li{counter-increment:n;padding-left:2.4rem;position:relative}
.how li::before{content:counter(n);position:absolute;left:0;width:1.6rem;height:1.6rem;border-radius:50%;
 text-align:center;background:#5eead4;color:#06251f;font-weight:700}
.how b{font-family:ui-monospace,monospace;color:#fff}
.send{display:block;margin-top:.35rem;background:#0e1424;border:1px dashed #6479a5;border-radius:8px;
 padding:.5rem .8rem;font-size:1.25rem;user-select:all}
input{background:#0e1424;color:#fff;border-color:#7f93bd;font-family:ui-monospace,monospace;letter-spacing:.08em}
.hint{color:#9fb0c9}
.go{background:#5eead4;color:#06251f}
.go:hover{background:#8ff3e2}
.back{background:none;color:#e6ecf7;border:1px solid #7f93bd}
.foot{color:#9fb0c9}
"""


def _trx_id(session: Session) -> str:
    """An id in the form that wallets write; the same for every showing of one checkout."""
    return hashlib.sha256(session.session_id.encode()).hexdigest()[:10].upper()


def _pick(view: View) -> str:
    bangla = '<span lang="bn">কোন ওয়ালেট থেকে পাঠাবেন?</span>'
    return f'<p class="lead">Which wallet will you send from? {bangla}</p>{tiles(view)}'


def _send(wallet: Wallet, view: View) -> str:
    return (
        f'<ol class="how"><li>Open {wallet.title} and choose <b>Send Money</b>. '
        '<span lang="bn">সেন্ড মানি করুন</span></li>'
        f'<li>Send <b>{view.amount}</b> to this personal number:<b class="send">{wallet.personal}</b></li>'
        "<li>Copy the TrxID from the message you get and enter it here.</li></ol>"
        f'<p class="lead"><a href="{view.to("pick")}">Choose another wallet</a></p>'
    )


def _step(wallet: Wallet) -> Step:
    hint = "Any TrxID is taken. That of another order shows one transfer twice."
    return Step(
        name=wallet.name,
        title=f"Send with {wallet.title}",
        lead=partial(_send, wallet),
        fields=(CheckoutField(name="trx_id", label="TrxID", given=_trx_id, hint=hint, digits=False),),
        button="I have sent it",
    )


LOOK = CheckoutLook(
    title="PayParse checkout",
    brand="<b>payparse_</b><span>personal wallet checkout</span>",
    style=STYLE,
    steps=(Step(name="pick", title="Choose a wallet", lead=_pick), *map(_step, WALLETS)),
    specials=(
        Special(field="trx_id", value="0000000000", does="again", says="No transfer with this TrxID has come in yet."),
        Special(field="trx_id", value="FAIL000000", does="fail", says="The transfer was of another amount."),
    ),
    foot="This link is yours alone. Leaving keeps it open until the time is over.",
    transaction_field="trx_id",
)
