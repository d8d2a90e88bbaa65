"""The steps of a checkout that takes wallets and cards: a picker, then number and PIN, or the card's digits."""

from __future__ import annotations

from functools import partial

from worker.playground.sandbox.checkout.shape import CheckoutField, Special, Step, View
from worker.playground.sandbox.checkout.wallets import WALLETS, Wallet, tiles
from worker.playground.sandbox.sessions import Session

CARD = ("card", "Card", "Visa, Mastercard, Amex", "#4a5568")
SPECIALS = (
    Special(field="pin", value="11111", does="again", says="Number and PIN do not fit. Please try again."),
    Special(field="pin", value="00000", does="fail", says="The balance is too low."),
    Special(field="card", value="4000000000000002", does="fail", says="The bank declines the card."),
)
PICKER = """
.tiles{display:grid;grid-template-columns:1fr 1fr;gap:.6rem;margin-bottom:1.25rem}
.tiles a{border:1px solid #7a8794;border-radius:8px;height:100%}
.tiles li:last-child:nth-child(odd){grid-column:1/-1}
.tiles small{display:block;font-weight:400}
.act .lead{margin:.25rem 0 1rem}
"""


def wallet_steps(phone_field: str, bangla: str) -> tuple[Step, ...]:
    """The picker, a step for each wallet, and the card's. `phone_field` is where the request has the buyer's number."""

    def given(session: Session) -> str:
        phone = str(session.body.get(phone_field) or "").removeprefix("+").removeprefix("88")
        return phone[:20] or "01770618575"

    def pick(view: View) -> str:
        return f'<p class="lead" lang="bn">{bangla}</p>{tiles(view, CARD)}'

    def wallet_step(wallet: Wallet) -> Step:
        return Step(
            name=wallet.name,
            title=f"Pay with {wallet.title}",
            lead=partial(_another_way, wallet.bangla),
            fields=(
                CheckoutField(name="number", label=f"{wallet.title} number", given=given, hint="Any number is taken."),
                CheckoutField(name="pin", label="PIN", given="12345", hint="Any PIN is taken.", secret=True),
            ),
            button="Pay {amount}",
        )

    card = Step(
        name="card",
        title="Pay by card",
        lead=partial(_another_way, "কার্ড"),
        fields=(
            CheckoutField(name="card", label="Card number", given="4242 4242 4242 4242"),
            CheckoutField(name="until", label="Expiry", given="12 / 30", narrow=True),
            CheckoutField(name="secret", label="CVC", given="123", secret=True, narrow=True),
        ),
        button="Pay {amount}",
    )
    return Step(name="pick", title="Choose how to pay", lead=pick), *map(wallet_step, WALLETS), card


def _another_way(bangla: str, view: View) -> str:
    return f'<p class="lead"><span lang="bn">{bangla}</span> · <a href="{view.to("pick")}">Choose another way</a></p>'
