"""The merchant API as its callers see it: two shops with their keys, over HTTP, in front of a real database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.bus import Bus
from consumers.ports.reply import Reply
from consumers.providers.ipay import IPay
from consumers.providers.moneybag import Moneybag
from consumers.providers.onepaybd import OnePayBD
from consumers.record_replies import record_dead_replies
from consumers.rules import Rules
from schemas.answers import Answer, Question
from schemas.secret import Secret
from schemas.words import Scope, Status
from tests.fakes.checkout import FakeCheckout
from worker.api.auth import authenticate
from worker.api.context import Api
from worker.api.event_waiters import EventWaiters
from worker.api.openapi import openapi_document
from worker.api.operations import OPERATIONS, PATTERNS
from worker.api.problem_samples import problem_examples
from worker.api.problems import problems
from worker.api.routes import routes
from worker.config import ApiKey, Config, Merchant, Settings
from worker.ingress.rate_limits import RateLimits
from worker.postgres.database import Database
from worker.postgres.events.event_log import assign_positions
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.reads.read_turns import ReadTurns
from worker.telemetry.metrics import Metrics

PUBLIC = "http://pay.test"
NEAR = "http://127.0.0.1:9"
FAR = "https://gateway.example"
KEYS = {"shop": "key-of-the-shop-that-may-all", "other": "key-of-the-other-that-may-all"}
OLDER_KEY = "an-older-key-of-api-keys"
"""It may all but resolve."""
ORDER = {
    "account": "shop-one",
    "reference": "order-7831-a1",
    "amount": "1500.50",
    "currency": "BDT",
    "description": "Two saris",
    "return_url": "https://shop.example/thanks?order=7831",
}
TRACKED = {
    "account": "shop-one",
    "reference": "order-7831-a1",
    "amount": "1500.50",
    "currency": "BDT",
    "session_id": "TR-1",
}


def _account(merchant: str, name: str, base_url: str = NEAR, kind: str = "onepaybd") -> Account:
    key = Secret(f"key-of-{merchant}-{name}")
    match kind:
        case "ipay":
            return Account(id=name, merchant=merchant, provider=IPay(base_url=base_url, api_key=key))
        case "moneybag":
            provider = Moneybag(base_url=base_url, api_key=key, webhook_secret=key)
            return Account(id=name, merchant=merchant, provider=provider)
    return Account(id=name, merchant=merchant, provider=OnePayBD(base_url=base_url, api_key=key))


CONFIG = Config(
    merchants=(
        Merchant(
            id="shop",
            api_keys=(Secret(OLDER_KEY),),
            keys=(ApiKey(name="all", key=Secret(KEYS["shop"]), may=frozenset(Scope)),),
            accounts=(
                _account("shop", "shop-one"),
                _account("shop", "shop-ipay", kind="ipay"),
                _account("shop", "shop-bag", kind="moneybag"),
                _account("shop", "shop-far", FAR),
                _account("shop", "shop-compose", "http://sandbox:8090"),
            ),
        ),
        Merchant(
            id="other",
            keys=(ApiKey(name="all", key=Secret(KEYS["other"]), may=frozenset(Scope)),),
            accounts=(_account("other", "other-one"),),
        ),
    ),
    allow_http_hosts=frozenset({"sandbox"}),
    settings=Settings(
        config_path=Path("payproof.toml"),
        database_url=None,
        data_dir=Path(".payproof"),
        amqp_url=None,
        public_url=PUBLIC,
        listen=("127.0.0.1", 0),
        ops_listen=("127.0.0.1", 0),
        log="json",
    ),
)
RULES = Rules(accounts={one.id: one for one in CONFIG.accounts}, checks=CONFIG.checks, public_url=PUBLIC)


class Got(Struct, frozen=True):
    """A whole HTTP answer."""

    status: int
    body: Any
    headers: Any
    raw: bytes

    @property
    def problem(self) -> tuple[int, str, str | None]:
        """Status, code and field of an error."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        return self.status, self.body["code"], self.body.get("field")


DOCUMENT = openapi_document(PUBLIC, "1")
NAMED_HEADERS = ("Idempotent-Replayed", "Retry-After", "WWW-Authenticate")


def _expect_documented(method: str, path: str, status: int, code: str | None, headers: Container[str]) -> None:
    """The code and the headers of an answer are those of the operation in `/openapi.json`, where it has that path."""
    for one in OPERATIONS:
        form = re.escape(one.path)
        for name, pattern in PATTERNS.items():
            form = form.replace(re.escape(f"{{{name}}}"), pattern)
        if one.method == method and re.fullmatch(form, path):
            described = DOCUMENT["paths"][one.path][method]["responses"][str(status)]
            for header in NAMED_HEADERS:
                assert header not in headers or header in described.get("headers", {}), f"{one.name} {status} {header}"
            if code is not None:
                assert code in problem_examples(one.name, status), f"{code} is no example of {one.name} with {status}"
            return


class Shops:
    """Speaks to the API as one of the shops, with access to the `checkout`, `database` and `api` behind it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, api: Api, checkout: FakeCheckout) -> None:
        self.url = url
        self.api = api
        self.database = api.database
        self.checkout = checkout
        self.session = session

    async def call(self, method: str, path: str, *, shop: str | None = "shop", **more: Any) -> Got:
        headers = {"Authorization": f"Bearer {KEYS[shop]}"} if shop else {}
        headers |= more.pop("headers", {})
        async with self.session.request(method, self.url + path, headers=headers, **more) as response:
            raw = await response.read()
            document = response.status == 200 and not path.startswith("/v1")
            kinds = ("application/json", "application/schema+json" if document else "application/problem+json")
            assert response.content_type in kinds, raw
            assert response.headers["Cache-Control"] == ("public, max-age=3600" if document else "no-store")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            read = await response.json(content_type=None) if raw else None
            code = read["code"] if response.content_type == "application/problem+json" else None
            _expect_documented(method.lower(), path, response.status, code, response.headers)
            return Got(response.status, read, response.headers, raw)

    async def get(self, path: str, shop: str = "shop", **params: Any) -> Got:
        return await self.call("GET", path, shop=shop, params=params)

    async def post(self, path: str, body: Any, *, shop: str = "shop", key: str | None = None) -> Got:
        headers = {"Idempotency-Key": key} if key is not None else {}
        return await self.call("POST", path, shop=shop, json=body, headers=headers)

    async def open(self, *, shop: str = "shop", key: str | None = None, **changes: Any) -> Got:
        return await self.post("/v1/payments", {**ORDER, **changes}, shop=shop, key=key)

    async def opened(self, **changes: Any) -> dict[str, Any]:
        got = await self.open(**changes)
        assert got.status == 201, got
        return got.body

    async def send(self, body: bytes, path: str = "/v1/payments", **headers: str) -> Got:
        return await self.call("POST", path, data=body, headers={"Content-Type": "application/json", **headers})

    async def answered(self, payment: dict[str, Any], status: Status, **changes: Any) -> None:
        """Record that the gateway was asked about the payment and answered this."""
        now = self.database.clock.now()
        answer = Answer(
            status=status,
            word=status.value,
            session_id=payment["session_id"],
            reference=payment["reference"],
            amount=Decimal(payment["amount"]),
            currency="BDT",
            transaction_id=f"T-{payment['payment_id'][-6:]}" if status.paid else None,
        )
        reply = Reply(
            payment_id=payment["payment_id"],
            question=Question(),
            asked_at=now,
            answered_at=now,
            outcome=replace(answer, **changes),
        )
        await record_dead_replies(self.api.ledger, RULES, [reply])

    async def placed(self) -> None:
        while await assign_positions(self.database, 1000):
            pass

    async def queued(self) -> list[dict[str, Any]]:
        rows = await self.database.fetch("SELECT body FROM queue ORDER BY id")
        return [msgspec.json.decode(row["body"]) for row in rows]


@asynccontextmanager
async def serving(database: Database, *, bus: Bus | None = None, **changes: Any) -> AsyncIterator[Shops]:
    """The API on a free port; `changes` are fields of its context."""
    checkout = FakeCheckout()
    given = {
        "config": CONFIG,
        "rules": RULES,
        "database": database,
        "reads": ReadTurns(database),
        "event_waiters": EventWaiters(database),
        "ledger": PostgresLedger(database),
        "bus": bus or PostgresBus(database),
        "open_checkout": checkout,
        "wrong_key_wait": RateLimits().wrong_key_wait,
        "keys_refused": Metrics().keys_refused,
    }
    api = Api(**{**given, **changes})
    app = web.Application(middlewares=[problems, authenticate(api)])
    app.add_routes(routes(api))
    runner = web.AppRunner(app, auto_decompress=False, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            yield Shops(session, f"http://127.0.0.1:{port}", api, checkout)
    finally:
        checkout.release()
        await runner.cleanup()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
