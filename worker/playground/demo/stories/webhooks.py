"""What becomes of signed webhooks: forged, late, sent again and again."""

from __future__ import annotations

from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.deeds import leaves, pays
from worker.playground.demo.story import MONEYBAG, SHADHINPAY, End, completed, scripted


async def is_refused(scene: Scene) -> None:
    """Whoever sends such a webhook is refused, and the buyer's return is asked about as ever."""
    await pays(scene)
    await scene.gateway_was_refused()


async def hears_of_the_money_late(scene: Scene) -> None:
    """The clock has closed it when the gateway's webhook gets through after all."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay")


LATE = End(status="completed", late=True, told=("opened", "expired", "completed"))

STORIES = (
    *(scripted("webhook_forged", gateway, is_refused, completed()) for gateway in (SHADHINPAY, MONEYBAG)),
    *(scripted("webhook_late", one, leaves, completed(saw=()), seconds=4) for one in (SHADHINPAY, MONEYBAG)),
    scripted("webhook_late", MONEYBAG, hears_of_the_money_late, LATE, but="after the end", seconds=5),
    # One question for the event however often it comes, one for the return, one for the copy whose signature is old;
    # Moneybag's unsigned notification is one more.
    scripted("webhook_replayed", SHADHINPAY, pays, completed(questions=3)),
    scripted("webhook_replayed", MONEYBAG, pays, completed(questions=4)),
)
