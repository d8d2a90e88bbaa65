"""Dead letters, read, replayed and dropped: one contract for Postgres and the broker, and both together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing, asynccontextmanager

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel
from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.unavailable import BusUnavailable
from schemas.callbacks import Claim
from schemas.secret import Secret
from tests.broker import RabbitMQ
from tests.fakes.clock import NOON
from tests.harness import free_ports
from tests.integration.rabbit import PROVIDERS, emptied, silent
from tests.integration.shops import CONFIG
from tests.integration.test_bus import a_claim
from tests.processes import until
from tests.records import RECORD, no_trail
from worker.amqp.dead_queue import dead_at_broker
from worker.amqp.diagnose import Diagnosis, diagnose
from worker.amqp.messages import OutgoingMessage, claim_message, dead_letter_message
from worker.amqp.publisher import confirm
from worker.amqp.topology import DEAD, claims_queue, declare
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.dead_letter_stores import open_dead_letters
from worker.config import Config
from worker.dead_letters import AmbiguousId, CheckedOut, DeadLetter, DeadLetterStore, check_out, list_all, match_prefix
from worker.ops.doctor.findings import broker_findings
from worker.postgres.database import Database, connect
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.dead_table import PostgresDead, alone
from worker.runtime.ids import new_payment_id
from worker.telemetry.redaction import masked_callback

OURS = new_payment_id()
REASON = "ValueError at consumers/apply_claim.py:41, 5 times"


class AtBroker(Struct):
    """The topology alone, without a consumer."""

    url: Secret
    channel: AbstractChannel

    async def post(self, post: OutgoingMessage) -> None:
        await confirm(self.channel, post)

    async def bury(self, claim_id: str, body: bytes) -> None:
        await self.post(dead_letter_message(claim_id, "ipay", body, REASON, NOON))

    async def queued(self) -> list[bytes]:
        """The claims that wait for a worker, taken off the queue."""
        bodies, queue = [], await self.channel.get_queue(claims_queue("ipay"), ensure=False)
        while (message := await queue.get(fail=False)) is not None:
            bodies.append(message.body)
            await message.ack()
        return bodies


@asynccontextmanager
async def topology(broker: RabbitMQ) -> AsyncIterator[AtBroker]:
    await emptied(broker)
    async with await aio_pika.connect(broker.url) as connection:
        await declare(connection, PROVIDERS)
        yield AtBroker(Secret(broker.url), await connection.channel(on_return_raises=True))


@pytest.fixture
async def rabbit(broker: RabbitMQ) -> AsyncIterator[AtBroker]:
    async with topology(broker) as rabbit:
        yield rabbit


class Bench(Struct):
    place: DeadLetterStore
    bury: Callable[[str, bytes], Awaitable[None]]
    queued: Callable[[], Awaitable[list[bytes]]]

    async def ids(self) -> list[str]:
        return [letter.id for letter in await list_all(self.place)]


@pytest.fixture(params=["postgres", "broker"])
async def bench(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Bench]:
    if request.param == "broker":
        async with topology(request.getfixturevalue("broker")) as rabbit, dead_at_broker(rabbit.url, no_trail) as place:
            yield Bench(place, rabbit.bury, rabbit.queued)
        return
    async with connect(dsn) as database:

        async def bury(claim_id: str, body: bytes) -> None:
            await PostgresBus(database).dead_letter_raw(claim_id, "ipay", body, REASON)

        async def queued() -> list[bytes]:
            return [row["body"] for row in await database.fetch("DELETE FROM queue RETURNING body")]

        yield Bench(PostgresDead(database), bury, queued)


async def exhausted(reading: AsyncIterator[CheckedOut]) -> None:
    async for _ in reading:
        pass


def body_of(claim: Claim) -> bytes:
    return msgspec.json.encode(claim)


async def buried(bench: Bench, count: int) -> list[Claim]:
    claims = [replace(a_claim(), payment_id=OURS) for _ in range(count)]
    for claim in claims:
        await bench.bury(claim.id, body_of(claim))
    return claims


# -- each place --------------------------------------------------------------------------------------------------------


async def test_a_letter_says_what_died_and_why(bench: Bench) -> None:
    (claim,) = await buried(bench, 1)
    (letter,) = await list_all(bench.place)
    assert (letter.id, letter.provider, letter.payment_id) == (claim.id, "ipay", claim.payment_id)
    assert (letter.place, letter.reason, letter.unreadable) == (bench.place.place, REASON, None)
    assert letter.since is not None
    assert letter.since.utcoffset() is not None


async def test_looking_takes_nothing_away_however_often_and_however_it_ends(bench: Bench) -> None:
    claims = await buried(bench, 250)
    async with aclosing(bench.place.read()) as reading:
        await anext(reading)
        await anext(reading)
    for _ in range(3):
        assert sorted(await bench.ids()) == sorted(claim.id for claim in claims)
    assert await bench.queued() == []


async def test_what_is_replayed_is_queued_byte_for_byte_and_is_dead_no_more(bench: Bench) -> None:
    first, second, third = await buried(bench, 3)
    letters = await list_all(bench.place)
    async with aclosing(check_out(bench.place, match_prefix(letters, second.id[:12]))) as reading:
        async for opened in reading:
            await bench.place.replay(opened, RECORD)
    assert await bench.queued() == [body_of(second)]
    assert set(await bench.ids()) == {first.id, third.id}


async def test_what_is_dropped_is_gone(bench: Bench) -> None:
    first, second = await buried(bench, 2)
    async with aclosing(check_out(bench.place, match_prefix(await list_all(bench.place), first.id))) as reading:
        async for opened in reading:
            await bench.place.drop(opened, RECORD)
    assert await bench.ids() == [second.id]
    assert await bench.queued() == []


async def test_a_claim_that_died_twice_has_two_letters_and_both_are_meant(bench: Bench) -> None:
    claim = a_claim()
    for _ in range(2):
        await bench.bury(claim.id, body_of(claim))
    letters = match_prefix(await list_all(bench.place), claim.id)
    assert len(letters) == 2
    async with aclosing(check_out(bench.place, letters)) as reading:
        assert len([opened.letter async for opened in reading]) == 2


async def test_a_letter_that_came_after_the_look_is_not_touched(bench: Bench) -> None:
    await buried(bench, 1)
    letters = await list_all(bench.place)
    (late,) = await buried(bench, 1)
    async with aclosing(check_out(bench.place, letters)) as reading:
        async for opened in reading:
            await bench.place.replay(opened, RECORD)
    assert await bench.ids() == [late.id]


@pytest.mark.parametrize(
    "body",
    [b'{"newer":1,"payment_id":"%b"}' % OURS.encode(), b"\xff", b"[" * 5000],
    ids=["newer", "no UTF-8", "deep"],
)
async def test_what_cannot_be_read_is_told_and_has_an_id_to_type(bench: Bench, body: bytes) -> None:
    await bench.bury("unknown", body)
    (letter,) = await list_all(bench.place)
    assert letter.id.startswith("unknown-")
    assert letter.unreadable is not None
    assert letter.payment_id == (OURS if b"payment_id" in body else None)


def test_an_id_may_be_shortened_as_long_as_it_means_one_claim() -> None:
    letters = [
        DeadLetter(id=name, place="postgres", provider="ipay", payment_id=None, reason="", since=None)
        for name in ("abcd", "abce", "abc")
    ]
    assert match_prefix(letters, "abcd") == letters[:1]
    assert match_prefix(letters, "abc") == letters[2:]
    for typed, ids in (("ab", ["abc", "abcd", "abce"]), ("x", []), ("", [])):
        with pytest.raises(AmbiguousId) as raised:
            match_prefix(letters, typed)
        assert raised.value.ids == ids


# -- the broker's alone ------------------------------------------------------------------------------------------------


async def test_what_the_broker_put_aside_by_itself_says_so_in_words(rabbit: AtBroker) -> None:
    await rabbit.post(claim_message(claim := a_claim()))
    queue = await rabbit.channel.get_queue(claims_queue("ipay"), ensure=False)

    async def died() -> list[DeadLetter] | None:
        if (message := await queue.get(fail=False)) is not None:
            await message.nack(requeue=True)
            return None
        async with dead_at_broker(rabbit.url, no_trail) as place:
            return await list_all(place) or None

    (letter,) = await until(died, what="the broker's own dead letter")
    assert (letter.id, letter.provider, letter.unreadable) == (claim.id, "ipay", None)
    assert letter.reason == "given out more than 20 times, and no worker ever finished it"
    assert letter.since is not None
    async with dead_at_broker(rabbit.url, no_trail) as place, aclosing(check_out(place, [letter])) as reading:
        async for opened in reading:
            await place.replay(opened, RECORD)
    assert await rabbit.queued() == [body_of(claim)]


async def test_a_letter_that_no_queue_takes_stays(rabbit: AtBroker) -> None:
    claim = a_claim()
    await rabbit.bury(claim.id, body_of(claim))
    await rabbit.channel.queue_delete(claims_queue("ipay"))
    async with dead_at_broker(rabbit.url, no_trail) as place:
        async with aclosing(place.read()) as reading:
            opened = await anext(reading)
            with pytest.raises(BusUnavailable, match="no queue at the broker takes it"):
                await place.replay(opened, RECORD)
        assert [letter.id for letter in await list_all(place)] == [claim.id]


async def test_a_letter_that_the_broker_does_not_confirm_stays(rabbit: AtBroker, broker: RabbitMQ) -> None:
    claim = a_claim()
    await rabbit.bury(claim.id, body_of(claim))
    await asyncio.to_thread(broker.raise_alarm)
    try:
        async with dead_at_broker(rabbit.url, no_trail) as place:
            async with aclosing(place.read()) as reading:
                opened = await anext(reading)
                with pytest.raises(BusUnavailable, match="did not confirm it in time"):
                    await place.replay(opened, RECORD)
            assert [letter.id for letter in await list_all(place)] == [claim.id]
        words = await trouble(rabbit.url, PROVIDERS)
        assert words is not None
        assert "alarm" in words
    finally:
        await asyncio.to_thread(broker.clear_alarm)


async def test_a_broker_that_nobody_used_yet_has_no_dead_letters(broker: RabbitMQ) -> None:
    await emptied(broker)
    async with dead_at_broker(Secret(broker.url), no_trail) as place:
        assert await list_all(place) == []


async def test_connections_that_are_cut_while_reading_are_told_and_lose_nothing(
    rabbit: AtBroker, broker: RabbitMQ
) -> None:
    claims = [a_claim() for _ in range(3)]
    for claim in claims:
        await rabbit.bury(claim.id, body_of(claim))
    async with dead_at_broker(rabbit.url, no_trail) as place, aclosing(place.read()) as reading:
        await anext(reading)
        await asyncio.to_thread(broker.cut_connections)
        with pytest.raises(BusUnavailable):
            await exhausted(reading)

    async def all_back() -> bool:
        async with dead_at_broker(rabbit.url, no_trail) as place:
            return {letter.id for letter in await list_all(place)} == {claim.id for claim in claims}

    await until(all_back, what="all letters are back")


async def trouble(url: Secret, providers: Collection[str]) -> str | None:
    return (await diagnose(url, providers)).trouble


async def test_the_doctors_words_on_a_broker(broker: RabbitMQ) -> None:
    await emptied(broker)
    assert await diagnose(Secret(broker.url), PROVIDERS) == Diagnosis(dead=0, bounded=True)
    refused = await trouble(Secret(broker.url.replace(":guest@", ":wrong-one@")), PROVIDERS)
    assert refused == "the broker refuses the user or password of PAYPROOF_AMQP_URL"
    away = await trouble(Secret(f"amqp://guest:guest@127.0.0.1:{free_ports(1)[0]}/"), PROVIDERS)
    assert away is not None
    assert away.startswith("it cannot be reached")
    assert "check PAYPROOF_AMQP_URL" in away
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(DEAD)
        await channel.declare_queue(DEAD, durable=True)
        otherwise = await trouble(Secret(broker.url), PROVIDERS)
        await channel.queue_delete(DEAD)
    assert otherwise is not None
    assert otherwise.startswith(f"the broker has {DEAD} already, otherwise than it must be")


async def test_the_doctor_names_the_nodes_that_are_away_and_examines_another(broker: RabbitMQ) -> None:
    await emptied(broker)
    away = f"127.0.0.1:{free_ports(1)[0]}"
    found = await diagnose(Secret(f"amqp://guest:guest@{away}/,{broker.url}"), PROVIDERS)
    assert found == Diagnosis(dead=0, away=(away,), bounded=True)
    (well, told) = broker_findings(found)
    assert (well.mark, told.mark) == ("ok", "!!")
    assert away in told.words
    nobody = await diagnose(Secret(f"amqp://guest:guest@{away}/,amqp://guest:guest@{away}/"), PROVIDERS)
    assert nobody.trouble is not None
    assert nobody.trouble.startswith("it cannot be reached")


async def test_the_doctor_counts_the_dead_letters_at_the_broker_and_leaves_them_there(rabbit: AtBroker) -> None:
    for number in range(3):
        await rabbit.bury(f"claim-{number}", b"{}")
    for _ in range(2):
        (well, dead) = broker_findings(await diagnose(rabbit.url, PROVIDERS))
        assert (well.mark, dead.mark, dead.words) == ("ok", "!!", "3 waiting at the broker")
        assert dead.to_do == "look at them with payproof dead list"


async def test_the_doctor_names_the_queue_that_keeps_silent_within_its_deadlines(broker: RabbitMQ) -> None:
    await emptied(broker)
    assert await diagnose(Secret(broker.url), PROVIDERS) == Diagnosis(dead=0, bounded=True)
    for queue in (claims_queue("ipay"), DEAD):
        with silent(broker, queue):
            (found,) = broker_findings(await asyncio.wait_for(diagnose(Secret(broker.url), PROVIDERS), 20))
        assert (found.mark, found.subject) == ("no", f"queue {queue}")
        assert "lost its leader" in found.words


# -- both on one desk --------------------------------------------------------------------------------------------------


def configured(dsn: str, amqp_url: str | None) -> Config:
    settings = replace(CONFIG.settings, database_url=Secret(dsn), amqp_url=Secret(amqp_url) if amqp_url else None)
    return replace(CONFIG, settings=settings)


def known_claim() -> Claim:
    return a_claim(CONFIG.accounts[0].provider.name)


async def test_both_places_are_one_list_oldest_first_and_are_replayed_together(
    rabbit: AtBroker, broker: RabbitMQ, dsn: str, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = CONFIG.accounts[0].provider.name
    await emptied(broker)
    async with await aio_pika.connect(broker.url) as connection:
        await declare(connection, {provider, *PROVIDERS})
    here, there = known_claim(), known_claim()
    await PostgresBus(database).dead_letter_raw(here.id, provider, body_of(here), REASON)
    await rabbit.post(dead_letter_message(there.id, provider, body_of(there), REASON, NOON))
    await rabbit.bury("unreadable", b'{"newer":1}')
    async with open_dead_letters(configured(dsn, broker.url)) as found:
        assert found.letters[-1].id == here.id
        assert {letter.id for letter in found.letters} == {here.id, there.id, "unreadable"}
        assert found.counted(found.letters) == "1 in Postgres, 2 at the broker"
        assert found.verdict() == 0
        assert await found.replay(found.letters) == 1
    printed = capsys.readouterr()
    assert printed.out == "2 of 3 replayed\n"
    assert "unreadable stays: this version reads no claim in it (ValidationError" in printed.err
    assert [row["claim_id"] for row in await database.fetch("SELECT claim_id FROM queue")] == [here.id]
    queue = await rabbit.channel.get_queue(claims_queue(provider), ensure=False)
    assert (await queue.get(no_ack=True)).body == body_of(there)
    async with open_dead_letters(configured(dsn, broker.url)) as found:
        assert [letter.id for letter in found.letters] == ["unreadable"]
    await rabbit.channel.queue_delete(claims_queue(provider))


async def test_without_the_broker_those_in_postgres_are_there_and_it_is_said(
    dsn: str, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = known_claim()
    await PostgresBus(database).dead_letter_raw(claim.id, claim.provider, body_of(claim), REASON)
    away = f"amqp://guest:sesame@127.0.0.1:{free_ports(1)[0]}/"
    async with open_dead_letters(configured(dsn, away)) as found:
        assert [letter.id for letter in found.letters] == [claim.id]
        assert found.verdict() == 1
        with pytest.raises(CommandFailed, match="there is no dead letter x; what lies at the broker could not be"):
            found.find("x")
        assert await found.replay(found.letters) == 1
    printed = capsys.readouterr()
    assert printed.out == "1 of 1 replayed\n"
    assert "the broker cannot be reached" in printed.err
    assert "sesame" not in printed.err


async def test_a_letter_of_a_gateway_that_is_no_longer_configured_stays(
    dsn: str, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = a_claim("gone")
    await PostgresBus(database).dead_letter_raw(claim.id, claim.provider, body_of(claim), REASON)
    async with open_dead_letters(configured(dsn, None)) as found:
        assert await found.replay(found.letters) == 1
        assert len(found.letters) == 1
    assert "no account of the gateway gone is in the configuration" in capsys.readouterr().err


async def test_two_who_read_take_turns_and_the_second_is_told(dsn: str, database: Database) -> None:
    async with alone(database):
        with pytest.raises(CommandFailed, match="another payproof dead is at work"):
            async with open_dead_letters(configured(dsn, None)):
                pass
    async with open_dead_letters(configured(dsn, None)) as found:
        assert found.letters == []
        with pytest.raises(CommandFailed):
            found.find("x")


async def test_a_beginning_of_several_ids_is_wrong_usage(dsn: str, database: Database) -> None:
    for name in ("abcd", "abce"):
        await PostgresBus(database).dead_letter_raw(name, "ipay", b"", REASON)
    async with open_dead_letters(configured(dsn, None)) as found:
        with pytest.raises(WrongUsage, match="abc: several begin so: abcd, abce"):
            found.find("abc")


async def test_thousands_stay_usable(rabbit: AtBroker) -> None:
    claims = [a_claim() for _ in range(2000)]
    for start in range(0, 2000, 100):
        await asyncio.gather(*(rabbit.bury(claim.id, body_of(claim)) for claim in claims[start : start + 100]))
    async with dead_at_broker(rabbit.url, no_trail) as place:
        async with asyncio.timeout(120):  # a generous limit for a loaded machine
            letters = await list_all(place)
            assert {letter.id for letter in letters} == {claim.id for claim in claims}
            async with aclosing(check_out(place, letters)) as reading:
                async for opened in reading:
                    await place.replay(opened, RECORD)
        assert await list_all(place) == []
    assert len(await rabbit.queued()) == 2000


# -- what is shown of a callback ---------------------------------------------------------------------------------------


def test_of_a_callback_only_ids_that_the_claim_read_are_shown() -> None:
    plain = a_claim()
    assert plain.callback is not None
    callback = replace(
        plain.callback,
        query=(("reference", "order-1"), ("phone", "01700000000"), ("01700000000", "")),
        headers=(("content-type", "application/json"), ("x-signature", "5eCr3t"), ("user-agent", "Nokia")),
        body=b'{"customer":{"name":"Rahim","tags":["vip"]},"trx":"TRX-9","amount":1500.50,"ok":true}',
    )
    shown = masked_callback(callback, replace(plain, reference="order-1", transaction_id="TRX-9"))
    text = json.dumps(shown, default=str)
    for hidden in ("01700000000", "5eCr3t", "Nokia", "Rahim", "vip", "1500"):
        assert hidden not in text
    assert shown["query"][0] == ["reference", "order-1"]
    assert shown["headers"][:2] == [["content-type", "application/json"], ["x-signature", "*** (6 characters)"]]
    assert shown["body"]["fields"] == {
        "customer": {"name": "*** (5 characters)", "tags": ["*** (3 characters)"]},
        "trx": "TRX-9",
        "amount": "*** (7 characters)",
        "ok": True,
    }
