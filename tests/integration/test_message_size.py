"""Messages far too large, at a broker that takes them: described, never kept whole, and nothing of ours is lost."""

from __future__ import annotations

import asyncio
import re
import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from schemas.secret import Secret
from tests.broker import RabbitMQ
from tests.integration.rabbit import PROVIDERS, Rabbit, attached, emptied
from tests.integration.test_bus import a_claim
from tests.integration.test_expected import WANTED, Desk, letters, listening, opened
from tests.records import RECORD, no_trail
from worker.amqp.dead_queue import dead_at_broker
from worker.amqp.diagnose import diagnose
from worker.amqp.message_size import MAX_MESSAGE
from worker.amqp.topology import CLAIMS, EXPECTED
from worker.dead_letters import NotReplayed
from worker.ops.doctor.findings import broker_findings
from worker.postgres.database import Database

ROOT = Path(__file__).parents[2]
HUGE, HOW_MANY = 100 * 1024 * 1024, 5
ROOM = 48 * 1024 * 1024
"""A fraction of one such message. Unbounded, the process grew by several of them."""

PUBLISH = """
import asyncio, sys
import aio_pika

async def main(url, exchange, key, size, count):
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        target = await channel.get_exchange(exchange, ensure=False)
        for number in range(count):
            await target.publish(aio_pika.Message(b"x" * size, message_id=f"huge-{number}"), key, timeout=60)

asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
"""


async def published(broker: RabbitMQ, exchange: str, key: str, size: int, count: int) -> None:
    """Published by another process, as its memory is not to be counted here."""
    words = (broker.url, exchange, key, str(size), str(count))
    publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", PUBLISH, *words)
    async with asyncio.timeout(120):
        assert await publisher.wait() == 0


def peak(*, again: bool = False) -> int:
    """The most memory that this process had, in bytes; with `again`, counted from now on."""
    if again:
        Path("/proc/self/clear_refs").write_text("5")
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found) * 1024


async def test_a_shop_cannot_fill_our_memory_with_huge_messages(broker: RabbitMQ, database: Database) -> None:
    await emptied(broker)
    with broker.any_size():
        async with opened(broker, database) as at, listening(at.broker):
            before = peak(again=True)
            await published(broker, EXPECTED, "shop", HUGE, HOW_MANY)
            await at.publish(WANTED)
            await at.became("refused", HOW_MANY)
            await at.became("registered")
            grew = peak() - before
            print(f"{HOW_MANY} messages of {HUGE >> 20} MiB: +{grew / 2**20:.1f} MiB")
            await _their_letters(at)
    assert grew < ROOM


async def _their_letters(at: Desk) -> None:
    """Each letter holds the size and the digest in the place of the body, and no replay sends that."""
    found = await letters(at)
    told = f"the message has {HUGE} bytes (SHA-256 {sha256(b'x' * HUGE).hexdigest()}), and its body was not kept"
    assert {letter.reason for letter in found} == {f"a body has at most 64 KiB; {told}"}
    assert sorted(letter.id for letter in found) == [f"huge-{number}" for number in range(HOW_MANY)]
    async with dead_at_broker(at.url, no_trail) as place:
        async for one in place.read():
            assert len(one.body) < 200
            with pytest.raises(NotReplayed, match=re.escape(told)):
                await place.replay(one, RECORD)
            await place.drop(one, RECORD)


async def test_a_huge_message_among_claims_is_a_letter_and_the_claims_flow(
    broker: RabbitMQ, database: Database
) -> None:
    await emptied(broker)
    with broker.any_size():
        async with attached(broker, database) as rabbit:
            await published(broker, CLAIMS, PROVIDERS[0], 2 * MAX_MESSAGE, 1)
            await _flows(rabbit)


async def _flows(rabbit: Rabbit) -> None:
    claim = a_claim(PROVIDERS[0])
    await rabbit.bus.publish([claim])
    async with asyncio.timeout(20):
        (message,) = await rabbit.bus.receive(PROVIDERS[0], 10)
        assert message.claim == claim
        await rabbit.bus.ack([message])
    async with dead_at_broker(Secret(rabbit.broker.url), no_trail) as place:
        async for one in place.read():
            assert one.letter.unreadable is not None
            assert msgspec.json.decode(one.body)["too_large_bytes"] == 2 * MAX_MESSAGE
            await place.drop(one, RECORD)
            break
        else:
            pytest.fail("there is no dead letter")


@pytest.mark.parametrize("shipped", ["deploy/rabbitmq/payproof.conf", "deploy/kubernetes/rabbitmq.yaml"])
def test_the_shipped_brokers_refuse_what_we_would_not_keep(shipped: str) -> None:
    settings = (ROOT / shipped).read_text()
    assert re.findall(r"^ *max_message_size = (\d+)$", settings, re.MULTILINE) == [str(MAX_MESSAGE)]


async def test_the_doctor_warns_of_a_broker_that_takes_any_size(broker: RabbitMQ) -> None:
    await emptied(broker)
    assert [one.mark for one in broker_findings(await diagnose(Secret(broker.url), PROVIDERS))] == ["ok"]
    with broker.any_size():
        (well, size) = broker_findings(await diagnose(Secret(broker.url), PROVIDERS))
    assert (well.mark, size.mark) == ("ok", "!!")
    assert "it takes messages of more than 1 MiB" in size.words
    assert "max_message_size = 1048576" in size.to_do
