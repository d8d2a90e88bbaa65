"""One program at its gateways: acts are done one at a time, each when all effects of the last are over.

The result must not depend on how slow the machine is. So schedules are so long that only immediate work is due by
itself, and other work is made due explicitly. Only the wait between two Executes cannot be set; it is waited for.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncpg

from consumers.timing import TIMING
from tests.compare.acts import Act, reference
from tests.harness import (
    MONEYBAG,
    OPENED,
    SHADHINPAY,
    Child,
    Control,
    ControlError,
    Document,
    Refused,
    StoryShop,
    System,
    ToldEvent,
    read_event,
    read_feed_page,
)
from tests.processes import directory, until
from worker.playground.shop.ordering import CUSTOMER

SETTINGS = """\
return_wait = "0s"

[checks]
claimed = ["1ms", "1h"]
pending = ["1h"]
closed = ["1h", "24h"]
refunds = ["1d", "7d", "30d"]
grace = "0s"
confirm_end = "1ms"
give_up = "7d"
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHOP = "https://shop.example"
EVENTS = ("paid", "failed", "cancelled", "refunded")
"""The checkout states that gateways report by themselves."""

QUIET_SECONDS = 300.0
"""An unanswered Execute is in doubt for a minute, and may be so again."""

MARGIN_SECONDS = 0.1
PAGE = 100
_QUIET = """
    SELECT NOT (EXISTS (SELECT FROM queue)
        OR EXISTS (SELECT FROM payments WHERE next_check_at < clock_timestamp() + interval '2 minutes')
        OR EXISTS (SELECT FROM events WHERE place IS NULL)
        OR EXISTS (SELECT FROM endpoints WHERE place < (SELECT max(place) FROM events))
        OR EXISTS (SELECT FROM deliveries WHERE next_at IS NOT NULL))
"""
_UNDER_WAY = """
    SELECT 'due' AS what, id, next_check_at AS at FROM payments
    WHERE next_check_at < clock_timestamp() + interval '2 minutes'
    UNION ALL SELECT 'queued', claim_id, available_at FROM queue
    UNION ALL SELECT 'not delivered', event_id, next_at FROM deliveries WHERE next_at IS NOT NULL
"""
_RESTED = """
    SELECT NOT EXISTS (SELECT FROM payments p WHERE account = $1 AND execute_asked_at > clock_timestamp() - $3::interval
        AND (reference = $2 OR order_ref = (SELECT order_ref FROM payments WHERE account = $1 AND reference = $2)))
"""
_MOVED = {
    "is due": "next_check_at = clock_timestamp()",
    "ends here": "expires_at = least(expires_at, clock_timestamp()), next_check_at = clock_timestamp()",
    "gives up": "opened_at = least(opened_at, clock_timestamp() - interval '8 days'), expires_at = least(expires_at, "
    "clock_timestamp()), next_check_at = clock_timestamp()",
}
_MOVE = "UPDATE payments SET {} WHERE account = $1 AND reference = $2 AND next_check_at IS NOT NULL"
_WAKE = """SELECT pg_notify('payproof', '{"look_at": "2000-01-01T00:00:00Z"}')"""


class Player:
    """Does acts at one system, and keeps their results: `answers` is in the order of the acts."""

    def __init__(
        self, root: Path, system: System, http: aiohttp.ClientSession, database: asyncpg.Connection[Any]
    ) -> None:
        self._root, self.system, self._http, self._database = root, system, http, database
        self.shop = StoryShop(http, system.url, system.key, SHOP)
        self.control = Control(http, system.sandbox_url)
        self.answers: list[str] = []
        self.payments: dict[int, Document] = {}
        self._sent_to: dict[int, str] = {}
        self._sessions: dict[int, str] = {}

    async def does(self, act: Act) -> None:
        """Do one act, record its answer and wait for the end of its effects. Raises AssertionError without that end."""
        await self._rested(act)
        try:
            told = await self._do(act)
        except Refused as refused:
            told = f"{refused.status} {refused.code}"
        except ControlError as error:
            told = f"not at the gateway: {error}"
        self.answers.append(f"{act}: {told}")
        await self._over(act)

    async def _do(self, act: Act) -> str:
        named = {"provider": act.gateway.provider, "reference": reference(act.n)}
        payment = self.payments.get(act.n)
        match act.does:
            case "opens":
                return self._opened(act, await self.shop.open(_request(act)))
            case "opens elsewhere":
                back = f"{self.system.url}/return/{act.gateway.account}"
                self._sessions[act.n] = await OPENED[act.gateway.provider](self.control, _request(act), back)
                return "opened there"
            case "registers":
                body = {name: value for name, value in _request(act).items() if name != "customer"}
                return self._opened(act, await self.shop.track(body | {"session_id": self._sessions[act.n]}))
            case "troubles":
                await self.control.post("troubles", **named, **act.how)
                return "set"
            case "acts":
                how = dict(act.how)
                if (other := how.pop("transaction_of", None)) is not None:
                    how["transaction_id"] = await self._transaction(act, other)
                tells = how.pop("webhook")
                acted = await self.control.post("shopper", **named, **how, webhook=False, returns=False)
                self._sent_to[act.n] = acted["redirect"] or ""
                return f"sent to {acted['redirect']}" + (await self._tell(act, named) if tells else "")
            case "returns":
                return await self._visit(self._sent_to[act.n]) if self._sent_to.get(act.n) else "sent nowhere"
            case "says":
                if payment is None:
                    return "not opened"
                said = f"/{act.how['said']}" if act.how["said"] else ""
                path = f"/return/{act.gateway.account}/{payment['payment_id']}{said}"
                return await self._one_by_one(act, lambda: self._visit(self.system.url + path))
            case "names":
                path = f"/{'ipn' if act.how['ipn'] else 'return'}/{act.gateway.account}"
                return await self._visit(f"{self.system.url}{path}?{urlencode(await self._ids(act))}")
            case "notifies":
                how = named | {name: value for name, value in act.how.items() if name != "times"}
                return await self._one_by_one(act, lambda: self._webhook(how))
            case "ends there":
                await self.control.post("expire", **named)
                return "ended"
            case "refunds":
                await self.control.post("refund", **named, amount=act.how["amount"], webhook=False)
                return "given back" + (await self._tell(act, named) if act.how["webhook"] else "")
            case "ends here" | "gives up" | "is due":
                moved = await self._database.execute(
                    _MOVE.format(_MOVED[act.does]), act.gateway.account, reference(act.n)
                )
                await self._database.execute(_WAKE)
                return moved
            case "verifies":
                return "not opened" if payment is None else _shown(await self.shop.verify(payment["payment_id"]))
            case "resolves":
                if payment is None:
                    return "not opened"
                decision = {"actor": "rahima", "reason": "seen in the bank's statement", **act.how}
                return _shown(await self.shop.resolve(payment["payment_id"], **decision))

    def _opened(self, act: Act, payment: Document) -> str:
        self.payments[act.n] = payment
        return _shown(payment)

    async def _one_by_one(self, act: Act, do: Callable[[], Awaitable[str]]) -> str:
        """Do it as often as the act says, each time after the last one's effects are over."""
        told = [await do()]
        for _ in range(1, act.how.get("times", 1)):
            await self._over(act)
            await self._rested(act)
            told.append(await do())
        return ", ".join(told)

    async def _tell(self, act: Act, named: Mapping[str, str]) -> str:
        """The gateway reports how the checkout stands: by a signed webhook, and then in the unsigned form."""
        session = await self.control.session(act.gateway.provider, reference(act.n))
        if act.gateway not in (MONEYBAG, SHADHINPAY) or session is None or session["status"] not in EVENTS:
            return ""
        told = await self._webhook({**named, "event": session["status"]})
        if act.gateway is MONEYBAG and act.n in self.payments:
            await self._over(act)
            told += ", " + await self._webhook({**named, "ipn": True})
        return f", told {told}"

    async def _webhook(self, how: Mapping[str, Any]) -> str:
        return str((await self.control.post("webhook", **how))["statuses"])

    async def _transaction(self, act: Act, n: int) -> str | None:
        session = await self.control.session(act.gateway.provider, reference(n))
        return None if session is None else session["transaction_id"]

    async def _ids(self, act: Act) -> Mapping[str, str]:
        """The parameters of an address, in the words of every gateway at once."""
        session = await self.control.session(act.gateway.provider, reference(act.n))
        match act.how["by"]:
            case "reference":
                ids = {"order_id": reference(act.n), "referenceId": reference(act.n), "order_ref": reference(act.n)}
            case "session":
                told = "" if session is None else session["session_id"]
                ids = {"paymentID": told, "paymentId": told, "payment_id": told, "orderId": told}
            case "transaction":
                ids = {"transaction_id": (session or {}).get("transaction_id") or "", "order_id": reference(act.n)}
            case "another's transaction":
                ids = {"transaction_id": await self._transaction(act, act.how["another"]) or ""}
                ids["order_id"] = reference(act.n)
            case _:
                ids = {"transaction_id": f"txn{act.n:032d}", "order_id": reference(act.n)}
        return {name: value for name, value in ids.items() if value} | {"status": act.how["said"]}

    async def _visit(self, url: str) -> str:
        timeout = aiohttp.ClientTimeout(total=20)
        async with self._http.get(url, allow_redirects=False, timeout=timeout) as response:
            await response.read()
            return f"{response.status} {response.headers.get('Location', '')}".rstrip()

    async def _rested(self, act: Act) -> None:
        """Wait until an Execute of the same order would not come too soon after the last one."""

        async def rested() -> bool:
            about = (act.gateway.account, reference(act.n), TIMING.execute_spacing + timedelta(seconds=MARGIN_SECONDS))
            return bool(await self._database.fetchval(_RESTED, *about))

        await until(rested, what=f"rest before {act}", seconds=QUIET_SECONDS)

    async def _over(self, act: Act) -> None:
        """Wait until no work on the payment is in progress, or due."""

        async def quiet() -> bool:
            return bool(await self._database.fetchval(_QUIET))

        try:
            await until(quiet, what=f"quiet after {act}", seconds=QUIET_SECONDS)
        except AssertionError as error:
            raise AssertionError(
                f"{self._root}: {error}; under way: {await self._database.fetch(_UNDER_WAY)}"
            ) from None

    async def known(self) -> list[Document]:
        """Every payment as the API shows it, also unexpected ones, by account and reference."""
        found: list[Document] = []
        cursor: Mapping[str, str] = {}
        headers = {"Authorization": f"Bearer {self.system.key}"}
        while True:
            url = f"{self.system.url}/v1/payments?{urlencode({'limit': PAGE, **cursor})}"
            async with self._http.get(url, headers=headers) as response:
                page = await response.json()
            found += page["payments"]
            if page["next_cursor"] is None:
                return sorted(found, key=lambda one: (one["account"], one["reference"]))
            cursor = {"cursor": page["next_cursor"]}

    async def told(self) -> Mapping[str, list[ToldEvent]]:
        """Every event, by payment."""
        by: dict[str, list[ToldEvent]] = defaultdict(list)
        page = await read_feed_page(self.shop, None)
        while page.events:
            for one in map(read_event, page.events):
                by[one.subject].append(one)
            page = await read_feed_page(self.shop, page.next)
        return by


@asynccontextmanager
async def playing(root: Path, seed: int) -> AsyncIterator[Player]:
    """The program of the checkout at `root`, with its own database and gateways.

    The gateways are this checkout's, and draw their ids from the seed.
    """
    with directory() as place:
        system = System(place, settings=SETTINGS, secret=SECRET)
        settings = {name: value for name, value in system.settings.items() if name != "PAYPROOF_AMQP_URL"}
        settings["PYTHONPATH"] = str(root)
        system.service = Child("payproof", "worker.cli", "serve", log=place / "payproof.log", settings=settings)
        joined = system.joined()
        await asyncio.to_thread(system.start)
        try:
            url = await asyncio.to_thread(joined.__enter__)
            try:
                database = await asyncpg.connect(url)
                async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
                    player = Player(root, system, http, database)
                    await player.control.post("reset", seed=seed)
                    yield player
                await database.close()
            finally:
                await asyncio.to_thread(joined.__exit__, None, None, None)
        finally:
            await asyncio.to_thread(system.stop)


def _request(act: Act) -> Document:
    body = {
        "account": act.gateway.account,
        "reference": reference(act.n),
        "amount": f"{1000 + act.n % 900}.50",
        "currency": "BDT",
        "description": f"Order {act.n}",
        "return_url": f"{SHOP}/thanks",
        "failure_url": f"{SHOP}/failed",
        "cancel_url": f"{SHOP}/cancelled",
        "customer": CUSTOMER,
    }
    return body | ({"order": act.how["order"]} if act.how.get("order") else {})


def _shown(payment: Document) -> str:
    return f"{payment['status']}, held {payment['hold']}, version {payment['version']}"
