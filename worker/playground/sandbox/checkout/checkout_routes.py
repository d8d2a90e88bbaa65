"""The addresses of the checkout pages, `/<gateway>/checkout/<session id>`, and their actions.

GET shows a step, POST to a step's name goes on to it, and POST to `pay`, `fail`, `cancel` or `walk_away` does that. A
POST to a checkout that is over does nothing and answers 409, so that two open tabs cannot pay twice; `pay_all_the_same`
is the developer's way to do just that. `?stay` keeps a browser at a checkout that is over where the gateway would send
it back to the shop.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from worker.playground.sandbox.checkout import (
    ORDER_PAGE,
    aamarpay,
    bkash,
    eps,
    ipay,
    moneybag,
    onepaybd,
    payparse,
    shadhinpay,
    shurjopay,
    sslcommerz,
    uddoktapay,
)
from worker.playground.sandbox.checkout.shape import CheckoutLook
from worker.playground.sandbox.checkout.visited import Visited
from worker.playground.sandbox.sandbox import SANDBOX
from worker.playground.sandbox.sandbox_config import GATEWAYS
from worker.playground.sandbox.scripts import BY_NAME
from worker.playground.sandbox.shopper import may_pay_late
from worker.playground.sandbox.simulated_gateway import Deed
from worker.playground.sandbox.troubles import Trouble

LOOKS: Mapping[str, CheckoutLook] = MappingProxyType(
    {
        "payparse": payparse.LOOK,
        "onepaybd": onepaybd.LOOK,
        "shadhinpay": shadhinpay.LOOK,
        "moneybag": moneybag.LOOK,
        "ipay": ipay.LOOK,
        "sslcommerz": sslcommerz.LOOK,
        "bkash": bkash.LOOK,
        "shurjopay": shurjopay.LOOK,
        "aamarpay": aamarpay.LOOK,
        "eps": eps.LOOK,
        "uddoktapay": uddoktapay.LOOK,
    }
)
DEEDS: Mapping[str, Deed] = MappingProxyType(
    {"pay": "pay", "fail": "fail", "cancel": "cancel", "walk_away": "walk_away", "pay_all_the_same": "pay"}
)
TYPED_CHARACTERS = 64


def checkout_routes() -> list[web.RouteDef]:
    path = f"/{{provider:{'|'.join(GATEWAYS)}}}/checkout/{{session_id}}"
    return [
        web.get(path, show),
        web.get(path + "/{step}", show),
        web.post(path + f"/{{does:{'|'.join(DEEDS)}}}", act),
        web.post(path + "/{step}", go_on),
    ]


async def show(request: web.Request) -> web.Response:
    visited = await _visited(request)
    if not visited.open:
        return visited.over()
    if "step" not in request.match_info:
        return visited.page(visited.look.first(visited.session))
    step = visited.look.step(request.match_info["step"])
    if step is None:  # a reloaded or shared address of a deed
        raise web.HTTPSeeOther(visited.address)
    return visited.page(step)


async def go_on(request: web.Request) -> web.Response:
    """Show the next step, with the entries of the step before."""
    visited = await _visited(request)
    step = visited.look.step(request.match_info["step"])
    if step is None:
        raise web.HTTPNotFound(text="This checkout has no such step.")
    if not visited.open:
        return visited.over(status=409)
    meant = visited.meant()
    if meant is not None and meant.does == "again":
        return visited.asked_again(meant)
    return visited.page(step)


async def act(request: web.Request) -> web.Response:
    visited = await _visited(request)
    name = request.match_info["does"]
    does = DEEDS[name]
    if name == "pay_all_the_same":
        return visited.do(does, None)
    if not visited.open and not (does == "pay" and may_pay_late(visited.sandbox, visited.session)):
        return visited.over(status=409)
    meant = visited.meant() if does == "pay" else None
    if meant is None:
        return visited.do(does, visited.entered.get(visited.look.transaction_field) or None)
    return visited.asked_again(meant) if meant.does == "again" else visited.do(meant.does, None)


async def _visited(request: web.Request) -> Visited:
    """The request with its checkout. Raises HTTPNotFound.

    The body is read before the session. From there on nothing waits, so no other tab acts in between.
    """
    form = await request.post() if request.method == "POST" else {}
    sandbox = request.app[SANDBOX]
    gateway = sandbox.gateways[request.match_info["provider"]]
    session = gateway.sessions.get(gateway.name, request.match_info["session_id"])
    if session is None:
        raise web.HTTPNotFound(text="This checkout does not exist.")
    look, order_page = LOOKS[gateway.name], request.app.get(ORDER_PAGE)
    typed = {field.name: form.get(field.name) for field in look.fields()}
    return Visited(
        sandbox=sandbox,
        gateway=gateway,
        session=session,
        look=look,
        address=gateway.checkout_url(sandbox.base(request, gateway.name), session.session_id),
        at=str(form.get("at", "")),
        stay="stay" in request.query,
        entered={name: value[:TYPED_CHARACTERS] for name, value in typed.items() if isinstance(value, str)},
        scripted=tuple(_named(trouble) for trouble in sandbox.troubles.about(gateway.name, session.reference)),
        order_page=order_page(session.reference) if order_page else None,
    )


def _named(trouble: Trouble) -> str:
    """A trouble by its script's title; a trouble of a call by its own name and the call's."""
    if trouble.kind == "shopper" and trouble.trouble in BY_NAME:
        return BY_NAME[trouble.trouble].title
    return f"{trouble.trouble.replace('_', ' ')} on {trouble.kind}"
