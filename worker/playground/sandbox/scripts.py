"""The scripts: named troubles of one order, in one table; `worker.playground.sandbox.scripted` sets them.

The gateway's own file tells which scripts fit it (its calls, its webhooks, its `tampers`, what it `shows`); they are
not listed here a second time.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from worker.playground.sandbox.gateway_call import Kind
from worker.playground.sandbox.simulated_gateway import Shows, SimulatedGateway

Fits = Callable[[SimulatedGateway], bool]


def _everyone(gateway: SimulatedGateway) -> bool:
    del gateway
    return True


def _webhooks(gateway: SimulatedGateway) -> bool:
    return gateway.event_type("paid") is not None


def _tells_of_itself(gateway: SimulatedGateway) -> bool:
    """Where Execute takes the money, no webhook comes before the browser is back."""
    return (gateway.panel or _webhooks(gateway)) and not has_call("execute")(gateway)


def has_call(kind: Kind) -> Fits:
    return lambda gateway: any(endpoint.kind == kind for endpoint in gateway.endpoints())


def _tampers(trouble: str) -> Fits:
    return lambda gateway: trouble in gateway.tampers


def _shows(what: Shows) -> Fits:
    return lambda gateway: what in gateway.shows


class Script(Struct, frozen=True, kw_only=True):
    """One script.

    With `on` and `trouble` it meets a call, after `skip` of them; without, it meets the buyer's deed. `seconds` is the
    default of its duration; None where nothing in it takes time.
    """

    name: str
    title: str
    what: str
    seconds: float | None = None
    fits: Fits = _everyone
    on: Kind | None = None
    trouble: str = ""
    skip: int = 0


SCRIPTS = (
    Script(
        name="callback_lost",
        title="Callback lost",
        what="The buyer's deed happens, and no message follows: no redirect, no webhook, no IPN.",
    ),
    Script(
        name="callback_doubled",
        title="Callback doubled",
        what="The return address is visited twice more at once, and every webhook comes three times with one event id.",
    ),
    Script(
        name="callback_late",
        title="Callback late",
        what="Nothing comes at first; the return address is visited, and webhooks go out, after the seconds.",
        seconds=20.0,
    ),
    Script(
        name="callback_reordered",
        title="Callbacks in the wrong order",
        what="The messages of an earlier failed try arrive after those of the payment.",
        seconds=1.0,
    ),
    Script(
        name="callback_forged",
        title="Callback forged",
        what="The buyer pays nothing and opens the success address by hand.",
    ),
    Script(
        name="callback_of_another",
        title="Callback of another order",
        what="Nothing is paid; the buyer comes back with the ids of another order, which is paid.",
        fits=_shows("redirect_ids"),
    ),
    Script(
        name="amount_tampered",
        title="Another amount paid",
        what="The gateway books and reports 1.00 instead of the requested amount.",
    ),
    Script(
        name="currency_tampered",
        title="Another currency paid",
        what="The gateway books and reports USD instead of the requested currency.",
        fits=_tampers("wrong_currency"),
    ),
    Script(
        name="status_slow",
        title="Status slow",
        what="The next status answer takes the seconds.",
        seconds=3.0,
        on="status",
        trouble="slow",
    ),
    Script(
        name="status_500",
        title="Status answers 500",
        what="The next status answer is a server error.",
        on="status",
        trouble="500",
    ),
    Script(
        name="status_429",
        title="Status answers 429",
        what="The next status answer says: too many requests.",
        on="status",
        trouble="429",
    ),
    Script(
        name="status_html",
        title="Status answers a web page",
        what="The next status answer is an HTML page with status 200.",
        on="status",
        trouble="html",
    ),
    Script(
        name="status_401",
        title="Status answers 401",
        what="The next status answer refuses the key or token.",
        on="status",
        trouble="401",
    ),
    Script(
        name="status_not_found",
        title="Known a little later",
        what="From the buyer's deed on, for the seconds, every status answer says that there is no such payment.",
        seconds=5.0,
    ),
    Script(
        name="status_proxy_404",
        title="A proxy answers 404",
        what="From the buyer's deed on, for the seconds, a proxy answers status questions with a 404 of its "
        "own: a web page, a line of text, and from then on JSON.",
        seconds=5.0,
    ),
    Script(
        name="status_pending",
        title="Pending for a while",
        what="From the buyer's deed on, for the seconds, every status answer says that the payment is still pending.",
        seconds=5.0,
        fits=_tampers("still_pending"),
    ),
    Script(
        name="status_unknown_word",
        title="Status says an unknown word",
        what="The next status answer has a status that is in no documentation.",
        fits=_tampers("unknown_word"),
        on="status",
        trouble="unknown_word",
    ),
    Script(
        name="status_numbers",
        title="Status writes numbers",
        what="The next status answer writes its amounts as JSON numbers, where it writes texts otherwise.",
        fits=_tampers("numbers"),
        on="status",
        trouble="numbers",
    ),
    Script(
        name="status_contradiction",
        title="Status contradicts itself",
        what="The first status answer is right; the next one says that the payment failed.",
        fits=_tampers("contradiction"),
        on="status",
        trouble="contradiction",
        skip=1,
    ),
    Script(
        name="create_lost",
        title="Answer to the opening lost",
        what="The checkout is opened, and the answer to it gets lost.",
        on="create",
        trouble="lost_answer",
    ),
    Script(
        name="token_revoked",
        title="Token revoked",
        what="At the buyer's deed every token granted so far is refused.",
        fits=has_call("grant"),
    ),
    Script(
        name="paid_after_expiry",
        title="Paid after expiry",
        what="The checkout lives only for the seconds; the buyer pays when it is over.",
        seconds=2.0,
    ),
    Script(
        name="paid_after_review",
        title="Paid after a review",
        what="The buyer pays, and the gateway says pending until a person there approves it after the seconds.",
        seconds=3.0,
        fits=_shows("review"),
    ),
    Script(
        name="paid_twice",
        title="Paid twice",
        what="Paid, and after the seconds paid again by a second transaction.",
        seconds=3.0,
        fits=_shows("second_payment"),
    ),
    Script(
        name="refunded_in_part",
        title="Refunded in part",
        what="Paid, and after the seconds 250.00 of it is refunded (half, where it is not more).",
        seconds=3.0,
        fits=_shows("part_refund"),
    ),
    Script(
        name="refunded_in_full",
        title="Refunded in full",
        what="Paid, and after the seconds all of it is refunded.",
        seconds=3.0,
        fits=_shows("full_refund"),
    ),
    Script(
        name="webhook_forged",
        title="Webhook forged",
        what="The payment's webhook is signed with somebody else's secret, at every attempt.",
        fits=_webhooks,
    ),
    Script(
        name="webhook_late",
        title="Webhook late",
        what="The browser does not come back, and the webhook or IPN goes out after the seconds.",
        seconds=20.0,
        fits=_tells_of_itself,
    ),
    Script(
        name="webhook_replayed",
        title="Webhook replayed",
        what="The very same webhook comes thirty times more, and once with an hour-old signature.",
        fits=_webhooks,
    ),
    Script(
        name="execute_lost",
        title="Answer to Execute lost",
        what="Execute takes the money, and its answer gets lost.",
        fits=has_call("execute"),
        on="execute",
        trouble="lost_answer",
    ),
    Script(
        name="execute_slow",
        title="Execute slow",
        what="Execute begins its work only after the seconds.",
        seconds=4.0,
        fits=has_call("execute"),
        on="execute",
        trouble="slow",
    ),
    Script(
        name="gateway_down",
        title="Gateway down",
        what="From the buyer's deed on, for the seconds, every call about this order is cut off.",
        seconds=120.0,
    ),
    Script(
        name="paid_at_risk",
        title="Paid at risk",
        what="Paid, and the gateway advises to wait with the goods.",
        fits=_shows("risk"),
    ),
    Script(
        name="status_in_text",
        title="Status is JSON in a JSON text",
        what="The next status answer is encoded twice: a JSON string that holds the JSON.",
        fits=_shows("json_in_json"),
        on="status",
        trouble="json_in_json",
    ),
)
BY_NAME = {script.name: script for script in SCRIPTS}
