"""An endpoint whose URL changes, or that leaves the configuration, while events wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.webhook_policy import Health
from tests.integration.endpoints import Hook, deliveries, endpoint_at, happen, hooking
from tests.integration.test_deliver import turned
from tests.records import RECORD
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import Sender, sender
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import begin_endpoints, list_endpoints, save_health
from worker.postgres.events.orphans import drop_deliveries, list_orphans, move_deliveries
from worker.telemetry.metrics import Metrics

NOWHERE = "http://127.0.0.1:9/hook"


@pytest.fixture
async def sending(database: Database) -> AsyncIterator[Sender]:
    async with sender(database.clock.now, private=True) as sending:
        yield sending


class Process:
    """A process with this configuration, which has begun."""

    def __init__(self, database: Database, sending: Sender) -> None:
        self._database, self._sending = database, sending
        self.endpoints: tuple[Endpoint, ...] = ()

    async def begin(self, *endpoints: Endpoint) -> Process:
        self.endpoints = await begin_endpoints(self._database, endpoints)
        return self

    async def works(self) -> None:
        """Every endpoint's worker runs until everything that it sent is recorded."""
        for one in self.endpoints:
            now = self._database.clock.now
            await turned(EndpointWorker(one, self._database, self._sending, Metrics(), now))


@pytest.mark.parametrize("before", [None, "erp"])
async def test_what_waits_goes_to_the_new_url_of_the_same_id_at_once(
    database: Database, sending: Sender, before: str | None
) -> None:
    old = await Process(database, sending).begin(endpoint_at(NOWHERE, id=before))
    told = await happen(database, 6)
    await old.works()
    assert set((await deliveries(database, old.endpoints[0])).values()) == {"waiting"}
    (shut,) = await list_endpoints(database)
    assert shut.health.probing, "the old URL failed too often"
    await Process(database, sending).begin(endpoint_at(NOWHERE, id="erp"))
    unseen = await happen(database)  # while no process runs
    async with hooking(Hook()) as hook:
        new = await Process(database, sending).begin(endpoint_at(hook.url, id="erp"))
        await new.works()
    assert sorted(hook.taken) == sorted(told + unseen)
    assert new.endpoints[0].id == old.endpoints[0].id
    assert await list_orphans(database, new.endpoints) == []


async def test_an_endpoint_that_was_gone_at_its_old_url_is_sent_to_at_its_new_one(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook(410)) as gone, hooking(Hook()) as hook:
        old = await Process(database, sending).begin(endpoint_at(gone.url, id="erp"))
        told = await happen(database)
        await old.works()
        assert (await list_endpoints(database))[0].health.disabled_at is not None
        await (await Process(database, sending).begin(endpoint_at(hook.url, id="erp"))).works()
    assert hook.taken == told


async def test_a_process_with_the_old_configuration_does_not_disable_or_shut_the_new_url(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook(410)) as gone, hooking(Hook()) as hook:
        old = await Process(database, sending).begin(endpoint_at(gone.url))
        new = await Process(database, sending).begin(endpoint_at(gone.url, id="erp"))
        new = await Process(database, sending).begin(endpoint_at(hook.url, id="erp"))
        told = await happen(database, 8)
        await old.works()
        assert gone.heard, "it still sends to the URL that it knows"
        assert (await list_endpoints(database))[0].health == Health()
        assert set((await deliveries(database, new.endpoints[0])).values()) == {"waiting"}
        await Process(database, sending).begin(endpoint_at(gone.url))  # it is started again, and its URL is the row's
        new = await Process(database, sending).begin(endpoint_at(hook.url, id="erp"))
        await new.works()
    assert sorted(hook.taken) == sorted(told)


async def test_a_success_at_the_old_url_counts_while_configurations_are_mixed(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook()) as hook:
        old = await Process(database, sending).begin(endpoint_at(hook.url))
        await Process(database, sending).begin(endpoint_at(hook.url, id="erp"))
        new = await Process(database, sending).begin(endpoint_at(NOWHERE, id="erp"))
        await happen(database, 3)
        await old.works()
        await new.works()
    assert set((await deliveries(database, new.endpoints[0])).values()) == {"delivered"}
    assert len(hook.taken) == 3


async def test_processes_that_begin_together_make_one_row(database: Database) -> None:
    erp, crm = endpoint_at(NOWHERE, id="erp"), endpoint_at(NOWHERE + "s", id="crm")
    begun = await asyncio.gather(*(begin_endpoints(database, pair) for pair in [(erp, crm), (crm, erp)] * 5))
    assert len({one.id for found in begun for one in found}) == 2
    assert len(await list_endpoints(database)) == 2


async def test_without_an_id_what_waits_is_orphaned_and_a_person_moves_it(database: Database, sending: Sender) -> None:
    old = await Process(database, sending).begin(endpoint_at(NOWHERE))
    told = await happen(database, 3)
    await old.works()
    between = await happen(database, 2)  # nobody runs: the old endpoint has no deliveries of these yet
    async with hooking(Hook()) as hook:
        new = await Process(database, sending).begin(endpoint_at(hook.url))
        await happen(database, merchant="other")
        after = await happen(database)
        await new.works()
        assert hook.taken == after
        (orphan,) = await list_orphans(database, new.endpoints)
        assert (orphan.id, orphan.waiting) == (old.endpoints[0].id, 3)
        moved = await move_deliveries(database, orphan.id, new.endpoints[0], database.clock.now(), RECORD)
        assert (moved.moved, moved.had, moved.unwanted, moved.missed) == (3, 0, 0, 2)
        await new.works()
        again = await move_deliveries(database, orphan.id, new.endpoints[0], database.clock.now(), RECORD)
        assert (again.moved, again.had, again.unwanted, again.missed) == (0, 0, 0, 0)
        await new.works()
    assert sorted(hook.taken) == sorted(told + between + after), "each once, and none is missing"
    assert await list_orphans(database, new.endpoints) == []


async def test_what_the_other_endpoint_has_is_not_sent_twice_and_what_it_gave_up_is_sent(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook()) as hook:
        both = await Process(database, sending).begin(endpoint_at(NOWHERE), endpoint_at(hook.url))
        had, lost = await happen(database, 2)
        await both.works()
        await database.execute(
            "UPDATE deliveries SET given_up_at = now(), delivered_at = NULL WHERE endpoint = $1 AND event_id = $2",
            both.endpoints[1].id,
            lost,
        )
        new = await Process(database, sending).begin(endpoint_at(hook.url))
        moved = await move_deliveries(database, both.endpoints[0].id, new.endpoints[0], database.clock.now(), RECORD)
        assert (moved.moved, moved.had) == (0, 2)
        await new.works()
    assert hook.taken.count(had) == 1
    assert hook.taken.count(lost) == 2


async def test_types_that_the_other_endpoint_does_not_want_stay_until_they_are_dropped(
    database: Database, sending: Sender
) -> None:
    old = await Process(database, sending).begin(endpoint_at(NOWHERE))
    await happen(database)
    await happen(database, 2, kind="payment.failed")
    await old.works()
    new = await Process(database, sending).begin(endpoint_at(NOWHERE + "s", events=("payment.completed",)))
    moved = await move_deliveries(database, old.endpoints[0].id, new.endpoints[0], database.clock.now(), RECORD)
    assert (moved.moved, moved.unwanted) == (1, 2)
    (orphan,) = await list_orphans(database, new.endpoints)
    assert orphan.waiting == 2
    assert await drop_deliveries(database, orphan.id, database.clock.now(), RECORD) == 2
    assert await list_orphans(database, new.endpoints) == []
    assert set((await deliveries(database, old.endpoints[0])).values()) == {"given up"}


async def test_an_endpoint_that_has_its_old_url_again_is_no_orphan(database: Database, sending: Sender) -> None:
    first = await Process(database, sending).begin(endpoint_at(NOWHERE))
    async with database.connection() as connection:
        await save_health(connection, first.endpoints[0].id, Health(disabled_at=database.clock.now()))
    again = await Process(database, sending).begin(endpoint_at(NOWHERE))
    assert again.endpoints == first.endpoints
    assert (await list_endpoints(database))[0].health.disabled_at is not None, "the same URL stays disabled"
