"""Which endpoints have the newest event of a payment, read from what the endpoint workers wrote."""

from __future__ import annotations

from datetime import timedelta

from consumers.explain.reached import Receiver
from schemas.checks import Checks
from schemas.words import EventType
from tests.integration.test_failures import opened
from worker.config.webhook_endpoints import Endpoint, endpoint_id
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.postgres.events.event_log import assign_positions
from worker.postgres.reads.snapshots import read_dossier

EVERYTHING = tuple(kind.value for kind in EventType)


def endpoint(number: int, types: tuple[str, ...] = EVERYTHING, merchant: str = "shop") -> Endpoint:
    return Endpoint(
        id=endpoint_id(merchant, f"https://shop.example/{number}"),
        merchant=merchant,
        url=f"https://shop.example/{number}",
        host="shop.example",
        secrets=(),
        types=types,
    )


async def receivers(database: Database, payment_id: str, *endpoints: Endpoint) -> tuple[Receiver, ...]:
    snapshot = await read_dossier(database, payment_id, None, Checks(), endpoints)
    assert snapshot is not None
    return snapshot.receivers


async def test_each_endpoint_tells_how_it_stands_with_what_it_wants(database: Database) -> None:
    failing, served = endpoint(1), endpoint(2)
    picky, others = endpoint(3, ("payment.failed",)), endpoint(4, merchant="x")
    await begin_endpoints(database, (failing, served, picky, others))
    payment = await opened(database)
    waiting = await receivers(database, payment.id, failing, served, picky, others)
    assert [(one.endpoint, one.type, one.next_at) for one in waiting] == [
        (failing.id, "payment.opened", None),
        (served.id, "payment.opened", None),
    ], "an event without a position is on its way"
    await assign_positions(database, 10)
    await database.execute(
        """INSERT INTO deliveries (endpoint, event_id, place, attempts, next_at, delivered_at, answer)
           SELECT e.id, v.id, v.place, 1, CASE WHEN e.id = $1 THEN clock_timestamp() END,
               CASE WHEN e.id = $2 THEN clock_timestamp() END, CASE WHEN e.id = $1 THEN 'it answered 500' END
           FROM endpoints e, events v WHERE e.id IN ($1, $2)""",
        failing.id,
        served.id,
    )
    await database.execute(
        "UPDATE endpoints SET shut_until = clock_timestamp() + interval '1 h', place = 1 WHERE id = $1", failing.id
    )
    one, other = await receivers(database, payment.id, failing, served)
    assert (one.attempts, one.answer, one.delivered_at) == (1, "it answered 500", None)
    assert one.next_at is not None
    assert one.next_at - one.written_at > timedelta(minutes=59), "an endpoint that is shut is not tried before"
    assert (other.delivered_at is not None, other.next_at) == (True, None)


async def test_an_endpoint_that_began_later_was_never_meant_to_have_it(database: Database) -> None:
    payment = await opened(database)
    await assign_positions(database, 10)
    late = endpoint(1)
    await begin_endpoints(database, [late])
    assert await receivers(database, payment.id, late) == ()


async def test_one_that_said_that_it_is_gone_is_told_so(database: Database) -> None:
    gone = endpoint(1)
    await begin_endpoints(database, [gone])
    await database.execute("UPDATE endpoints SET disabled_at = clock_timestamp()")
    payment = await opened(database)
    await assign_positions(database, 10)
    (one,) = await receivers(database, payment.id, gone)
    assert one.disabled_at is not None
