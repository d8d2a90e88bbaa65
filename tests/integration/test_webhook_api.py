"""A shop looks at its endpoints and their deliveries over HTTP, and has an event sent again; what attempts leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from msgspec.structs import replace
from structlog.testing import capture_logs

from schemas.secret import Secret
from tests.integration.endpoints import SECRET, Hook, happen, hooking
from tests.integration.shops import CONFIG, Got, Shops, serving
from tests.logins import LOGINS, as_user, make_logins
from worker.config import Config, Webhook
from worker.config.webhook_endpoints import Endpoint, endpoints_of
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import KEPT_BYTES, sender
from worker.postgres.database import Database, connect
from worker.postgres.events.delivery_reads import last_attempt, read_attempts, read_delivery
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.telemetry.metrics import Metrics

PERSONAL = "Karim Uddin 01700000000"


def configured(*webhooks: Webhook) -> Config:
    shop, *others = CONFIG.merchants
    return replace(CONFIG, allow_private_webhooks=True, merchants=(replace(shop, webhooks=webhooks), *others))


class Turning:
    """The worker of an endpoint, which sends when `turn` is called."""

    def __init__(self, worker: EndpointWorker, endpoint: Endpoint, hook: Hook) -> None:
        self.endpoint, self.hook, self._worker = endpoint, hook, worker

    async def turn(self) -> None:
        """Send what is due, and record it."""
        async with asyncio.TaskGroup() as group:
            await self._worker.cycle(group)
            while self._worker.busy:
                await self._worker.woken(5)
                await self._worker.cycle(group)


@asynccontextmanager
async def turning(database: Database, hook: Hook, config: Config) -> AsyncIterator[Turning]:
    async with sender(database.clock.now, private=True) as sending:
        (endpoint,) = await begin_endpoints(database, endpoints_of(config))
        yield Turning(EndpointWorker(endpoint, database, sending, Metrics(), database.clock.now), endpoint, hook)


class Scene:
    """A shop's API beside the worker of its endpoint."""

    def __init__(self, shops: Shops, sending: Turning) -> None:
        self.shops, self.endpoint, self.hook, self.turn = shops, sending.endpoint, sending.hook, sending.turn
        self.path = f"/v1/webhooks/{sending.endpoint.id}/deliveries"

    async def webhook(self) -> dict[str, Any]:
        (found,) = (await self.shops.get("/v1/webhooks")).body["webhooks"]
        return found

    async def deliveries(self, **params: Any) -> list[dict[str, Any]]:
        return (await self.shops.get(self.path, **params)).body["deliveries"]

    async def resend(self, event_id: str, shop: str = "shop") -> Got:
        return await self.shops.call("POST", f"{self.path}/{event_id}/resend", shop=shop)

    async def left(self, event_id: str) -> dict[str, Any] | None:
        async with self.shops.database.connection() as connection:
            delivery = await read_delivery(connection, self.endpoint.id, event_id)
            assert delivery is not None
            return await last_attempt(connection, self.endpoint.id, delivery)


@asynccontextmanager
async def playing(database: Database, hook: Hook, api: Database | None = None) -> AsyncIterator[Scene]:
    """`api` is the database as the API's process uses it."""
    async with hooking(hook):
        config = configured(Webhook(id="main", url=f"{hook.url}?token=of-the-shop", secret=Secret(SECRET)))
        async with turning(database, hook, config) as sending, serving(api or database, config=config) as shops:
            yield Scene(shops, sending)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with playing(database, Hook()) as scene:
        yield scene


async def test_a_shop_sees_that_a_webhook_failed_and_has_it_sent_again(scene: Scene, database: Database) -> None:
    scene.hook.answers = 500
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    seen = await scene.webhook()
    assert (seen["id"], seen["name"], seen["state"]) == (scene.endpoint.id, "main", "failing")
    assert (seen["waiting"], seen["failures"], seen["given_up"]) == (1, 1, 0)
    assert seen["last_answer"]["words"] == "it answered 500"
    (waiting,) = await scene.deliveries(state="waiting")
    assert [waiting] == await scene.deliveries()
    assert (waiting["event_id"], waiting["state"], waiting["attempts"]) == (event_id, "waiting", 1)
    assert waiting["answer"] == "it answered 500"
    assert seen["oldest_waiting"] == waiting["time"]
    scene.hook.answers = 204
    got = await scene.resend(event_id)
    assert (got.status, got.body["state"]) == (202, "waiting")
    assert got.body["next_try"] < waiting["next_try"]
    await scene.turn()
    (told,) = await scene.deliveries()
    assert (told["state"], told["attempts"], told["answer"]) == ("delivered", 2, "it answered 204")
    assert told["next_try"] is None
    seen = await scene.webhook()
    assert (seen["state"], seen["waiting"], seen["oldest_waiting"]) == ("delivering", 0, None)
    assert seen["last_answer"]["words"] == "it answered 204"


async def test_a_delivered_event_is_sent_again_with_its_id(scene: Scene, database: Database) -> None:
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    assert scene.hook.taken == [event_id]
    assert (await scene.resend(event_id)).status == 202
    await scene.turn()
    assert scene.hook.taken == [event_id, event_id]
    (_, first), (_, second) = scene.hook.requests
    assert first == second
    (told,) = await scene.deliveries()
    assert (told["state"], told["attempts"]) == ("delivered", 2)


async def test_an_attempt_that_a_person_asks_for_is_no_step_of_the_schedule(scene: Scene, database: Database) -> None:
    scene.hook.answers = 503
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    for _ in range(3):
        await scene.resend(event_id)
        await scene.turn()
    (row,) = await database.fetch("SELECT attempts, step FROM deliveries")
    assert (row["attempts"], row["step"]) == (4, 1)
    await database.execute("UPDATE deliveries SET next_at = NULL, given_up_at = now(), step = 10")
    await scene.resend(event_id)
    (row,) = await database.fetch("SELECT attempts, step, given_up_at FROM deliveries")
    assert (row["attempts"], row["step"], row["given_up_at"]) == (4, 0, None), "one that was given up begins anew"


async def test_an_open_breaker_lets_the_event_through_that_is_sent_again(scene: Scene, database: Database) -> None:
    scene.hook.answers = 500
    events = await happen(database, 5, merchant="shop")
    await scene.turn()
    seen = await scene.webhook()
    assert (seen["failures"], seen["next_try"] is not None) == (5, True)
    scene.hook.answers = 204
    await scene.turn()
    assert scene.hook.taken == []
    await scene.resend(events[3])
    await scene.turn()
    assert scene.hook.taken[0] == events[3]


async def test_a_blocked_endpoint_is_sent_nothing_until_it_is_enabled(scene: Scene, database: Database) -> None:
    scene.hook.answers = 410
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    later = await happen(database, 3, merchant="shop")
    seen = await scene.webhook()
    assert (seen["state"], seen["waiting"]) == ("blocked", 1 + len(later)), "events without a delivery wait too"
    assert seen["blocked_since"] is not None
    assert (await scene.resend(event_id)).status == 202
    await scene.turn()
    assert len(scene.hook.heard) == 1


async def test_pages_have_every_delivery_once(scene: Scene, database: Database) -> None:
    scene.hook.answers = 500
    mine, others = await happen(database, 7, merchant="shop"), await happen(database, 2, merchant="other")
    await scene.turn()
    await database.execute(
        "UPDATE deliveries SET next_at = NULL, given_up_at = now() WHERE event_id = ANY($1)", mine[:3]
    )

    async def walk(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = (await scene.shops.get(scene.path, limit=2, **params)).body
            found += [one["event_id"] for one in page["deliveries"]]
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]

    assert await walk() == list(reversed(mine))
    assert await walk(state="given_up") == list(reversed(mine[:3]))
    assert sorted(await walk(state="waiting")) == mine[3:]
    assert others


async def test_a_page_looks_at_a_bounded_number_of_events_and_goes_on_behind_them(
    scene: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.postgres.events.delivery_reads.SCANNED", 3)
    (old,) = await happen(database, merchant="shop")
    await scene.turn()
    await happen(database, 7, merchant="shop")  # the endpoint has no deliveries of these yet
    pages, params = [], {}
    while True:
        page = (await scene.shops.get(scene.path, limit=5, **params)).body
        pages.append([one["event_id"] for one in page["deliveries"]])
        if page["next_cursor"] is None:
            break
        params = {"cursor": page["next_cursor"]}
    assert pages == [[], [], [old]]


async def test_wrong_parameters_and_things_of_others_are_refused(scene: Scene, database: Database) -> None:
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    for params, field in (({"state": "delivered"}, "state"), ({"limit": 101}, "limit"), ({"cursor": "eA"}, "cursor")):
        assert (await scene.shops.get(scene.path, **params)).problem == (422, "invalid_request", field)
    page = (await scene.shops.get(scene.path, limit=1)).body
    wrong = {"cursor": page["next_cursor"], "state": "waiting"}
    assert (await scene.shops.get(scene.path, **wrong)).problem == (422, "invalid_request", "cursor")
    assert (await scene.shops.get("/v1/webhooks", shop="other")).body == {"webhooks": []}
    assert (await scene.shops.get(scene.path, shop="other")).status == 404
    assert (await scene.resend(event_id, shop="other")).status == 404
    assert (await scene.resend("pay_" + "0" * 25 + "x.1")).status == 404
    (foreign,) = await happen(database, merchant="other")
    assert (await scene.resend(foreign)).status == 404, "an event of another merchant goes to no endpoint of this one"
    assert len(await scene.deliveries()) == 1


async def test_the_url_is_shown_without_its_query(scene: Scene) -> None:
    seen = await scene.webhook()
    assert seen["url"] == f"{scene.hook.url}?\u2026"
    assert "secret" not in str(seen)


async def test_an_endpoint_that_no_process_has_seen_is_new(database: Database) -> None:
    config = configured(Webhook(url="https://shop.example/hook", secret=Secret(SECRET)))
    async with serving(database, config=config) as shops:
        (seen,) = (await shops.get("/v1/webhooks")).body["webhooks"]
        assert (seen["state"], seen["waiting"], seen["name"]) == ("new", 0, None)
        path = f"/v1/webhooks/{seen['id']}/deliveries"
        assert (await shops.get(path)).body == {"deliveries": [], "next_cursor": None}
        (event_id,) = await happen(database, merchant="shop")
        assert (await shops.call("POST", f"{path}/{event_id}/resend")).status == 404


async def test_of_the_last_attempt_stays_what_was_sent_and_how_the_answer_began(database: Database) -> None:
    async def answers(_: web.Request) -> web.Response:
        return web.Response(status=500, text=PERSONAL + "\u0995" * KEPT_BYTES)

    async with playing(database, Hook(answers)) as scene:
        with capture_logs() as logs:
            (event_id,) = await happen(database, merchant="shop")
            await scene.turn()
        left = await scene.left(event_id)
        assert left is not None
        assert (left["status"], left["attempt"]) == (500, 1)
        assert left["body"].startswith(PERSONAL)
        assert KEPT_BYTES - 3 < len(left["body"].encode()) <= KEPT_BYTES, "no character is cut in two"
        ((sent, _),) = scene.hook.requests
        assert {name.lower(): value for name, value in left["headers"].items()}.items() <= sent.items()
        assert {"webhook-id", "webhook-timestamp", "webhook-signature", "User-Agent"} <= left["headers"].keys()
        assert SECRET.removeprefix("whsec_") not in str(left)
        assert PERSONAL not in str(logs), "an answer may hold personal data"
        entries = await database.fetch("SELECT data FROM entries")
        assert PERSONAL not in str([row["data"] for row in entries])
        assert PERSONAL not in (await scene.shops.get(scene.path)).raw.decode()
        async with database.connection() as connection:
            delivery = await read_delivery(connection, scene.endpoint.id, event_id)
            assert delivery is not None
            (attempt,) = await read_attempts(connection, scene.endpoint.id, delivery)
        assert (attempt["status"], attempt["attempt"], attempt["result"]) == (500, 1, "failed")


@pytest.mark.parametrize(
    ("body", "kept"),
    [(b"", {}), (b"ok", {"body": "ok"}), (b"\xff\xfe", {"body_base64": "//4="}), (b"a\0b", {"body_base64": "YQBi"})],
)
async def test_an_answer_that_is_no_text_is_kept_as_bytes(
    scene: Scene, database: Database, body: bytes, kept: dict[str, str]
) -> None:
    async def answers(_: web.Request) -> web.Response:
        return web.Response(body=body)

    scene.hook.answers = answers
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    left = await scene.left(event_id)
    assert left is not None
    assert {name: value for name, value in left.items() if name.startswith("body")} == kept


async def test_without_an_answer_the_reason_is_kept_and_what_an_older_attempt_left_is_not_shown(
    scene: Scene, database: Database
) -> None:
    async def cuts(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    scene.hook.answers = cuts
    (event_id,) = await happen(database, merchant="shop")
    await scene.turn()
    left = await scene.left(event_id)
    assert left is not None
    assert (left["error"], "status" in left) == ("no answer: connection cut", False)
    await database.execute("UPDATE deliveries SET attempts = attempts + 1")  # a program that writes no last attempt
    assert await scene.left(event_id) is None


async def test_the_logins_of_the_api_and_of_readers_may_what_they_need_and_not_more(
    database: Database, dsn: str
) -> None:
    await make_logins(dsn)
    async with connect(as_user(dsn, LOGINS["ingress"])) as api, playing(database, Hook(500), api) as scene:
        (event_id,) = await happen(database, merchant="shop")
        await scene.turn()
        assert (await scene.webhook())["waiting"] == 1
        assert (await scene.resend(event_id)).status == 202
        assert (await scene.deliveries())[0]["state"] == "waiting"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.fetch("SELECT last_attempt FROM deliveries")
    async with connect(as_user(dsn, LOGINS["reader"])) as reader:
        assert await reader.fetch("SELECT answer FROM deliveries")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch("SELECT last_attempt FROM deliveries")


async def test_waiting_deliveries_are_listed_in_the_order_in_which_they_are_sent(
    scene: Scene, database: Database
) -> None:
    scene.hook.answers = 500
    events = await happen(database, 3, merchant="shop")
    await scene.turn()
    now = database.clock.now()
    for number, event_id in enumerate(events):
        await database.execute(
            "UPDATE deliveries SET next_at = $2 WHERE event_id = $1", event_id, now + timedelta(hours=9 - number)
        )
    assert [one["event_id"] for one in await scene.deliveries(state="waiting")] == events[::-1]
