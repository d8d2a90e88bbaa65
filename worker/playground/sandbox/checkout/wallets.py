"""The mobile wallets a buyer picks from, and the tiles to pick them by. The colours are near each wallet's own."""

from __future__ import annotations

from html import escape

from msgspec import Struct

from worker.playground.sandbox.checkout.shape import View


class Wallet(Struct, frozen=True, kw_only=True):
    """`personal` is the number that PayParse's money is sent to."""

    name: str
    title: str
    bangla: str
    colour: str
    personal: str


WALLETS = (
    Wallet(name="bkash", title="bKash", bangla="বিকাশ", colour="#d6146a", personal="01712-345601"),
    Wallet(name="nagad", title="Nagad", bangla="নগদ", colour="#d9480f", personal="01812-345602"),
    Wallet(name="rocket", title="Rocket", bangla="রকেট", colour="#8b3a9e", personal="01912-345603"),
    Wallet(name="upay", title="Upay", bangla="উপায়", colour="#1769c2", personal="01612-345604"),
)


def tiles(view: View, *more: tuple[str, str, str, str]) -> str:
    """A link per wallet with its name in Bangla, and per further way as (step, title, English note, colour)."""
    ways = [(wallet.name, wallet.title, wallet.bangla, wallet.colour, ' lang="bn"') for wallet in WALLETS]
    items = (
        f'<li><a href="{view.to(name)}" style="--of:{colour}"><i></i><span>{escape(title)} '
        f"<small{lang}>{escape(note)}</small></span></a></li>"
        for name, title, note, colour, lang in (*ways, *((*way, "") for way in more))
    )
    return f'<ul class="tiles">{"".join(items)}</ul>'
