"""The hosted checkout page: GET shows what is to be paid and three buttons, POST .../pay, .../fail or .../cancel acts.

One page serves all gateways at `/<gateway>/checkout/<session id>`. A session that is over shows no buttons, or sends
the browser back where its gateway documents that.
"""

from __future__ import annotations

from html import escape

from aiohttp import web

from worker.sandbox.config import GATEWAYS
from worker.sandbox.gateway import Deed, Gateway, Impossible
from worker.sandbox.sandbox import SANDBOX
from worker.sandbox.sessions import Session
from worker.sandbox.shopper import Visit, perform

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{gateway} sandbox checkout</title></head>
<body><main><h1>{gateway} sandbox</h1>
<p>No real money moves here.</p>
<dl><dt>Order</dt><dd>{reference}</dd><dt>Amount</dt><dd>{amount} {currency}</dd><dt>Status</dt><dd>{status}</dd></dl>
{buttons}</main></body></html>
"""
BUTTON = (
    '<form method="post" action="{action}"><button type="submit" name="does" value="{does}">{label}</button></form>'
)
LABELS: tuple[tuple[Deed, str], ...] = (("pay", "Pay"), ("fail", "Let it fail"), ("cancel", "Cancel and return"))


def routes() -> list[web.RouteDef]:
    path = f"/{{provider:{'|'.join(GATEWAYS)}}}/checkout/{{session_id}}"
    return [web.get(path, show), web.post(path + "/{does:pay|fail|cancel}", act)]


async def show(request: web.Request) -> web.Response:
    gateway, session = _found(request)
    back = None if session.payable else gateway.closed_link(session)
    if back is not None:
        raise web.HTTPSeeOther(back)
    return _page(request, session)


async def act(request: web.Request) -> web.Response:
    gateway, session = _found(request)
    if not session.payable:
        back = gateway.closed_link(session)
        if back is not None:
            raise web.HTTPSeeOther(back)
        return _page(request, session, status=409)
    does: dict[str, Deed] = {"pay": "pay", "fail": "fail", "cancel": "cancel"}
    sandbox = request.app[SANDBOX]
    try:
        with sandbox.state.transaction():
            session, redirect = perform(gateway, session, Visit(does=does[request.match_info["does"]]))
    except Impossible as error:
        raise web.HTTPConflict(text=str(error)) from error
    sandbox.queued.set()
    if redirect is None:
        return _page(request, session)
    raise web.HTTPSeeOther(redirect)


def _found(request: web.Request) -> tuple[Gateway, Session]:
    gateway = request.app[SANDBOX].gateways[request.match_info["provider"]]
    session = gateway.sessions.get(gateway.name, request.match_info["session_id"])
    if session is None:
        raise web.HTTPNotFound(text="This checkout does not exist.")
    return gateway, session


def _page(request: web.Request, session: Session, *, status: int = 200) -> web.Response:
    path = f"{request.app[SANDBOX].base(request, session.provider)}/checkout/{session.session_id}"
    buttons = [BUTTON.format(action=escape(f"{path}/{does}"), does=does, label=label) for does, label in LABELS]
    page = PAGE.format(
        gateway=session.provider,
        reference=escape(session.reference),
        amount=escape(session.amount),
        currency=escape(session.currency),
        status=session.status,
        buttons="\n".join(buttons) if session.payable else "<p>This checkout is closed.</p>",
    )
    return web.Response(text=page, content_type="text/html", status=status)
