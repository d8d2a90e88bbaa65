"""The page when there is nothing left to ask: the checkout is over, the buyer left, or the way back is lost."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from worker.playground.sandbox.checkout.checkout_frame import deed, posting_form
from worker.playground.sandbox.checkout.shape import View
from worker.playground.sandbox.sessions import Session, Standing
from worker.playground.sandbox.simulated_gateway import Deed, SimulatedGateway, WayBack

# The page for each standing: title, the same in Bangla, a sentence.
_WORDS: Mapping[Standing, tuple[str, str, str]] = MappingProxyType(
    {
        "open": ("This checkout is open", "পেমেন্ট বাকি আছে", "Nothing has been paid yet."),
        "approved": ("Already approved", "অনুমোদন হয়ে গেছে", "The buyer agreed. The shop has yet to take the money."),
        "paid": ("Already paid", "পেমেন্ট হয়ে গেছে", "Nothing more will be taken."),
        "failed": ("Already failed", "পেমেন্ট হয়নি", "No money was taken here."),
        "cancelled": ("Already cancelled", "পেমেন্ট বাতিল হয়েছে", "No money was taken here."),
        "expired": ("The time is over", "সময় শেষ", "Nobody paid in time, so this checkout is closed."),
        "review": ("Waiting for approval", "অনুমোদনের অপেক্ষায়", "The buyer paid, and the gateway has yet to approve it."),
        "refunded": ("Already refunded", "টাকা ফেরত দেওয়া হয়েছে", "The money went back to the buyer."),
    }
)
_WAYS: Mapping[Standing, Deed] = MappingProxyType(
    {"paid": "pay", "approved": "pay", "review": "pay", "refunded": "pay", "failed": "fail"}
)


def way_back(gateway: SimulatedGateway, session: Session) -> WayBack:
    """How a browser is sent back, by the session's status."""
    closed = gateway.closed_link(session)
    return WayBack(closed) if closed else gateway.way_back(session, _WAYS.get(session.status, "cancel"))


def over_html(view: View, back: WayBack) -> str:
    title, bangla, told = _WORDS[view.session.status]
    return _told(title, bangla, told, view.refused, _to_shop(back, "Back to the shop", mark="go"))


def leaving_html(back: WayBack) -> str:
    """The page between a gateway that posts and the shop."""
    told = "The gateway's page posts its form to the shop by itself. Without scripts, press the button."
    form = posting_form(back, "Back to the shop", name="back")
    return _told("Back to the shop", "দোকানে ফিরে যাচ্ছেন", told, "", form)


def over_controls(view: View) -> str:
    """A button to pay where no real page would let the buyer: once more, or too late."""
    status = view.session.status
    if status == "refunded":
        return "<p>What was refunded cannot be paid again.</p>"
    again = status in ("paid", "approved")
    told = "A second payment for one order" if again else "Money that comes after the end"
    button = deed(view, "pay_all_the_same", "Pay again" if again else "Pay all the same")
    return f'<p>{told}, as gateways have been seen to allow.</p><div class="row">{button}</div>'


def left_html(view: View) -> str:
    return _told(
        "The buyer closed the tab",
        "ক্রেতা চলে গেছেন",
        "Nobody went back to the shop. The checkout stays open until its time is over.",
        "",
        f'<a class="go" href="{view.to()}">Open the checkout again</a>',
    )


def lost_html(view: View, back: WayBack) -> str:
    return _told(
        "The browser was closed here",
        "ব্রাউজার বন্ধ হয়ে গেছে",
        f"This checkout is {view.session.status}, and the shop has heard nothing of it from this browser.",
        "",
        f'<a class="go" href="{view.to()}">Open the checkout again</a>',
        f'<p class="told">It would have gone to</p><p class="address">{escape(back.url)}</p>',
    )


def lost_controls(back: WayBack) -> str:
    return (
        "<p>A buyer may come back after all, from the history.</p>"
        f'<div class="row">{_to_shop(back, "Go back to the shop now", mark="link")}</div>'
    )


def order_link(page: str | None) -> str:
    return f'<div class="row"><a class="link" href="{escape(page)}">What the shop knows of it</a></div>' if page else ""


def _to_shop(back: WayBack, label: str, *, mark: str) -> str:
    if back.form is not None:
        return posting_form(back, label)
    return f'<a class="{mark}" href="{escape(back.url)}">{label}</a>'


def _told(title: str, bangla: str, told: str, refused: str, button: str, more: str = "") -> str:
    alert = f'<p class="refused" role="alert">{escape(refused)}</p>' if refused else ""
    return (
        f'<h1>{title}</h1><p class="lead" lang="bn">{bangla}</p>{alert}<p class="told">{told}</p>{more}'
        f'<div class="buttons">{button}</div>'
    )
