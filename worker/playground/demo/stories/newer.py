"""The stories of SSLCOMMERZ, bKash, ShurjoPay, aamarPay, EPS and UddoktaPay.

SSLCOMMERZ tells every end, and so does the simulated bKash. At the others `pending` after the end proves nothing, so a
payment that nobody paid is asked about until the schedule ends, and then held as `unresolved`. ShurjoPay tells a failed
and a cancelled payment, and says of one that nobody paid only "request timeout" (2007). aamarPay tells paid payments
alone. UddoktaPay is asked by an invoice that only a return or a webhook brings: a payment without one closes by the
clock.
"""

from __future__ import annotations

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.elsewhere import opened_at_sslcommerz
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.ends import abandons, cancels, fails, leaves, pays
from worker.playground.demo.stories.gateway_answers import (
    DOWN_SECONDS,
    FIRST,
    LIFTED,
    TAKEN_BACK,
    UNKNOWN_SECONDS,
    WAITED,
    approves_and_returns_when_it_is_back,
    back,
    is_told_the_opposite,
    loses_the_checkout,
    loses_the_reference,
    pays_and_no_webhook_comes,
)
from worker.playground.demo.stories.lies import forges_a_webhook
from worker.playground.demo.stories.lost_callbacks import (
    NOBODY_PAID,
    approves_and_never_returns,
    is_refused,
    pays_in_the_dark,
    pretends_to_have_paid,
)
from worker.playground.demo.stories.money import (
    NOT_TAKEN,
    PAID_TWICE,
    REFUNDED,
    approves_when_it_is_over,
    is_refunded_and_looked_up,
    late,
    pays_when_it_is_over_and_the_webhook_tells,
)
from worker.playground.demo.stories.surprises import FOR_GOOD
from worker.playground.demo.story import (
    AAMARPAY,
    BKASH,
    EPS,
    NEWER,
    SHURJOPAY,
    SSLCOMMERZ,
    TELLS_THE_END,
    THANKS,
    UDDOKTAPAY,
    End,
    Story,
    closed,
    completed,
    held,
    scripted,
)
from worker.playground.demo.waiting import Otherwise, until

PROVES_NO_END = (SHURJOPAY, AAMARPAY, EPS)
"""Those whose answer about an unpaid payment is pending for good."""
LASTS = 25.0
LIVES = 6.0
"""A checkout that a slow machine reaches before its end."""
FOUND = completed(saw=())
NEVER_RESOLVED = held("unresolved", saw=(CONFIRMING,))


async def fails_unproven(scene: Scene) -> None:
    """No answer says that the payment failed. A buyer who claims no success goes back to the shop with `pending`."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("fail"))


async def fails_and_goes_home(scene: Scene) -> None:
    """A buyer who failed at UddoktaPay comes back as one who paid, with an invoice that is pending for good."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("fail"), leave_at=CONFIRMING)


async def cancels_unproven(scene: Scene) -> None:
    """A cancel at aamarPay comes back without any field, and one at UddoktaPay without an invoice."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("cancel"))


async def pretends_and_goes_home(scene: Scene) -> None:
    """Nobody paid, and no answer of the gateway proves it: asked until the schedule ends, then a person decides."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("pay"), leave_at=CONFIRMING)


async def pays_when_the_gateway_calls_it_over(scene: Scene) -> None:
    """No answer has closed the payment, so the money that comes after the end is not late."""
    await scene.open(lives=1.5)

    async def over() -> bool:
        session = await scene.stage.control.session(scene.gateway.provider, scene.payment["reference"])
        return session is not None and session["status"] == "expired"

    await until(over, "the checkout did not end")
    await scene.returns(await scene.at_gateway("pay"))


async def pays_at_high_risk(scene: Scene) -> None:
    """The payment is completed, and the shop sees the gateway's advice before it ships."""
    await pays(scene)
    payment = await scene.until("opened", "completed")
    if payment["risk"] != "high":
        raise Otherwise(f"the payment's risk is {payment['risk']}")


async def is_validated_afterwards(scene: Scene) -> None:
    """The first answer says VALID and every later one VALIDATED: the same money."""
    await pays(scene)
    await scene.until("opened", "completed")
    await scene.looks_again()


async def pays_while_another_session_is_open(scene: Scene) -> None:
    """The shop's own code opened a second session of the same `tran_id`.

    Nobody pays it, so the answer has an element PROCESSING before the element VALID.
    """
    await scene.open()
    paid_in, control = scene.payment["session_id"], scene.stage.control
    await opened_at_sslcommerz(control, scene.payment, f"{scene.stage.url}/return/{scene.gateway.account}")
    await scene.returns(await scene.at_gateway("pay", session_id=paid_in))


async def is_reviewed_for_long(scene: Scene) -> None:
    """The bank reviews the payment (2005) until payproof asks no more. When it is done, the IPN comes."""
    await scene.open(lives=1.5)
    await scene.gateway_troubles("still_pending", on="status", times=FOR_GOOD)
    await scene.returns(await scene.at_gateway("pay", webhook=False), leave_at=CONFIRMING)
    await scene.until("opened", "held")
    await scene.gateway_recovers()
    await scene.gateway_notifies(200, event="paid")


REVIEWED = End(status="completed", told=("opened", "held", "completed"), saw=(CONFIRMING,))

STORIES: tuple[Story, ...] = (
    *(Story("Success", gateway, pays, completed()) for gateway in NEWER),
    *(Story("Failure", gateway, fails, closed("failed", "failed (failed)")) for gateway in TELLS_THE_END),
    Story("Failure", AAMARPAY, fails_unproven, held("unresolved", saw=("failed (pending)",)), lasts=LASTS),
    Story("Failure", UDDOKTAPAY, fails_and_goes_home, NEVER_RESOLVED, lasts=LASTS),
    *(Story("Cancel", gateway, cancels, closed("cancelled", "cancelled (cancelled)")) for gateway in TELLS_THE_END),
    Story("Cancel", AAMARPAY, cancels_unproven, held("unresolved", saw=("cancelled (pending)",)), lasts=LASTS),
    Story("Cancel", UDDOKTAPAY, cancels_unproven, closed("expired", "cancelled (pending)"), lasts=LIVES),
    *(Story("Abandoned checkout", one, abandons, closed("expired")) for one in (SSLCOMMERZ, BKASH, UDDOKTAPAY)),
    *(Story("Abandoned checkout", one, abandons, held("unresolved", saw=()), lasts=LASTS) for one in PROVES_NO_END),
    Story("Another session open, and the first paid", SSLCOMMERZ, pays_while_another_session_is_open, completed()),
    Story("Reviewed by the bank for long, and paid", SHURJOPAY, is_reviewed_for_long, REVIEWED, lasts=LASTS),
    Story("Validated afterwards", SSLCOMMERZ, is_validated_afterwards, completed()),
    *(Story("Webhook forged, nothing paid", one, forges_a_webhook, closed("expired")) for one in (BKASH, UDDOKTAPAY)),
)

SCRIPTED: tuple[Story, ...] = (
    *(scripted("callback_lost", one, leaves, FOUND) for one in (SSLCOMMERZ, SHURJOPAY, AAMARPAY, EPS)),
    scripted("callback_lost", BKASH, approves_and_never_returns, closed("expired"), but="nothing executed"),
    scripted("callback_lost", UDDOKTAPAY, pays_in_the_dark, closed("expired"), but="nothing to ask by"),
    *(scripted("callback_doubled", gateway, pays, completed()) for gateway in NEWER),
    *(scripted("callback_late", gateway, leaves, FOUND, seconds=4) for gateway in NEWER),
    *(scripted("callback_reordered", gateway, pays, completed()) for gateway in NEWER),
    *(scripted("callback_forged", one, pretends_to_have_paid, NOBODY_PAID, lasts=8) for one in (SSLCOMMERZ, BKASH)),
    *(
        scripted("callback_forged", one, pretends_and_goes_home, NEVER_RESOLVED, lasts=LASTS + LIVES)
        for one in (*PROVES_NO_END, UDDOKTAPAY)
    ),
    *(
        scripted("callback_of_another", one, pretends_to_have_paid, NOBODY_PAID, lasts=8)
        for one in (SSLCOMMERZ, BKASH, UDDOKTAPAY)
    ),
    *(
        scripted("callback_of_another", one, pretends_and_goes_home, NEVER_RESOLVED, lasts=LASTS + LIVES)
        for one in PROVES_NO_END
    ),
    *(scripted("amount_tampered", gateway, pays, held("amount_mismatch")) for gateway in NEWER),
    *(
        scripted("currency_tampered", gateway, pays, held("currency_mismatch"))
        for gateway in (SSLCOMMERZ, BKASH, SHURJOPAY, AAMARPAY)
    ),
    *(scripted("status_slow", gateway, pays, completed(saw=WAITED)) for gateway in NEWER),
    *(
        scripted(script, gateway, pays, completed())
        for script in ("status_500", "status_429", "status_html", "status_401")
        for gateway in NEWER
    ),
    *(
        scripted(script, gateway, pays, completed(saw=WAITED), seconds=UNKNOWN_SECONDS)
        for script in ("status_not_found", "status_proxy_404", "status_pending")
        for gateway in NEWER
    ),
    *(
        scripted("status_unknown_word", gateway, pays_and_no_webhook_comes, LIFTED)
        for gateway in (SSLCOMMERZ, BKASH, SHURJOPAY, UDDOKTAPAY)
    ),
    # A word that is not listed is `pending` there, and never holds.
    *(scripted("status_unknown_word", one, pays_and_no_webhook_comes, completed()) for one in (AAMARPAY, EPS)),
    scripted("status_numbers", EPS, pays, completed()),
    scripted("status_in_text", SHURJOPAY, pays, completed()),
    *(
        scripted("status_contradiction", gateway, is_told_the_opposite, TAKEN_BACK)
        for gateway in (SSLCOMMERZ, BKASH, SHURJOPAY, EPS)
    ),
    # aamarPay's other words are pending, and UddoktaPay's ERROR is about the invoice: neither takes a payment back.
    *(scripted("status_contradiction", one, is_told_the_opposite, completed()) for one in (AAMARPAY, UDDOKTAPAY)),
    *(scripted("create_lost", gateway, loses_the_checkout, completed()) for gateway in NEWER if gateway is not EPS),
    scripted("create_lost", EPS, loses_the_reference, completed(), but="another reference"),
    *(scripted("token_revoked", gateway, pays, completed(), lasts=FIRST) for gateway in (BKASH, SHURJOPAY, EPS)),
    *(
        scripted("paid_after_expiry", one, pays_when_it_is_over_and_the_webhook_tells, late())
        for one in (SSLCOMMERZ, UDDOKTAPAY)
    ),
    scripted("paid_after_expiry", BKASH, approves_when_it_is_over, NOT_TAKEN, but="nothing executed"),
    *(
        scripted("paid_after_expiry", one, pays_when_the_gateway_calls_it_over, completed(), but="never closed")
        for one in PROVES_NO_END
    ),
    scripted("paid_after_review", UDDOKTAPAY, pays, completed(saw=WAITED)),
    *(scripted("paid_twice", gateway, pays, PAID_TWICE) for gateway in (SSLCOMMERZ, SHURJOPAY, AAMARPAY)),
    scripted("refunded_in_full", SHURJOPAY, is_refunded_and_looked_up, REFUNDED, but="looked up"),
    *(scripted("webhook_forged", gateway, is_refused, completed()) for gateway in (BKASH, UDDOKTAPAY)),
    # EPS's notification is encrypted by an unknown key, so a true one is refused like a forged one.
    scripted("webhook_forged", EPS, pays, completed()),
    *(
        scripted("webhook_late", gateway, leaves, FOUND, seconds=4)
        for gateway in (SSLCOMMERZ, SHURJOPAY, AAMARPAY, EPS, UDDOKTAPAY)
    ),
    *(scripted("webhook_replayed", gateway, pays, completed()) for gateway in (BKASH, EPS, UDDOKTAPAY)),
    scripted("execute_lost", BKASH, pays, completed()),
    scripted("execute_slow", BKASH, pays, completed(saw=WAITED)),
    *(
        scripted("gateway_down", gateway, pays, back(*WAITED), seconds=DOWN_SECONDS)
        for gateway in (SSLCOMMERZ, SHURJOPAY, AAMARPAY, EPS, UDDOKTAPAY)
    ),
    scripted("gateway_down", BKASH, approves_and_returns_when_it_is_back, back(*THANKS), seconds=DOWN_SECONDS),
    scripted("paid_at_risk", SSLCOMMERZ, pays_at_high_risk, completed()),
    scripted("paid_at_risk", AAMARPAY, pays, completed()),
)
