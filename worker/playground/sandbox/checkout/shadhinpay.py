"""ShadhinPay's checkout: a picker of wallets and card, then number and PIN.

As documented, `preferredVendor` skips the picker. Its test numbers have their documented effect here too.
"""

from __future__ import annotations

from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, CheckoutLook, Special, Step, View
from worker.playground.sandbox.checkout.wallets import WALLETS, Wallet, tiles
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.shadhinpay import TEST_PHONES

STYLE = """
body{--back:#e6f1ec;--ink:#12211c;--focus:#0b6b4f}
main{max-width:54rem;display:grid;margin-top:1.5rem;background:#fff;border-radius:18px;overflow:hidden;
 grid-template-columns:20rem 1fr;grid-template-rows:auto 1fr;box-shadow:0 1px 0 #0b6b4f33}
.brand,.order{background:#0b5540;color:#fff;grid-column:1}
.brand{padding:1.75rem 1.75rem 0;font-weight:700;font-size:1.25rem}
.brand i{font-style:normal;color:#ffd9a0}
.order{padding:2rem 1.75rem}
.amount{font-size:2.25rem;line-height:1.1;margin-bottom:1.25rem}
.order dl{font-size:.9375rem}
.order dl div{padding:.5rem 0;border-top:1px solid #ffffff33}
.order dt,.clock{color:#cfe8de}
.clock{padding-top:.75rem;border-top:1px solid #ffffff33}
.act{grid-column:2;grid-row:1/3;padding:2rem 2.25rem}
.act .lead{margin:.25rem 0 1.25rem;color:#41534c}
.lead a{color:#0b6b4f}
.tiles{display:grid;grid-template-columns:1fr 1fr;gap:.75rem;margin-bottom:1.5rem}
.tiles a{border:1px solid #7d968c;border-radius:12px;border-left:6px solid var(--of);height:100%}
.tiles a:hover{background:#eef6f2}
.tiles li:last-child:nth-child(odd){grid-column:1/-1}
.tiles i{display:none}
.tiles small{display:block;font-weight:400;color:#41534c}
.pill{display:inline-block;border-left:6px solid var(--of);padding-left:.6rem;margin-right:.75rem}
input{border-radius:10px}
.go{background:#0b6b4f;color:#fff;border-radius:10px}
.go:hover{background:#08513c}
.back{background:none;color:#0b6b4f;text-decoration:underline}
.hint,.foot{color:#41534c}
@media(max-width:46rem){main{display:block;margin:0;border-radius:0}.brand{padding:1rem 1.25rem 0;font-size:1.0625rem}
 .order{padding:.5rem 1.25rem .9rem}.amount{font-size:1.875rem;margin-bottom:.5rem}.order dl div{padding:.3rem 0}
 .clock{padding-top:.4rem}.act{padding:1.25rem}}
"""
VENDORS = {"BKASH": "bkash", "NAGAD": "nagad"}


def _phone(session: Session) -> str:
    """The buyer's number as the shop sent it, without +88; a sample number where it sent none."""
    phone = str(session.body.get("customerPhone") or "").removeprefix("+").removeprefix("88")
    return phone[:20] or "01770618575"


def _pick(view: View) -> str:
    card = ("card", "Card", "Visa, Mastercard, Amex", "#4a5568")
    return f'<p class="lead" lang="bn">কীভাবে টাকা দেবেন, বেছে নিন</p>{tiles(view, card)}'


def _picked(wallet: Wallet, view: View) -> str:
    return (
        f'<p class="lead"><span class="pill" style="--of:{wallet.colour}" lang="bn">{wallet.bangla}</span> '
        f'<a href="{view.to("pick")}">Choose another way</a></p>'
    )


def _card(view: View) -> str:
    return f'<p class="lead">Visa, Mastercard or Amex. <a href="{view.to("pick")}">Choose another way</a></p>'


def _wallet(wallet: Wallet) -> Step:
    fields = (
        CheckoutField(name="number", label=f"{wallet.title} number", given=_phone, hint="Any number is taken."),
        CheckoutField(name="pin", label="PIN", given="12345", hint="Any PIN is taken.", secret=True),
    )
    return Step(
        name=wallet.name,
        title=f"Pay with {wallet.title}",
        lead=partial(_picked, wallet),
        fields=fields,
        button="Pay {amount}",
    )


LOOK = CheckoutLook(
    title="ShadhinPay checkout",
    brand="Shadhin<i>Pay</i>",
    style=STYLE,
    about="description",
    begins=lambda session: VENDORS.get(str(session.body.get("preferredVendor")), "pick"),
    steps=(
        Step(name="pick", title="Choose how to pay", lead=_pick),
        *map(_wallet, WALLETS),
        Step(
            name="card",
            title="Pay by card",
            lead=_card,
            fields=(
                CheckoutField(name="card", label="Card number", given="4242 4242 4242 4242"),
                CheckoutField(name="until", label="Expiry", given="12 / 30", narrow=True),
                CheckoutField(name="secret", label="CVC", given="123", secret=True, narrow=True),
            ),
            button="Pay {amount}",
        ),
    ),
    specials=(
        Special(field="pin", value="00000", does="fail", says="The balance is too low."),
        Special(field="card", value="4000000000000002", does="fail", says="The bank declines the card."),
        *(
            Special(field="number", value=phone, does=does, says=f"A documented test number: {does.replace('_', ' ')}.")
            for phone, does in TEST_PHONES.items()
        ),
    ),
    foot="ShadhinPay · secured checkout, simulated",
)
