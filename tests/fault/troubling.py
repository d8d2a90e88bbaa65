"""The trouble of one customer's order, drawn among the sandbox's scripts.

A trouble here changes who hears of the outcome, and when. It never changes the gateway's books, which the payment is
compared with.
"""

from __future__ import annotations

import random

from tests.harness import BLIND, ONEPAYBD, Gateway
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.playground.sandbox.scripts import BY_NAME, SCRIPTS

OFTEN = 0.5
LONGEST = 2.5
"""Shorter than `confirm_end` of the fleet: a proof that is false for longer closes a payment, as it may."""

ANSWERS = (
    *("status_slow", "status_500", "status_429", "status_html", "status_401"),
    *("status_not_found", "status_proxy_404", "status_pending", "create_lost", "execute_lost", "execute_slow"),
)
CALLBACKS = ("callback_doubled", "callback_reordered", "webhook_forged", "webhook_late", "webhook_replayed")
DRAWN = {
    "pays": (*ANSWERS, *CALLBACKS),
    "pays and hits often": ANSWERS,
    "pays and is lost": ANSWERS,
    "pays among strangers": (*ANSWERS, *CALLBACKS),
    "pays twice": ANSWERS,
    "fails first": ANSWERS,
}


def _fitting() -> dict[str, frozenset[str]]:
    """The scripts that fit, by gateway."""
    sandbox = Sandbox(SandboxConfig())
    try:
        simulated = sandbox.gateways.items()
        return {name: frozenset(one.name for one in SCRIPTS if one.fits(gateway)) for name, gateway in simulated}
    finally:
        sandbox.state.close()


_FITS = _fitting()


def drawn_script(gateway: Gateway, deed: str, rng: random.Random) -> tuple[str | None, float | None]:
    """A script and its seconds, where it has some; None for an order without trouble."""
    names = [name for name in DRAWN.get(deed, ()) if name in _FITS[gateway.provider]]
    if gateway is BLIND or not names or rng.random() > OFTEN:
        return None, None
    if gateway is ONEPAYBD:  # its approval is executed for a returning buyer; a late one may find it closed
        names = [name for name in names if name not in ("webhook_late", "callback_reordered")]
    script = BY_NAME[rng.choice(names)]
    return script.name, None if script.seconds is None else rng.uniform(0.2, LONGEST)
