"""RabbitMQ's own behaviour: its topology, its silences, consumers that it forgets, and events for bound queues."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from copy import copy
from typing import Any

import aio_pika
import msgspec
import pytest
import uvloop
from aio_pika.exceptions import ChannelNotFoundEntity
from aio_pika.tools import OneShotCallback
from structlog.testing import capture_logs

from consumers.ports.bus import ClaimMessage
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable
from schemas.callbacks import Claim
from schemas.secret import Secret
from tests.broker import RabbitMQ
from tests.harness import free_ports
from tests.integration.rabbit import PROVIDERS, Rabbit, attached, emptied, silent
from tests.integration.test_bus import a_claim, receive
from tests.processes import until
from worker.amqp import link, rabbit_bus
from worker.amqp.consumer_pool import ConsumerPool
from worker.amqp.kept_channel import KeptChannel
from worker.amqp.messages import claim_message, event_message
from worker.amqp.publisher import CONFIRM_SECONDS, Publisher
from worker.amqp.rabbit_bus import MOST_OFTEN, RabbitBus
from worker.amqp.refusals import BrokerRefusedError, TopologyError
from worker.amqp.topology import CLAIMS, DEAD, EVENTS, EXPECTED, claims_queue, declare
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.runtime.cancellation import end_one
from worker.runtime.retries import SUSPECT
from worker.telemetry.metrics import Metrics
from worker.verify.concurrency import WINDOW


@pytest.fixture
async def rabbit(broker: RabbitMQ, database: Database) -> AsyncIterator[Rabbit]:
    async with attached(broker, database) as rabbit:
        yield rabbit


async def spooled(database: Database) -> list[str]:
    return [row["claim_id"] for row in await database.fetch("SELECT claim_id FROM queue ORDER BY id")]


async def connected(rabbit: Rabbit) -> None:
    async def confirmed() -> bool:
        return rabbit.publisher.connected

    await until(confirmed, what="a publisher that is confirmed")


async def test_a_claim_goes_over_the_broker_and_not_through_postgres(rabbit: Rabbit, database: Database) -> None:
    await rabbit.bus.publish([claim := a_claim()])
    assert await spooled(database) == []
    assert await receive(rabbit.bus) == [claim]


async def test_a_broker_that_confirms_nothing_costs_one_deadline_and_no_claim(
    rabbit: Rabbit, database: Database
) -> None:
    """In alarm it takes publishes and delivers them when the alarm is over: then both copies come."""
    await asyncio.to_thread(rabbit.broker.raise_alarm)
    try:
        claims = [a_claim() for _ in range(5)]
        await asyncio.gather(*(rabbit.bus.publish([claim]) for claim in claims))
        began = asyncio.get_running_loop().time()
        late = [a_claim() for _ in range(20)]
        for claim in late:
            await rabbit.bus.publish([claim])
        assert asyncio.get_running_loop().time() - began < len(late) * CONFIRM_SECONDS / 4, "not a deadline for each"
        assert set(await spooled(database)) == {claim.id for claim in claims + late}
        assert not rabbit.publisher.connected
    finally:
        await asyncio.to_thread(rabbit.broker.clear_alarm)
    await connected(rabbit)
    heard: set[str] = set()
    while heard != {claim.id for claim in claims + late}:
        messages = await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 10)
        heard |= {message.claim.id for message in messages}
        await rabbit.bus.ack(messages)
    await rabbit.bus.publish([claim := a_claim()])
    assert claim.id not in await spooled(database)


async def test_a_broker_that_goes_away_leaves_claims_to_the_spool_and_comes_back(
    rabbit: Rabbit, database: Database
) -> None:
    await asyncio.to_thread(rabbit.broker.cut_connections)
    claims = [a_claim() for _ in range(50)]
    for claim in claims:
        await rabbit.bus.publish([claim])
    await connected(rabbit)
    await rabbit.subscribed()
    heard: set[str] = set()
    while heard != {claim.id for claim in claims}:
        messages = await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 10)
        heard |= {message.claim.id for message in messages}
        await rabbit.bus.ack(messages)


async def test_a_bug_of_ours_on_a_connection_is_raised_and_not_taken_for_a_broker_that_is_away(
    broker: RabbitMQ,
) -> None:
    failures = []

    async def nothing(_: object) -> None:
        pass

    async def bug(_: object) -> None:
        raise RuntimeError("our bug")

    with pytest.raises(RuntimeError, match="our bug"):
        async with asyncio.timeout(10):
            await link.run_with_reconnect(
                Secret(broker.url), "payproof test", prepare=nothing, use=bug, failed=lambda: failures.append(1)
            )
    assert failures == []


async def test_without_broker_and_without_postgres_nothing_is_acknowledged(rabbit: Rabbit, database: Database) -> None:
    (nobodys,) = free_ports(1)
    publisher = Publisher(Secret(f"amqp://127.0.0.1:{nobodys}"), PROVIDERS)
    running = asyncio.create_task(publisher.run())
    try:
        await publisher.tried.wait()
        await database._pool.close()
        bus = RabbitBus(publisher, rabbit.pool, PostgresBus(database), database.clock, rabbit.metrics)
        with pytest.raises(BusUnavailable):
            await bus.publish([a_claim()])
    finally:
        await end_one(running)


async def test_a_queue_that_somebody_deletes_is_made_again_and_its_consumer_too(
    rabbit: Rabbit, database: Database
) -> None:
    async with await aio_pika.connect(rabbit.broker.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(claims_queue("ipay"))
    await rabbit.bus.publish([claim := a_claim()])
    assert await spooled(database) == [claim.id]
    await connected(rabbit)
    assert [one.id for one in await receive(rabbit.bus)] == [claim.id]

    async def over_the_broker() -> bool:
        await rabbit.bus.publish([again := a_claim()])
        messages = await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 10)
        await rabbit.bus.ack(messages)
        return again.id in {one.claim.id for one in messages} and rabbit.pool.missing() == []

    await until(over_the_broker, what="a claim by the new queue")


async def test_a_consumer_that_the_broker_forgot_is_noticed_built_anew_and_counted(rabbit: Rabbit) -> None:
    """The consumer is cancelled without notice, as after a reconnect that did not resume it."""
    subscription = rabbit.pool._subscriptions["ipay"]
    (tag,) = subscription.channel.consumers
    await subscription.channel.basic_cancel(tag)
    await rabbit.bus.publish([claim := a_claim()])
    messages = await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 15)
    assert [one.claim for one in messages] == [claim]
    assert rabbit.metrics.registry.get_sample_value("payproof_consumers_rebuilt_total", {"queue": "ipay"}) == 1


async def test_a_message_that_cannot_be_read_is_put_aside_with_its_reason(rabbit: Rabbit) -> None:
    post = msgspec.structs.replace(claim_message(a_claim()), body=b'{"newer": 1}')
    await rabbit.publisher.publish([post, claim_message(claim := a_claim())])
    assert await receive(rabbit.bus) == [claim]

    async def dead() -> list[str]:
        return await rabbit.dead_letters()

    assert await until(dead, what="a dead letter") == ["ValidationError in receive"]


async def test_what_is_given_back_comes_again_in_its_order(rabbit: Rabbit) -> None:
    claims = [a_claim() for _ in range(3)]
    await rabbit.bus.publish(claims)
    heard = []
    while len(heard) < 3:
        heard += await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 5)
    await rabbit.bus.requeue(heard)
    again = await rabbit.bus.receive("ipay", 10)
    assert [one.claim.id for one in again] == [one.claim.id for one in heard]
    await rabbit.bus.ack(again)
    await rabbit.reconnect()
    assert await rabbit.bus.depths() == dict.fromkeys(PROVIDERS, 0)


async def test_questions_about_queues_leave_no_memory_behind(rabbit: Rabbit) -> None:
    """aio-pika keeps an object for each channel that was opened, until the connection ends."""
    questions = 20

    def kept() -> int:
        gc.collect()
        return sum(isinstance(one, OneShotCallback) for one in gc.get_objects())

    await rabbit.bus.depths()
    before = kept()
    for _ in range(questions):
        assert await rabbit.bus.depths() == dict.fromkeys(PROVIDERS, 0)
    assert kept() - before < questions, "other tasks may open a channel meanwhile"


async def test_questions_about_queues_go_on_after_one_that_failed(broker: RabbitMQ) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        kept = KeptChannel()
        with pytest.raises(ChannelNotFoundEntity):
            async with kept.on(connection) as channel:
                await channel.declare_queue("nowhere", passive=True)
        for _ in range(2):
            async with kept.on(connection) as channel:
                await channel.declare_queue(queue.name, passive=True)


async def test_a_question_that_is_cut_off_takes_no_answer_from_the_next(broker: RabbitMQ) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        kept = KeptChannel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), kept.on(connection) as first:
                await asyncio.Event().wait()
        async with kept.on(connection) as second:
            assert second is not first
            assert first.is_closed


async def test_an_event_reaches_the_queue_that_is_bound_for_it_and_no_other(rabbit: Rabbit) -> None:
    async with await aio_pika.connect(rabbit.broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "payment.completed.#")
        opened = event_message("pay_1.1", "payment.opened", "shop", "shop-ipay", b"{}")
        completed = event_message("pay_1.2", "payment.completed", "shop", "shop-ipay", b'{"id":"pay_1.2"}')
        await rabbit.publisher.publish([opened, completed])
        message = await queue.get(timeout=5)
        assert (message.message_id, message.type, message.routing_key, message.body) == (
            "pay_1.2",
            "payment.completed",
            "payment.completed.shop.shop-ipay",
            b'{"id":"pay_1.2"}',
        )
        assert (message.content_type, message.delivery_mode) == ("application/cloudevents+json", 2)
        assert await queue.get(fail=False) is None


async def test_what_is_published_at_the_start_waits_for_the_first_connection(broker: RabbitMQ) -> None:
    """The broker is there, so the bus does not count as away, and no claim goes to the spool."""
    publisher = Publisher(Secret(broker.url), PROVIDERS)
    running = asyncio.create_task(publisher.run())
    try:
        await publisher.publish([event_message("pay_1.1", "payment.opened", "shop", "shop-ipay", b"{}")], seconds=10)
        assert publisher.connected
    finally:
        await end_one(running)


async def test_a_node_that_is_away_or_keeps_silent_is_left_for_another(broker: RabbitMQ, database: Database) -> None:
    """One node refuses connections, one takes them and says nothing; the third is the broker."""
    await emptied(broker)
    with socket.create_server(("127.0.0.1", 0)) as silent_node:
        ports = *free_ports(1), silent_node.getsockname()[1]
        nodes = copy(broker)
        nodes.url = ",".join([*(f"amqp://guest:guest@127.0.0.1:{port}/" for port in ports), broker.url])
        async with attached(nodes, database) as rabbit:
            await until(lambda: rabbit.publisher.connected, what="a publisher at the third node", seconds=30)
            await rabbit.subscribed()
            await rabbit.bus.publish([claim := a_claim()])
            assert await receive(rabbit.bus) == [claim]


async def test_a_connection_that_ends_while_it_is_made_is_told_as_an_unreachable_broker() -> None:
    """So a load balancer ends it, in front of a broker that is away. The loop is that of the service."""

    async def connecting(port: int) -> None:
        with pytest.raises(link.UNREACHABLE):
            async with link.connected(Secret(f"amqp://guest:guest@127.0.0.1:{port}/"), "a test"):
                pass

    async def many(port: int) -> None:
        for _ in range(10):
            await asyncio.gather(*[connecting(port) for _ in range(10)])

    def with_uvloop(port: int) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(many(port))

    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        await asyncio.to_thread(with_uvloop, server.sockets[0].getsockname()[1])


async def test_a_node_that_delivers_from_no_queue_is_left(broker: RabbitMQ) -> None:
    """So a node looks that is cut off from the others, and goes on taking connections."""
    await emptied(broker)
    pool = ConsumerPool(Secret(broker.url), PROVIDERS, Metrics(), prefetch=WINDOW)
    async with link.connected(Secret(broker.url), "tests") as connection:
        await declare(connection, PROVIDERS)
    with ExitStack() as silences, capture_logs() as said:
        for provider in PROVIDERS:
            silences.enter_context(silent(broker, claims_queue(provider)))
        running = asyncio.create_task(pool.run())
        try:
            left = {"event": "broker.away", "connection": "payproof consumer", "error": "TimeoutError"}
            await until(lambda: any(left.items() <= one.items() for one in said), what="the node is left")
        finally:
            await end_one(running)


async def test_a_queue_with_other_arguments_is_told_by_name(broker: RabbitMQ) -> None:
    await emptied(broker)
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(claims_queue("ipay"), durable=True)
        with pytest.raises(TopologyError, match=r"payproof\.claims\.ipay already, otherwise than it must be"):
            await Publisher(Secret(broker.url), PROVIDERS).run()
        await (await connection.channel()).queue_delete(claims_queue("ipay"))


async def test_a_wrong_password_is_told_without_it(broker: RabbitMQ) -> None:
    with pytest.raises(BrokerRefusedError) as raised:
        await Publisher(Secret(broker.url.replace(":guest@", ":wrong-one@")), PROVIDERS).run()
    assert "wrong-one" not in str(raised.value)


@pytest.mark.parametrize("ended_by", ["us", "the broker"])
async def test_a_channel_of_a_connection_that_just_ended_is_told_as_an_unreachable_broker(
    broker: RabbitMQ, ended_by: str
) -> None:
    async with link.connected(Secret(broker.url), "a test") as connection:
        end = link.closing_of(connection)
        await (connection.close() if ended_by == "us" else asyncio.to_thread(broker.cut_connections))
        await asyncio.wait_for(end.wait(), 10)
        with pytest.raises(link.UNREACHABLE):
            await link.open_channel(connection, confirms=True)
        with pytest.raises(link.UNREACHABLE):
            async with await link.open_channel(connection, confirms=False):
                pass


async def test_a_message_whose_connection_ends_in_good_order_comes_again(rabbit: Rabbit) -> None:
    """aiormq then ends with a bare Exception what still waits on the connection."""
    await rabbit.bus.publish([claim := a_claim()])
    (message,) = await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 10)
    async with asyncio.TaskGroup() as group:
        group.create_task(rabbit.bus.ack([message]))
        group.create_task(message.tag.channel.connection.close(None))
    assert await receive(rabbit.bus) == [claim]


async def test_what_is_published_while_its_connection_ends_in_good_order_goes_to_the_spool(
    rabbit: Rabbit, database: Database
) -> None:
    assert rabbit.publisher._channel is not None
    connection: Any = (await rabbit.publisher._channel.get_underlay_channel()).connection
    async with asyncio.TaskGroup() as group:
        group.create_task(rabbit.bus.publish([claim := a_claim()]))
        group.create_task(connection.close(None))
    assert await spooled(database) == [claim.id]


async def test_the_topology_is_what_the_contract_says(rabbit: Rabbit) -> None:
    listed = await asyncio.to_thread(rabbit.broker.ctl, "list_exchanges", "name", "type", "durable")
    ours = {tuple(line.split("\t")) for line in listed.splitlines() if line.startswith("payproof")}
    assert ours == {
        (CLAIMS, "direct", "true"),
        (EVENTS, "topic", "true"),
        (EXPECTED, "topic", "true"),
        (DEAD, "fanout", "true"),
    }
    listed = await asyncio.to_thread(rabbit.broker.ctl, "list_queues", "name", "type", "durable")
    queues = {tuple(line.split("\t")) for line in listed.splitlines()[1:]}
    assert queues == {(name, "quorum", "true") for name in (DEAD, EXPECTED, *map(claims_queue, PROVIDERS))}


async def test_a_claim_that_was_spooled_twice_is_there_once(rabbit: Rabbit, database: Database) -> None:
    spool, claim = PostgresBus(database), a_claim()
    await spool.publish_again(claim, 1)
    await spool.publish_again(claim, 1)
    assert await spooled(database) == [claim.id]


async def test_whatever_is_settled_at_once_the_broker_counts_one_delivery(rabbit: Rabbit) -> None:
    """The broker closes a channel where a message is acknowledged twice, and redelivers all that was in hand there."""
    await rabbit.bus.publish([a_claim() for _ in range(100)])
    messages = await receive_all(rabbit, 100)
    await asyncio.gather(*(rabbit.bus.ack(messages[start::20]) for start in range(20)))
    for claim in [a_claim() for _ in range(3)]:
        await rabbit.bus.publish([claim])
        (message,) = await receive_all(rabbit, 1)
        assert (message.claim, message.handed_out) == (claim, 1)
        await rabbit.bus.ack([message])
    assert rabbit.metrics.registry.get_sample_value("payproof_consumers_rebuilt_total", {"queue": "ipay"}) in (None, 0)


class AwaySpool(PostgresBus):
    """Postgres, which is away while `away`."""

    away = False

    async def lease(self, provider: str, most: int, *, low_priority: bool = True) -> list[ClaimMessage]:
        if self.away:
            raise DatabaseUnavailable
        return await super().lease(provider, most, low_priority=low_priority)


class FullSpool(PostgresBus):
    """Postgres, which accepts no claim while `full`."""

    full = False

    async def publish_again(self, claim: Claim, handed_out: int, failures: int = 0) -> None:
        if self.full:
            raise DatabaseUnavailable
        await super().publish_again(claim, handed_out, failures)


@pytest.fixture
async def impatient(broker: RabbitMQ) -> AsyncIterator[None]:
    """The broker gives up on a consumer that keeps a message for two seconds; the default is half an hour."""
    before = ("1800000", "60000")

    async def set_to(timeout: str, look: str) -> None:
        words = "application:set_env(rabbit, {0}, {1})"
        both = [words.format("consumer_timeout", timeout), words.format("channel_tick_interval", look)]
        await asyncio.to_thread(broker.ctl, "eval", f"{', '.join(both)}.")

    await set_to("2000", "300")
    yield
    await set_to(*before)


@pytest.mark.usefixtures("impatient")
async def test_while_postgres_is_away_the_broker_counts_one_delivery_however_long_that_takes(
    broker: RabbitMQ, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the broker would give up on the worker repeatedly, and dead-letter the claims after twenty times."""
    monkeypatch.setattr(rabbit_bus, "REST_SECONDS", 1.0)
    async with attached(broker, database) as rabbit:
        spool = rabbit.bus._spool = AwaySpool(database)
        await rabbit.bus.publish(claims := [a_claim() for _ in range(3)])
        (first, *others) = await receive_all(rabbit, 3)
        spool.away = True
        await rabbit.bus.requeue([first, *others])
        rabbit.bus.wake(["ipay"])  # else it looks up to POLL_SECONDS later, when this impatient broker gave up twice
        until_when = asyncio.get_running_loop().time() + 9  # four times as long as the broker waits
        while asyncio.get_running_loop().time() < until_when:
            with suppress(DatabaseUnavailable):
                await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 1)
            await asyncio.sleep(0.2)
        assert "ipay" in rabbit.pool.missing()
        spool.away = False
        again = await receive_all(rabbit, 3)
        assert {one.claim.id for one in again} == {claim.id for claim in claims}
        assert {one.handed_out for one in again} == {2}
        await rabbit.bus.ack(again)
        assert await rabbit.dead_letters() == []


async def test_a_claim_that_was_given_out_often_moves_to_the_spool_before_the_broker_buries_it(
    rabbit: Rabbit, database: Database
) -> None:
    await rabbit.bus.publish([claim := a_claim()])
    for handed_out in range(1, MOST_OFTEN + 1):
        (message,) = await receive_all(rabbit, 1)
        assert message.handed_out == handed_out
        await rabbit.reconnect()

    async def moved() -> bool:
        with suppress(TimeoutError):
            assert not await asyncio.wait_for(rabbit.bus.receive("ipay", 10), 0.5)
        return await spooled(database) == [claim.id]

    await until(moved, what="the claim in the spool")
    await database.execute("UPDATE queue SET available_at = clock_timestamp()")
    (message,) = await receive_all(rabbit, 1)
    assert (message.claim, message.handed_out) == (claim, SUSPECT)
    await rabbit.bus.ack([message])
    assert await rabbit.dead_letters() == []


async def test_what_cannot_be_moved_to_the_spool_yet_keeps_nothing_else_back(
    rabbit: Rabbit, database: Database
) -> None:
    spool = rabbit.bus._spool = FullSpool(database)
    await rabbit.bus.publish([first := a_claim()])
    for _ in range(MOST_OFTEN):
        await receive_all(rabbit, 1)
        await rabbit.reconnect()
    await rabbit.bus.publish(claims := [a_claim() for _ in range(3)])

    async def delivered() -> bool:
        return len(rabbit.pool._subscriptions["ipay"].buffer) == 4

    await until(delivered, what="all of them")
    spool.full = True
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await rabbit.bus.receive("ipay", 10)
    spool.full = False
    messages = await receive_all(rabbit, 3)
    assert [one.claim for one in messages] == claims
    await rabbit.bus.ack(messages)
    assert await spooled(database) == [first.id]


async def test_claims_of_the_spool_are_handed_out_though_the_brokers_cannot_be_moved(
    rabbit: Rabbit, database: Database
) -> None:
    spool = rabbit.bus._spool = FullSpool(database)
    await rabbit.bus.publish([a_claim()])
    for _ in range(MOST_OFTEN):
        await receive_all(rabbit, 1)
        await rabbit.reconnect()
    await until(lambda: rabbit.pool.has_buffered("ipay"), what="the claim that was given out often")
    await PostgresBus(database).publish([in_spool := a_claim()])
    rabbit.bus.wake(["ipay"])
    spool.full = True
    assert await receive(rabbit.bus) == [in_spool]
    with pytest.raises(DatabaseUnavailable):
        await rabbit.bus.receive("ipay", 10)


async def test_a_queue_that_is_paused_while_it_is_subscribed_to_delivers_nothing(broker: RabbitMQ) -> None:
    await emptied(broker)
    pool = ConsumerPool(Secret(broker.url), PROVIDERS, Metrics(), prefetch=WINDOW)
    consume, pausing = pool._consume, list[asyncio.Task[None]]()

    async def consume_slowly(connection: Any, provider: str) -> None:
        consuming = asyncio.ensure_future(consume(connection, provider))
        if provider == "ipay" and not pausing:
            pausing.append(asyncio.create_task(pool.pause(provider)))
        await consuming

    pool._consume = consume_slowly  # type: ignore[method-assign]
    running = asyncio.create_task(pool.run())
    try:
        await until(lambda: len(pool.missing()) < len(PROVIDERS), what="a subscription")
        await until(lambda: set(PROVIDERS) - {"ipay"} <= set(pool._subscriptions), what="the others")
        await asyncio.gather(*pausing)
        assert await nobody_hears(broker, "ipay")
        pool.resume("ipay")
        await until(lambda: not pool.missing(), what="a subscription after resume")
    finally:
        await end_one(running)


async def nobody_hears(broker: RabbitMQ, provider: str) -> bool:
    """Wait until the queue has no consumer."""

    async def unheard() -> bool:
        async with link.connected(Secret(broker.url), "tests") as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(claims_queue(provider), passive=True)
            return queue.declaration_result.consumer_count == 0

    await until(unheard, what="a queue without a consumer")
    return True


async def test_who_stops_leaves_to_others_what_was_delivered_meanwhile(broker: RabbitMQ, database: Database) -> None:
    async with attached(broker, database) as stopping:
        await stopping.bus.publish([in_hand := a_claim()])
        (held,) = await receive_all(stopping, 1)
        await stopping.bus.publish([waiting := a_claim()])

        async def delivered() -> bool:
            return stopping.pool.has_buffered("ipay")

        await until(delivered, what="the claim that is delivered and not taken")
        await stopping.bus.stop_receiving("ipay")
        other = ConsumerPool(Secret(broker.url), ["ipay"], stopping.metrics, prefetch=WINDOW)
        running = asyncio.create_task(other.run())
        try:

            async def heard() -> bool:
                return other.has_buffered("ipay")

            await until(heard, what="the claim at another worker")
            (message,) = other.take("ipay", 10)
            assert message.header.properties.message_id == waiting.id
            assert held.claim == in_hand
            await other.acknowledge([message])
            await stopping.bus.ack([held])
        finally:
            await end_one(running)
        assert (await stopping.bus.depths())["ipay"] == 0


async def receive_all(rabbit: Rabbit, count: int) -> list[ClaimMessage]:
    found: list[ClaimMessage] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await rabbit.bus.receive("ipay", 10)
    return found
