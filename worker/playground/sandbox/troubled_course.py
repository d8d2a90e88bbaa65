"""How troubles change the course of a buyer's deed: what is paid, what is reported, and what follows later.

`met` maps each trouble's name to its seconds. Several may be met at once; each changes its own part and leaves the rest
as usual.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal

from msgspec.structs import replace

from worker.playground.sandbox.announcing import FORGER, Telling, announce_happening
from worker.playground.sandbox.granted_tokens import revoke_tokens
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.scheduled import schedule, visiting
from worker.playground.sandbox.scripts import has_call
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import SimulatedGateway, WayBack
from worker.playground.sandbox.trouble_replies import PROXY_404
from worker.playground.sandbox.troubles import AtDeed

PART = Decimal("250.00")
REPLAYS = 30
Met = Mapping[AtDeed, float]


def forged(gateway: SimulatedGateway, session: Session) -> tuple[Session, WayBack]:
    """The buyer pays nothing and opens the success address by hand."""
    session = gateway.walk_away(session)
    back = gateway.way_back(session, "pay")
    if back == gateway.way_back(session, "fail"):  # it states no outcome, so a cheat adds one
        back = replace(back, url=f"{back.url}{'&' if '?' in back.url else '?'}status=success")
    return session, back if back.form is None else replace(back, form=gateway.forged(back.form))


def of_another(gateway: SimulatedGateway, session: Session) -> WayBack:
    """The way back from another order, which another buyer has paid."""
    number = gateway.draw(session.reference).getrandbits(32)
    other = gateway.sessions.save(gateway.another(session, f"another-{number:08x}"))
    return gateway.way_back(gateway.collect(other, transaction_id=None), "pay")


def altered(amount: str | None, currency: str | None, met: Met) -> tuple[str | None, str | None]:
    """The amount and currency that the gateway books, None where they are as requested."""
    return "1.00" if "amount_tampered" in met else amount, "USD" if "currency_tampered" in met else currency


def telling(met: Met) -> Telling:
    """How the deed's webhook and form are sent."""
    return Telling(
        after=max(met.get("callback_late", 0.0), met.get("webhook_late", 0.0)),
        copies=3 if "callback_doubled" in met else 1,
        secret=FORGER if "webhook_forged" in met else None,
        replays=REPLAYS if "webhook_replayed" in met else 0,
    )


def redirects(met: Met) -> bool:
    """Whether the browser comes back by itself."""
    return not met.keys() & {"callback_lost", "callback_late", "webhook_late"}


def tell_of_earlier(
    gateway: SimulatedGateway, failed_try: Session, back: WayBack, *, after: float, webhook: bool
) -> None:
    """Send the messages of a try that failed before the payment, after the payment."""
    earlier = gateway.way_back(failed_try, "fail")
    if earlier != back:
        schedule(gateway, failed_try, "visit", visiting(earlier), after=after)
    if webhook:
        announce_happening(gateway, failed_try, "failed", Telling(after=after))


def follow(sandbox: Sandbox, session: Session, back: WayBack, met: Met) -> None:
    """Set off the later effects of the deed: more visits, a second payment, refunds, and failing calls."""
    gateway = sandbox.gateways[session.provider]
    for name, seconds in met.items():
        match name:
            case "callback_doubled":
                schedule(gateway, session, "visit", visiting(back), after=0.0)
                schedule(gateway, session, "visit", visiting(back), after=0.0)
            case "callback_late":
                schedule(gateway, session, "visit", visiting(back), after=seconds)
            case "paid_twice":
                second = gateway.new_transaction_id(gateway.draw(session.reference))
                schedule(gateway, session, "pay_again", second, after=seconds)
            case "paid_after_review":
                schedule(gateway, session, "approve", None, after=seconds)
            case "refunded_in_part":
                schedule(gateway, session, "give_back", _part(session), after=seconds)
            case "refunded_in_full":
                schedule(gateway, session, "give_back", None, after=seconds)
            case "token_revoked":
                revoke_tokens(sandbox.state, session.provider)
            case "status_not_found":
                _unanswered(sandbox, session, ["not_found"], seconds)
            case "status_proxy_404":
                _unanswered(sandbox, session, list(PROXY_404), seconds)
            case "status_pending":
                _unanswered(sandbox, session, ["still_pending"], seconds)
            case "gateway_down":
                until = time.time() + seconds
                sandbox.troubles.add(gateway.name, session.reference, "any", "reset", times=None, until=until)
            case _:
                pass  # its effect was in the booking, the message or the answer


def _unanswered(sandbox: Sandbox, session: Session, by: Sequence[str], seconds: float) -> None:
    """For so long, status questions meet these troubles, each once and the last for the rest of the time."""
    if has_call("execute")(sandbox.gateways[session.provider]):  # it is asked first, and its answer would be enough
        sandbox.troubles.add(session.provider, session.reference, "execute", "lost_answer")
    for name in by:
        times = None if name == by[-1] else 1
        until = time.time() + seconds
        sandbox.troubles.add(session.provider, session.reference, "status", name, times=times, until=until)


def _part(session: Session) -> str:
    paid = Decimal(session.told_amount)
    return str(PART if paid > PART else (paid / 2).quantize(Decimal("0.01"), ROUND_DOWN))
