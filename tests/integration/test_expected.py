"""Payments registered by message: published by a shop over a real RabbitMQ, registered in a real Postgres."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from hashlib import sha256
from typing import Any

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.unavailable import DatabaseUnavailable
from schemas.secret import Secret
from tests.broker import RabbitMQ
from tests.integration.rabbit import emptied
from tests.integration.shops import CONFIG, RULES, TRACKED, Shops
from tests.processes import until
from tests.records import RECORD, no_trail
from worker.amqp.dead_queue import dead_at_broker
from worker.amqp.messages import CODE, FIELD, REASON
from worker.amqp.topology import DEAD, EVENTS, EXPECTED, claims_queue
from worker.broker import Broker, broker_of
from worker.cli.dead_letter_stores import open_dead_letters
from worker.config import Config
from worker.dead_letters import CheckedOut, DeadLetter, check_out, list_all, shown_letter
from worker.deliver.relay import Relay
from worker.postgres.database import Database, connect
from worker.postgres.events.publish_cursor import start_publishing
from worker.postgres.queue.claim_queue import PostgresBus
from worker.requests import expected_consumer as expected
from worker.requests.expected_consumer import PREFETCH
from worker.requests.expected_handler import Handled
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics

WANTED = {"merchant": "shop", **TRACKED}


class Desk(Struct):
    """A shop with its channel, and the worker that consumes from it."""

    broker: Broker
    metrics: Metrics
    channel: AbstractChannel
    database: Database
    url: Secret

    async def publish(self, body: Any, *, key: str | None = None, message_id: str | None = "order-1") -> None:
        """Publish to the queue itself, or with `key` to its exchange."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = aio_pika.Message(raw, message_id=message_id, delivery_mode=2)
        if key is None:
            await self.channel.default_exchange.publish(message, EXPECTED)
        else:
            await (await self.channel.get_exchange(EXPECTED, ensure=False)).publish(message, key)

    async def payments(self) -> list[tuple[str, str]]:
        rows = await self.database.fetch("SELECT account, reference FROM payments ORDER BY opened_at, id")
        return [(row["account"], row["reference"]) for row in rows]

    async def events(self) -> list[dict[str, Any]]:
        rows = await self.database.fetch("SELECT body FROM events ORDER BY time, id")
        return [json.loads(row["body"]) for row in rows]

    async def became(self, result: str, times: int = 1) -> None:
        async def counted() -> bool:
            count = self.metrics.registry.get_sample_value("payproof_expected_messages_total", {"result": result})
            return count == times and await self.waiting() == 0

        await until(counted, what=f"{times} messages {result}")

    async def waiting(self) -> int:
        """Unacknowledged messages count too, as the broker redelivers them when the consumer ends."""
        queue = await self.channel.declare_queue(EXPECTED, passive=True)
        return (queue.declaration_result.message_count or 0) + len(
            self.broker.expected._subscriptions["expected"].unacked
        )

    async def letter(self) -> AbstractIncomingMessage:
        """The one dead letter, taken off the queue."""
        queue = await self.channel.get_queue(DEAD, ensure=False)

        async def got() -> AbstractIncomingMessage | None:
            return await queue.get(fail=False)

        message = await until(got, what="a dead letter")
        await message.ack()
        return message


@asynccontextmanager
async def listening(broker: Broker) -> AsyncIterator[None]:
    """The worker at work, ended as by a kill: it neither finishes nor acknowledges what it has in hand."""
    tasks = [asyncio.create_task(part.run()) for part in (broker.publisher, broker.expected, broker.expected_consumer)]

    async def subscribed() -> bool:
        return not broker.expected.missing() and broker.publisher.connected

    try:
        await until(subscribed, what="a consumer of expected payments")
        yield
    finally:
        for task in tasks:
            await end_one(task)


def configured(url: Secret, dsn: str | None = None) -> Config:
    return replace(CONFIG, settings=replace(CONFIG.settings, amqp_url=url, database_url=Secret(dsn) if dsn else None))


@asynccontextmanager
async def opened(broker: RabbitMQ, database: Database, config: Config | None = None) -> AsyncIterator[Desk]:
    """A desk whose worker does not listen yet."""
    url, metrics = Secret(broker.url), Metrics()
    worker = broker_of(config or configured(url), RULES, database, PostgresBus(database), metrics)
    assert worker is not None
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        yield Desk(worker, metrics, channel, database, url)
    async with await aio_pika.connect(broker.url) as connection:  # the other tests count the queues
        channel = await connection.channel()
        for account in CONFIG.accounts:
            await channel.queue_delete(claims_queue(account.provider.name))


@pytest.fixture
async def at(broker: RabbitMQ, database: Database) -> AsyncIterator[Desk]:
    await emptied(broker)
    async with opened(broker, database) as at, listening(at.broker):
        yield at


# -- registered --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "shop"])
async def test_an_expected_payment_is_registered_and_announced(at: Desk, key: str | None) -> None:
    await start_publishing(at.database)
    relay = asyncio.create_task(Relay(at.database, at.metrics, at.broker.publisher).run())
    try:
        queue = await at.channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "payment.opened.shop.#")
        await at.publish({**WANTED, "order": "order-7831", "metadata": {"cart": "9"}}, key=key)
        heard = await queue.get(timeout=10, fail=False) or await _next(queue)
        told = json.loads(heard.body)["data"]
    finally:
        await end_one(relay)
    assert heard.type == "payment.opened"
    assert (told["merchant"], told["account"], told["reference"], told["session_id"]) == (
        "shop",
        "shop-one",
        "order-7831-a1",
        "TR-1",
    )
    assert (told["status"], told["amount"], told["order"], told["metadata"]) == (
        "pending",
        "1500.50",
        "order-7831",
        {"cart": "9"},
    )
    await at.became("registered")


async def _next(queue: aio_pika.abc.AbstractQueue) -> AbstractIncomingMessage:
    async def got() -> AbstractIncomingMessage | None:
        return await queue.get(fail=False)

    return await until(got, what="payment.opened")


async def test_what_a_message_registers_is_what_its_post_registers(at: Desk, shops: Shops) -> None:
    await at.publish(WANTED)
    await at.became("registered")
    by_post = await shops.post("/v1/payments/track", {**TRACKED, "reference": "order-2", "session_id": "TR-2"})
    assert by_post.status == 201
    (by_message,) = (await shops.get("/v1/payments", reference="order-7831-a1")).body["payments"]
    own = {"payment_id", "reference", "session_id", "opened_at", "expires_at"}
    assert {key: value for key, value in by_message.items() if key not in own} == {
        key: value for key, value in by_post.body.items() if key not in own
    }


async def test_the_same_message_twice_makes_one_payment_one_event_and_no_letter(at: Desk) -> None:
    for _ in range(3):
        await at.publish(WANTED)
    await at.publish({name: WANTED[name] for name in reversed(WANTED)})
    await at.became("registered")
    await at.became("known", 3)
    assert await at.payments() == [("shop-one", "order-7831-a1")]
    assert [event["type"] for event in await at.events()] == ["payment.opened"]
    assert await letters(at) == []


async def test_what_was_posted_already_is_known_when_its_message_comes(at: Desk, shops: Shops) -> None:
    assert (await shops.post("/v1/payments/track", TRACKED)).status == 201
    await at.publish(WANTED)
    await at.became("known")
    assert len(await at.events()) == 1


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"merchant": "nobody"}, "merchant", "merchant: there is no such merchant"),
        ({"merchant": None}, "merchant", "merchant: must be a string"),
        ({"account": "other-one"}, "account", "account: you have no such account"),
        ({"amount": "10.001"}, "amount", "amount: an amount has at most 2 decimals"),
        ({"amount": 0}, "amount", None),
        ({"amount": "১০"}, "amount", None),
        ({"currency": "USD"}, "currency", None),
        ({"colour": "red"}, "colour", "colour: is no field of this request"),
        ({"reference": "with blanks"}, "reference", None),
        ({"session_id": "x\x00y"}, "session_id", None),
        ({"return_url": "javascript:alert(1)"}, "return_url", None),
    ],
    ids=str,
)
async def test_a_message_with_a_wrong_field_is_a_letter_that_names_it(
    at: Desk, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    await at.publish({**WANTED, **changes})
    letter = await at.letter()
    assert (letter.headers[CODE], letter.headers[FIELD]) == ("invalid_request", field)
    assert str(letter.headers[REASON]).startswith(f"{field}: ")
    assert reason in (None, letter.headers[REASON])
    assert json.loads(letter.body) == {**WANTED, **changes}
    assert letter.message_id == "order-1"
    await at.became("refused")
    assert await at.payments() == []


async def test_everything_wrong_is_told_at_once(at: Desk) -> None:
    await at.publish({"merchant": "shop", "account": "shop-one", "amount": "-1", "currency": "BDT", "x": 1})
    reason = str((await at.letter()).headers[REASON])
    for field in ("x", "reference", "amount", "session_id"):
        assert f"{field}: " in reason


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unreadable_body"),
        (b"\xff\xfe", "unreadable_body"),
        (b"{", "unreadable_body"),
        (b"[" * 5000, "unreadable_body"),
        (b'{"merchant":"shop","merchant":"other"}', "unreadable_body"),
        (b"[]", "invalid_request"),
    ],
    ids=["empty", "no text", "broken", "deep", "doubled", "list"],
)
async def test_what_cannot_be_read_is_a_letter_at_once(at: Desk, body: bytes, code: str) -> None:
    await at.publish(body, message_id=None)
    letter = await at.letter()
    assert (letter.headers[CODE], letter.body) == (code, body)
    await at.became("refused")


async def test_of_a_message_over_the_limit_the_letter_holds_size_and_digest(at: Desk) -> None:
    body = b'"' + b"x" * 70_000 + b'"'
    await at.publish(body)
    letter = await at.letter()
    digest = sha256(body).hexdigest()
    assert json.loads(letter.body) == {"too_large_bytes": 70_002, "sha256": digest}
    assert (letter.headers[CODE], letter.headers[REASON]) == (
        "too_large",
        f"a body has at most 64 KiB; the message has 70002 bytes (SHA-256 {digest}), and its body was not kept",
    )
    await at.became("refused")


async def test_what_a_stranger_named_is_fit_to_be_printed(at: Desk) -> None:
    await at.publish({**WANTED, "\x1b[31mred": 1, "x" * 5000: 1}, message_id="\x1b[2J")
    letter = await at.letter()
    reason = str(letter.headers[REASON])
    assert letter.message_id == "unknown"
    assert reason.isprintable()
    assert len(reason) <= 1000
    assert "?[31mred: is no field of this request" in reason


async def test_a_bug_of_ours_is_tried_again_and_then_told_with_its_place(at: Desk) -> None:
    class Broken:
        async def handle(self, key: str, body: bytes) -> Handled:
            raise ZeroDivisionError

    expected_consumer = at.broker.expected_consumer
    whole, expected_consumer._handler = expected_consumer._handler, Broken()  # type: ignore[assignment]
    await at.publish(WANTED)
    letter = await at.letter()
    assert letter.headers[CODE] == "internal"
    assert re.fullmatch(r"ZeroDivisionError at integration/test_expected.py:\d+, 5 times", letter.headers[REASON])
    expected_consumer._handler = whole
    await at.publish(WANTED)
    await at.became("registered")


async def test_while_postgres_is_away_for_long_nothing_is_kept_in_hand(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker gives up on a consumer that keeps a message for half an hour, and counts that as a failed attempt."""
    monkeypatch.setattr(expected, "REST_SECONDS", 0.0)
    back = asyncio.Event()

    class Away:
        async def handle(self, key: str, body: bytes) -> Handled:
            raise DatabaseUnavailable

        async def reach(self) -> None:
            if not back.is_set():
                raise DatabaseUnavailable

    expected_consumer = at.broker.expected_consumer
    whole, expected_consumer._handler = expected_consumer._handler, Away()  # type: ignore[assignment]
    await at.publish(WANTED)

    async def resting() -> bool:
        return at.broker.expected.missing() == ["expected"]

    await until(resting, what="a consumer that rests")

    async def given_back() -> bool:
        queue = await at.channel.declare_queue(EXPECTED, passive=True)
        return queue.declaration_result.message_count == 1

    await until(given_back, what="the message at the broker again")
    expected_consumer._handler = whole
    back.set()

    async def subscribed() -> bool:
        return not at.broker.expected.missing()

    await until(subscribed, what="a consumer at work again")
    await at.became("registered")


async def test_a_reference_that_another_body_used_is_a_letter(at: Desk) -> None:
    await at.publish(WANTED)
    await at.became("registered")
    await at.publish({**WANTED, "amount": "1500.51"})
    letter = await at.letter()
    assert (letter.headers[CODE], letter.headers[FIELD]) == ("reference_used", "reference")
    assert letter.headers[REASON] == "reference: a payment with this reference exists"
    await at.publish({**WANTED, "reference": "order-2"})
    letter = await at.letter()
    assert (letter.headers[CODE], letter.headers[FIELD]) == ("session_used", "session_id")
    assert await at.payments() == [("shop-one", "order-7831-a1")]


async def test_a_shop_that_the_broker_keeps_to_its_own_key_speaks_for_no_other(at: Desk, broker: RabbitMQ) -> None:
    """The permissions of the runbook: a user who may write to the exchange, with its merchant's id as key."""
    run = asyncio.to_thread
    with suppress(Exception):
        await run(broker.ctl, "delete_user", "otter")
    await run(broker.ctl, "add_user", "otter", "sesame")
    await run(broker.ctl, "set_permissions", "otter", "^$", "^payproof\\.expected$", "^$")
    await run(broker.ctl, "set_topic_permissions", "otter", EXPECTED, "^other$", "^$")
    async with await aio_pika.connect(broker.url.replace("guest:guest", "otter:sesame")) as connection:
        channel = await connection.channel()
        theirs = replace(at, channel=channel)
        await theirs.publish({**WANTED, "merchant": "other", "account": "other-one"}, key="other")
        await theirs.publish(WANTED, key="other")
        with pytest.raises(aio_pika.exceptions.ChannelClosed, match="ACCESS_REFUSED"):
            await theirs.publish(WANTED, key="shop")
    letter = await at.letter()
    assert letter.headers[REASON] == "merchant: is not the one whose id is the message's routing key"
    assert letter.routing_key == "other"
    assert await at.payments() == [("other-one", "order-7831-a1")]


# -- looked at, and sent again -----------------------------------------------------------------------------------------


async def letters(at: Desk) -> Sequence[DeadLetter]:
    async with dead_at_broker(at.url, no_trail) as place:
        return await list_all(place)


async def test_a_letter_is_listed_shown_and_replayed_when_the_configuration_is_mended(
    broker: RabbitMQ, database: Database, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await emptied(broker)
    url = Secret(broker.url)
    before = replace(configured(url), merchants=CONFIG.merchants[1:])
    async with opened(broker, database, before) as at, listening(at.broker):
        await at.publish({**WANTED, "description": "for Rahim"}, key="shop")
        await at.became("refused")
    async with open_dead_letters(configured(url, dsn)) as found:
        (letter,) = found.letters
        assert (letter.id, letter.kind, letter.place, letter.payment_id) == ("order-1", "expected", "broker", None)
        assert letter.reason == "merchant: there is no such merchant"
        assert letter.since is not None
        shown = [msgspec.json.encode(shown_letter(one)).decode() async for one in found.open(found.find("order"))]
        assert '"reference":"order-7831-a1"' in shown[0]
        assert "Rahim" not in shown[0]
        assert await found.replay(found.letters) == 0
    assert capsys.readouterr().out.endswith("1 of 1 replayed\n")
    async with opened(broker, database) as at, listening(at.broker):
        await at.became("registered")
        assert await at.payments() == [("shop-one", "order-7831-a1")]
        assert await letters(at) == []


async def test_a_replay_is_held_to_the_key_it_was_published_with(at: Desk) -> None:
    await at.publish(WANTED, key="other")
    await at.became("refused")
    async with dead_at_broker(at.url, no_trail) as place, aclosing(check_out(place, await list_all(place))) as reading:
        async for opened_letter in reading:
            assert isinstance(opened_letter, CheckedOut)
            await place.replay(opened_letter, RECORD)
    await at.became("refused", 2)
    assert await at.payments() == []


# -- and when something dies -------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_between_recording_and_acknowledging_registers_once(
    broker: RabbitMQ, database: Database
) -> None:
    """Its acknowledgement never leaves; another worker is given the message again."""
    await emptied(broker)
    async with opened(broker, database) as at:
        reached = asyncio.Event()

        async def dies(_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        at.broker.expected.acknowledge = dies  # type: ignore[method-assign]
        async with listening(at.broker):
            await at.publish(WANTED)
            await asyncio.wait_for(reached.wait(), 20)
        assert await at.payments() == [("shop-one", "order-7831-a1")]
    async with opened(broker, database) as at, listening(at.broker):
        await at.became("known")
        assert await at.payments() == [("shop-one", "order-7831-a1")]
        assert len(await at.events()) == 1


async def test_a_row_that_a_dead_worker_left_unopened_is_taken_up_when_its_lease_is_over(
    broker: RabbitMQ, database: Database
) -> None:
    """It died between the row and `payment.opened`. The message waits without being refused."""
    await emptied(broker)
    async with opened(broker, database) as at:
        async with listening(at.broker):
            await at.publish(WANTED)
            await at.became("registered")
        await database.execute("DELETE FROM events")
        await database.execute("DELETE FROM sessions")
        await database.execute(
            """UPDATE payments
               SET opened = false, session_id = NULL, opening_until = clock_timestamp() + interval '2 s'"""
        )
        await database.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        await database.execute("UPDATE payments SET version = 0")
        await database.execute("ALTER TABLE payments ENABLE TRIGGER USER")
    async with opened(broker, database) as at, listening(at.broker):
        await at.publish(WANTED)
        await at.became("registered")
        assert len(await at.events()) == 1
        assert await letters(at) == []


async def test_while_postgres_is_away_messages_wait_at_the_broker_and_none_is_refused(
    broker: RabbitMQ, dsn: str, database: Database
) -> None:
    await emptied(broker)
    async with connect(dsn) as doomed, opened(broker, doomed) as at, listening(at.broker):
        await doomed._pool.close()
        for number in range(3 * PREFETCH):
            await at.publish({**WANTED, "reference": f"order-{number}", "session_id": f"TR-{number}"})

        async def full() -> bool:
            return len(at.broker.expected._subscriptions["expected"].unacked) == PREFETCH

        await until(full, what="no more in hand than may be")
        assert at.metrics.registry.get_sample_value("payproof_expected_messages_total", {"result": "refused"}) == 0
        assert await letters(at) == []
    async with opened(broker, database) as at, listening(at.broker):
        await at.became("registered", 3 * PREFETCH)
        assert await letters(at) == []


async def test_while_the_broker_takes_no_letter_the_message_stays(at: Desk, broker: RabbitMQ) -> None:
    await at.publish(WANTED)
    await at.became("registered")
    await at.publish({**WANTED, "amount": "1.00"})
    await asyncio.to_thread(broker.cut_connections)
    async with await aio_pika.connect(broker.url) as connection:
        again = replace(at, channel=await connection.channel())
        assert (await again.letter()).headers[CODE] == "reference_used"
