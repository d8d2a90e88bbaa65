"""UddoktaPay's checkout: pick the owner's wallet, send money to its number, and type in the transaction id."""

from __future__ import annotations

from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View
from worker.playground.sandbox.checkout.wallets import WALLETS, Wallet, tiles
from worker.playground.sandbox.sessions import Session

STYLE = """
body{--back:#f3f4fb;--ink:#1c2140;--focus:#3038a6}
main{max-width:28rem;margin-top:1.5rem;background:#fff;border-radius:14px;overflow:hidden;border:1px solid #d8dbef}
.brand{padding:1rem 1.5rem;text-align:center;border-bottom:1px solid #d8dbef}
.brand b{font-size:1.25rem;color:#3038a6}
.order{padding:1rem 1.5rem;background:#3038a6;color:#fff}
.amount{font-size:1.75rem}
.order dl{font-size:.875rem}
.act{padding:1.25rem 1.5rem 1.5rem}
.tiles{display:grid;grid-template-columns:1fr 1fr;gap:.6rem;list-style:none;padding:0;margin:1rem 0}
.tiles a{display:flex;align-items:center;gap:.6rem;padding:.7rem;border:1px solid #8d93c4;border-radius:10px;
 color:#1c2140;text-decoration:none;min-height:2rem}
.tiles i{width:.75rem;height:2rem;border-radius:4px;background:var(--of)}
.tiles small{display:block;color:#4d5373}
.how{background:#f3f4fb;border-radius:10px;padding:.75rem 1rem .75rem 2rem;margin:1rem 0}
.act .lead,.hint,.foot{color:#4d5373}
.go{background:#3038a6;color:#fff;border-radius:10px}
.go:hover{background:#232a82}
.back{background:#fff;color:#1c2140;border:1px solid #8d93c4;border-radius:10px}
@media(max-width:29rem){main{margin-top:0;border-radius:0;border-width:0 0 1px}}
"""


def _given(session: Session) -> str:
    """A transaction id that no other checkout's page gives."""
    return f"S{session.session_id[:9].upper()}"


def _how(wallet: Wallet, view: View) -> str:
    return (
        f'<p class="lead" lang="bn">{wallet.bangla}</p>'
        f'<ol class="how"><li>Send <b>{view.amount}</b> to <b>{wallet.personal}</b> from your {wallet.title}.</li>'
        f'<li>Type in the transaction id of the message. <span lang="bn">ট্রানজেকশন আইডি দিন</span></li></ol>'
    )


TRANSACTION = CheckoutField(name="trx", label="Transaction id", given=_given, hint="Any id is taken.", digits=False)

LOOK = CheckoutLook(
    title="UddoktaPay payment",
    brand="<b>UddoktaPay</b>",
    style=STYLE,
    steps=(
        Step(name="wallets", title="Send money by", lead=tiles),
        *(
            Step(
                name=wallet.name,
                title=f"Send money with {wallet.title}",
                lead=partial(_how, wallet),
                fields=(TRANSACTION,),
                button="Verify",
            )
            for wallet in WALLETS
        ),
    ),
    specials=(
        Special(field="trx", value="UNKNOWN", does="again", says="No message about this transaction has come yet."),
        Special(field="trx", value="FAILS", does="fail", says="The transaction is not to this number."),
    ),
    transaction_field="trx",
    foot="The money goes to the shop's own wallet.",
)
