"""The primary dies while buyers pay, and its streaming standby takes over.

Asynchronous: what was committed last is lost, also events that shops were sent. It is noticed and named, no id and no
position comes again with other contents, and every payment that is paid at its gateway ends as completed; the shop only
posts again the payments whose ids are not known any more. Synchronous: nothing is lost, and nothing rings.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from tests.broker import rabbitmq
from tests.fault.fleet import ROLES, Fleet
from tests.fault.judging import everything_told
from tests.fault.shoppers import AWAY, PatientBrowser, patiently
from tests.harness import IPAY, MONEYBAG, SHADHINPAY, Document, Gateway, Refused, Scene, Stage, free_ports, staged
from tests.processes import directory, until
from tests.standby import Pair, pair
from worker.postgres.server.migrate import apply_migrations
from worker.runtime.http_listener import Runner

SETTINGS = """\
return_wait = "1s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["3s"]
grace = "1h"
give_up = "2h"
"""
BUYERS = 6
GATEWAYS = (IPAY, MONEYBAG, SHADHINPAY)
SECONDS = 90.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = '\n[[merchants.webhooks]]\nurl = "http://127.0.0.1:{port}/"\nsecret = "{secret}"\n'


class Customer(Struct, kw_only=True):
    """A buyer's payment: what the shop posted, and what it got back at first."""

    gateway: Gateway
    request: Document
    payment_id: str
    paid: bool = False


class Receiver:
    """A webhook endpoint that keeps every event by its id. `conflicts`: ids that came with other bytes."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.heard: dict[str, bytes] = {}
        self.conflicts: list[str] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes([web.post("/", self._take)])
        runner = Runner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event_id = msgspec.json.decode(body)["id"]
        if self.heard.setdefault(event_id, body) != body:
            self.conflicts.append(event_id)
        return web.Response()


class Shop(Struct):
    """The shop's buyers under way, and the fleet that serves them."""

    fleet: Fleet
    servers: Pair
    stage: Stage
    receiver: Receiver
    customers: list[Customer]

    async def more_paid(self, count: int) -> None:
        wanted = count + sum(one.paid for one in self.customers)

        async def paid() -> bool:
            return sum(one.paid for one in self.customers) >= wanted

        await until(paid, what=f"{count} more payments paid", seconds=SECONDS)

    async def more_told(self, count: int) -> None:
        """Wait until so many more completions came by all three ways."""
        before = self._completions()

        async def told() -> bool:
            return len(self._completions() - before) >= count

        await until(told, what=f"{count} more completions told everywhere", seconds=SECONDS)

    def _completions(self) -> set[str]:
        fed = {one.id for one in self.stage.feed.all if one.word == "completed"}
        return fed & self.receiver.heard.keys() & self.fleet.subscriber.heard.keys()


@contextmanager
def installed(receiver: Receiver) -> Iterator[tuple[Fleet, Pair]]:
    with directory() as place, rabbitmq() as broker, pair(place) as servers, ThreadPoolExecutor(1) as aside:
        aside.submit(asyncio.run, apply_migrations(servers.moved_url)).result()
        merchants, roles = HOOK.format(port=receiver.port, secret=SECRET), ROLES | {"teller": "deliver"}
        fleet = Fleet(place, servers, broker, SETTINGS, merchants=merchants, roles=roles)
        try:
            aside.submit(asyncio.run, fleet.subscriber.bind()).result()
            fleet.start()
            yield fleet, servers
        finally:
            fleet.stop()


@asynccontextmanager
async def selling() -> AsyncIterator[Shop]:
    """Buyers come and pay while the block runs. Then all that they paid is checked."""
    receiver = Receiver()
    with installed(receiver) as (fleet, servers):
        async with (
            receiver.listening(),
            fleet.subscriber.listening(),
            staged(fleet) as shared,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        ):
            stage = msgspec.structs.replace(shared, browser=PatientBrowser(http))
            shop, over = Shop(fleet, servers, stage, receiver, []), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for nth in range(BUYERS):
                    group.create_task(buyers(shop, GATEWAYS[nth % len(GATEWAYS)], over))
                try:
                    await shop.more_told(6)
                    yield shop
                finally:
                    over.set()
            await assert_every_paid_payment_is_completed(shop)
            await assert_nothing_came_with_two_contents(shop)


async def buyers(shop: Shop, gateway: Gateway, over: asyncio.Event) -> None:
    """One buyer after the other opens, pays and returns, and comes again where the service is away."""
    number = 0
    while not over.is_set():
        number += 1
        scene = Scene(shop.stage, gateway, number)
        request, key = await scene.request(), secrets.token_hex(8)
        try:
            payment = await patiently(lambda body=request, key=key: shop.stage.shop.open(body, key))
        except Refused as refused:
            if not refused.code.startswith("reference_used"):  # it was opened on the server that died
                raise
            payment = await patiently(lambda named=request: by_reference(shop.stage, named))
        scene.payment = payment
        customer = Customer(gateway=gateway, request=request, payment_id=payment["payment_id"])
        shop.customers.append(customer)
        redirect = await scene.at_gateway("pay")
        customer.paid = True
        if redirect:
            await shop.stage.browser.get(redirect)


async def by_reference(stage: Stage, request: Document) -> Document:
    (found,) = (await stage.shop._call("GET", f"/v1/payments?reference={request['reference']}"))["payments"]
    payment: Document = found
    return payment


async def fail_over(shop: Shop) -> None:
    """The primary dies, the standby is promoted, and the fleet goes on."""
    await asyncio.to_thread(shop.servers.kill)
    await asyncio.to_thread(shop.servers.promote)
    await asyncio.to_thread(shop.fleet.restore)


async def post_again_what_is_gone(shop: Shop) -> list[Customer]:
    """What the runbook has the shop do: the payments that are not known any more are posted again. Returns them."""
    gone = []
    for one in shop.customers:
        if await known(shop.stage, one.payment_id):
            continue
        gone.append(one)
        with suppress(Refused):  # reference_used_at_gateway: the payment exists all the same
            await patiently(lambda body=one.request: shop.stage.shop.open(body))
        found = await by_reference(shop.stage, one.request)
        assert found["payment_id"] == one.payment_id, "it has the id again that the shop knows"
        await patiently(lambda named=found["payment_id"]: shop.stage.shop.verify(named))
    return gone


async def known(stage: Stage, payment_id: str) -> bool:
    try:
        await patiently(lambda: stage.shop.payment(payment_id))
    except Refused as refused:
        if refused.status != 404:
            raise
        return False
    return True


async def assert_every_paid_payment_is_completed(shop: Shop) -> None:
    async def unfinished() -> list[str]:
        wrong = []
        for one in shop.customers:
            session = await shop.stage.control.session(one.gateway.provider, one.request["reference"])
            now = await patiently(lambda body=one.request: by_reference(shop.stage, body))
            if (
                session is not None
                and session["status"] == "paid"
                and (now["status"], now["hold"])
                != (
                    "completed",
                    None,
                )
            ):
                wrong.append(f"{now['payment_id']} {one.gateway.name}: {now['status']}, {now['hold']}")
        return wrong

    left: list[str] = []

    async def none_is() -> bool:
        nonlocal left
        left = await unfinished()
        return not left

    try:
        await until(none_is, what="every paid payment is completed", seconds=SECONDS)
    except AssertionError:
        raise AssertionError("lost:\n" + "\n".join(left)) from None


async def assert_nothing_came_with_two_contents(shop: Shop) -> None:
    """Everything in the log was sent by all ways, and no id or position twice with different contents."""
    fleet, feed, receiver = shop.fleet, shop.stage.feed, shop.receiver
    log = await everything_told(shop.stage.shop)

    def missing() -> list[str]:
        wanted = {one.id: one.raw for one in log}
        ways = {
            "feed": {one.id: one.raw for one in feed.all},
            "RabbitMQ": fleet.subscriber.heard,
            "webhook": receiver.heard,
        }
        return [f"{one} by {name}" for name, way in ways.items() for one in wanted if way.get(one) != wanted[one]]

    try:
        await until(lambda: not missing(), what="every event of the log came by every way", seconds=SECONDS)
    except AssertionError:
        raise AssertionError("not told, or told otherwise:\n" + "\n".join(missing())) from None
    assert (feed.conflicts, fleet.subscriber.conflicts, receiver.conflicts) == ([], [], [])
    for way in (fleet.subscriber.heard, receiver.heard, {one.id: one.raw for one in feed.all}):
        for event_id, body in way.items():
            for other in (fleet.subscriber.heard, receiver.heard):
                assert other.get(event_id, body) == body, f"{event_id} has two contents"
    completions = Counter(one.subject for one in log if one.word == "completed")
    assert [payment_id for payment_id, times in completions.items() if times > 1] == []
    transactions = {json.loads(one.raw)["data"]["reference"]: set[str]() for one in log}
    for raw in [*(one.raw for one in log), *fleet.subscriber.heard.values(), *receiver.heard.values()]:
        data = msgspec.json.decode(raw)["data"]
        if data["transaction_id"] is not None:
            transactions.setdefault(data["reference"], set()).add(data["transaction_id"])
    assert [reference for reference, ids in transactions.items() if len(ids) > 1] == [], "paid twice"


async def figures(shop: Shop) -> tuple[float, Document]:
    """What the alert sees, and what /readyz of a process says."""
    url = shop.fleet.members["ingress"].ops_url
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        async with http.get(f"{url}/readyz") as answer:
            said: Document = await answer.json()
    (lost,) = [float(line.split()[1]) for line in lines if line.startswith("payproof_events_lost ")]
    return lost, said


def logged(shop: Shop, event: str) -> Sequence[Document]:
    lines = [line for log in shop.fleet.place.glob("*.log") for line in log.read_text(errors="replace").splitlines()]
    return [json.loads(line) for line in lines if f'"{event}"' in line]


async def test_what_an_asynchronous_standby_lost_is_named_and_found_again() -> None:
    async with selling() as shop:
        await asyncio.to_thread(shop.servers.caught_up)
        await asyncio.to_thread(shop.servers.cut)
        await shop.more_told(12)
        told = {one.id for one in shop.stage.feed.all}
        await fail_over(shop)
        await shop.more_told(6)

        async def found() -> bool:
            try:
                return (await figures(shop))[0] > 0
            except AWAY:
                return False

        await until(found, what="the alert sees that events were lost", seconds=SECONDS)
        log = {one.id for one in await everything_told(shop.stage.shop)}
        lost = told - log
        assert len(lost) >= 12, "the test lost what it means to"
        await until(lambda: lost <= {one["event_id"] for one in logged(shop, "event.lost")}, what="each is named")
        assert len(await post_again_what_is_gone(shop)) >= 6, "payments whose opening was lost"
        rang, ready = await figures(shop)
        assert rang >= len(lost)
        assert (ready["ready"], ready["lost_events"] > 0) == (True, True)


async def test_a_synchronous_standby_lost_nothing_and_nothing_rings() -> None:
    async with selling() as shop:
        await asyncio.to_thread(shop.servers.synchronous)
        await shop.more_told(6)
        told = {one.id for one in shop.stage.feed.all}
        await fail_over(shop)
        await shop.more_told(6)
        assert told <= {one.id for one in await everything_told(shop.stage.shop)}
        assert await post_again_what_is_gone(shop) == []
        assert (await figures(shop))[0] == 0
        assert logged(shop, "event.lost") == []
