"""The sandbox's web application and its process: the gateways, their pages and the control API on one port."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from worker.playground.sandbox import background, control, front, simulated_sns, welcome
from worker.playground.sandbox.checkout import ORDER_PAGE
from worker.playground.sandbox.checkout import checkout_routes as checkout
from worker.playground.sandbox.sandbox import SANDBOX, Sandbox
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.playground.shop.shop_app import mount
from worker.runtime.http_listener import Runner

SHUTDOWN_SECONDS = 2.0


def make_app(config: SandboxConfig) -> web.Application:
    """The application; it opens its state now and closes it with the app. `/<gateway>` is each gateway's base URL."""
    sandbox = Sandbox(config)
    app = web.Application(middlewares=[_notice_expiry])
    app[SANDBOX] = sandbox
    for gateway in sandbox.gateways.values():
        app.add_routes(front.gateway_routes(sandbox, gateway))
    app.add_routes(simulated_sns.sns_routes(lambda: sandbox.bkash.sns, "bkash"))
    app.add_routes(checkout.checkout_routes())
    app.add_routes(control.control_routes())
    if config.shop is None:
        app.add_routes(welcome.welcome_routes())
    else:
        mount(app, config.shop)
        app[ORDER_PAGE] = lambda reference: f"/orders/{quote(reference, safe='')}"
    app.on_shutdown.append(_end_waits)
    app.cleanup_ctx.append(_open_state)
    app.cleanup_ctx.append(background.working)
    return app


async def run_sandbox(config: SandboxConfig) -> None:
    """Serve until SIGTERM or SIGINT, or until cancelled. Prints the address on stdout once it listens."""
    runner = Runner(make_app(config), shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"Sandbox listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        await runner.cleanup()


@web.middleware
async def _notice_expiry(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[SANDBOX].expire()
    return await handler(request)


async def _end_waits(app: web.Application) -> None:
    app[SANDBOX].closing.set()


async def _open_state(app: web.Application) -> AsyncIterator[None]:
    yield
    app[SANDBOX].state.close()
