"""The sandbox as one object: its config, its state, its gateways, and the signals its tasks wait for."""

from __future__ import annotations

import asyncio

from aiohttp import web

from worker.playground.sandbox.aamarpay import AamarPay
from worker.playground.sandbox.announcing import announce_happening
from worker.playground.sandbox.bkash import Bkash
from worker.playground.sandbox.eps import Eps
from worker.playground.sandbox.ipay import IPay
from worker.playground.sandbox.moneybag import Moneybag
from worker.playground.sandbox.onepaybd import OnePayBD
from worker.playground.sandbox.payparse import PayParse
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.playground.sandbox.sessions import Sessions
from worker.playground.sandbox.shadhinpay import ShadhinPay
from worker.playground.sandbox.shurjopay import ShurjoPay
from worker.playground.sandbox.simulated_gateway import SimulatedGateway
from worker.playground.sandbox.sslcommerz import SSLCommerz
from worker.playground.sandbox.state import State
from worker.playground.sandbox.troubles import Troubles
from worker.playground.sandbox.uddoktapay import UddoktaPay

KINDS: tuple[type[SimulatedGateway], ...] = (
    PayParse,
    OnePayBD,
    ShadhinPay,
    Moneybag,
    IPay,
    SSLCommerz,
    Bkash,
    ShurjoPay,
    AamarPay,
    Eps,
    UddoktaPay,
)


class Sandbox:
    """`closing` ends every wait at shutdown; `queued` wakes the task that sends webhooks and does due work."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.state = State(config.state, config.seed, anew=config.reset)
        self.sessions = Sessions(self.state)
        self.troubles = Troubles(self.state)
        gateways = (kind(config, self.state) for kind in KINDS)
        self.gateways: dict[str, SimulatedGateway] = {gateway.name: gateway for gateway in gateways}
        self.bkash = Bkash(config, self.state)
        self.closing = asyncio.Event()
        self.queued = asyncio.Event()

    def base(self, request: web.Request, gateway: str) -> str:
        """The gateway's base URL as the client of this request reaches it."""
        return f"{self.root(request)}/{gateway}"

    def root(self, request: web.Request) -> str:
        """The sandbox's own address as the client of this request reaches it."""
        return (self.config.public_url or f"{request.scheme}://{request.host}").rstrip("/")

    def expire(self) -> None:
        """End the sessions whose time is over, and announce those that want it."""
        with self.state.transaction():
            for session in self.sessions.expire(self.state.now()):
                announce_happening(self.gateways[session.provider], session, "expired")


SANDBOX = web.AppKey("sandbox", Sandbox)
