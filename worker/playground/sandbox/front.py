"""Between the wire and a gateway's file: counts each call, applies troubles, and writes the answer."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from schemas.wire import Unreadable
from worker.playground.sandbox import trouble_replies
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.pace import drawn_pace
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.simulated_gateway import SimulatedGateway
from worker.playground.sandbox.troubles import FALSIFIES, OF_ANSWERS, Trouble


def gateway_routes(sandbox: Sandbox, gateway: SimulatedGateway) -> list[web.RouteDef]:
    return [
        web.route(endpoint.method, f"/{gateway.name}{endpoint.path}", partial(_answer, sandbox, gateway, endpoint))
        for endpoint in gateway.endpoints()
    ]


async def _answer(
    sandbox: Sandbox, gateway: SimulatedGateway, endpoint: GatewayEndpoint, request: web.Request
) -> web.Response:
    call = Call(
        path=request.match_info,
        query=request.query,
        headers=request.headers,
        body=await request.read(),
        base=sandbox.base(request, gateway.name),
    )
    trouble, takes = _received(sandbox, gateway, endpoint, call)
    if takes > 0:
        await trouble_replies.pause(takes, sandbox.closing)
    if trouble is not None:
        other = await trouble_replies.instead(trouble, gateway, request, sandbox.closing)
        if other is not None:
            return _written(other) if isinstance(other, GatewayReply) else other
    reply = _work(sandbox, gateway, endpoint, call)
    sandbox.queued.set()
    if trouble is not None and reply.status >= 400 and trouble.trouble in OF_ANSWERS:
        sandbox.troubles.put_back(trouble)  # a refused call did no work; the next call has an answer to lose or falsify
        return _written(reply)
    if trouble is not None and trouble.trouble == "lost_answer":
        return trouble_replies.hang_up(request)
    if trouble is not None and trouble.trouble in FALSIFIES:
        reply = trouble_replies.falsified(gateway, reply, trouble.trouble)
    if trouble is not None and trouble.trouble == "json_in_json":
        return web.json_response(reply.written().decode(), status=reply.status)
    return _written(reply)


def _received(
    sandbox: Sandbox, gateway: SimulatedGateway, endpoint: GatewayEndpoint, call: Call
) -> tuple[Trouble | None, float]:
    """Count the call in any case. Returns the trouble that it meets, and its extra seconds."""
    with sandbox.state.transaction():
        reference, kind = endpoint.about(call), endpoint.kind_of(call)
        sandbox.state.db.execute(
            "INSERT INTO calls VALUES (?, ?, ?, 1) ON CONFLICT (provider, reference, kind) DO UPDATE SET n = n + 1",
            (gateway.name, reference or "", kind),
        )
        return sandbox.troubles.take(gateway.name, reference, kind), drawn_pace(sandbox.state, gateway.name)


def _work(sandbox: Sandbox, gateway: SimulatedGateway, endpoint: GatewayEndpoint, call: Call) -> GatewayReply:
    try:
        with sandbox.state.transaction():
            return endpoint.handler(call)
    except GatewayRefusal as refusal:
        return refusal.reply
    except Unreadable as error:
        return gateway.unreadable(str(error))


def _written(reply: GatewayReply) -> web.Response:
    return web.Response(
        status=reply.status, body=reply.written(), content_type="application/json", headers=dict(reply.headers)
    )
