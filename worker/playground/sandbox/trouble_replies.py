"""What a trouble does to a call: a response in place of the gateway's, or the gateway's reply falsified."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from aiohttp import web

from worker.playground.sandbox.gateway_call import GatewayReply
from worker.playground.sandbox.simulated_gateway import Change, SimulatedGateway
from worker.playground.sandbox.troubles import Trouble

PROXY_404: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "html_404": ("text/html", "<html><head><title>404 Not Found</title></head><body>nginx</body></html>"),
        "text_404": ("text/plain", "default backend - 404"),
        "json_404": ("application/json", '{"message":"Not Found"}'),
    }
)
"""The 404s of proxies between us and a gateway, in the order in which they show while a gateway is deployed."""
HTML = "<!doctype html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>"


async def instead(
    trouble: Trouble, gateway: SimulatedGateway, request: web.Request, closing: asyncio.Event
) -> web.Response | GatewayReply | None:
    """The response in place of the gateway's, before it does any work; None lets it work."""
    match trouble.trouble:
        case "timeout":
            await pause(trouble.duration, closing)
            return hang_up(request)
        case "slow":
            await pause(trouble.duration, closing)
            return None
        case "reset":
            return hang_up(request, reset=True)
        case "html":
            return web.Response(text=HTML, content_type="text/html")
        case "html_404" | "text_404" | "json_404" as name:
            kind, text = PROXY_404[name]
            return web.Response(status=404, text=text, content_type=kind)
        case "429":
            reply = gateway.failure(429, "Too many requests")
            return GatewayReply(status=429, body=reply.body, headers={"Retry-After": str(int(trouble.duration))})
        case "401" | "500" | "503":
            return gateway.failure(int(trouble.trouble), "Simulated trouble")
        case "not_found":
            return gateway.unknown(request.query)
        case _:
            return None


def falsified(gateway: SimulatedGateway, reply: GatewayReply, trouble: str) -> GatewayReply:
    """The reply, which is no error, with its places overwritten as the gateway's file says."""
    body = deepcopy(reply.body)
    for change in gateway.tampers.get(trouble, ()):
        _overwrite(body, change, add=change[0] in gateway.adds)
    return GatewayReply(status=reply.status, body=body, headers=reply.headers)


def hang_up(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close the connection under the answer, with a TCP reset if wanted. The returned response reaches no client."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def pause(seconds: float, closing: asyncio.Event) -> None:
    """Wait so long, or until the sandbox closes."""
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        pass


def _overwrite(place: Any, change: Change, *, add: bool) -> None:
    (name, *rest), value = change
    if isinstance(place, list):
        for item in place:
            _overwrite(item, change, add=add)
    elif isinstance(place, dict) and rest:
        _overwrite(place.get(name), (tuple(rest), value), add=add)
    elif isinstance(place, dict) and (add or name in place):
        place[name] = value(place[name]) if callable(value) else value
