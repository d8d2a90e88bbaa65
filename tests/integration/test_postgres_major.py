"""From PostgreSQL 15 (Debian's) to 18 (the embedded one) with the data, by the commands of `deploy/backup.md`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import Struct

from tests.fault.postgres import Postgres, postgres
from tests.harness import Scene
from tests.integration.test_backup import Installed, Place, _named, blocks, installed
from tests.processes import directory
from worker.postgres.server.cluster import Cluster, find_programs
from worker.postgres.server.identity import EmbeddedError

OLD_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
NEW_VERSION = 18
FLOOR = 1000


@pytest.fixture
def place() -> Iterator[Place]:
    """An old server, and beside it the empty directory of the new."""
    with directory() as home:
        (home / "old").mkdir()
        with postgres(home / "old", OLD_PROGRAMS) as server:
            place = Place(home, server, {"PAYPROOF_DATABASE_URL": server.url})
            for name in ("new", "backups"):
                (home / name).mkdir()
                place.cluster.identity.own(home / name)
            yield place


def run_as_written(place: Place, heading: str, **names: str) -> None:
    """Run the commands under this heading with the new version's programs."""
    new = find_programs(place.home / "new/postgres")
    for commands in blocks()[heading]:
        done = place.cluster.identity.run(
            *("/usr/bin/env", *(f"{name}={value}" for name, value in (place.names | names).items())),
            *("/bin/bash", "-euo", "pipefail", "-c", f'PATH="{new}:$PATH"; {commands}'),
            seconds=300,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"


async def test_by_a_dump_everything_goes_on_where_it_was(place: Place) -> None:
    async with installed(place) as at:
        before = await _much_happens(at)
        with postgres(place.home / "new") as new:
            names = {"NEW_URL": new.url, "NEW_MAINTENANCE_URL": _named(new.url, "postgres")}
            await asyncio.to_thread(run_as_written, place, "By a dump", BACKUPS=str(place.home / "backups"), **names)
            place.server.stop()
            await _goes_on(at, new, before)


async def test_in_place_everything_goes_on_where_it_was(place: Place) -> None:
    async with installed(place) as at:
        before = await _much_happens(at)
        place.server.stop()
        await asyncio.to_thread(
            run_as_written,
            place,
            "In place",
            OWNER="payproof",
            OLD_BIN=str(OLD_PROGRAMS),
            NEW_BIN=str(find_programs(place.home / "new/postgres")),
            OLD_DATA=str(place.cluster.home),
            NEW_DATA=str(place.home / "new/postgres"),
        )
        with postgres(place.home / "new") as new:
            await _goes_on(at, new, before)


def test_a_directory_of_a_version_that_the_package_lacks_is_named_and_not_touched(place: Place) -> None:
    before = (place.cluster.home / "PG_VERSION").read_text()
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 15, which is not installed here.*backup\.md"):
        Cluster(place.cluster.home)
    assert (place.cluster.home / "PG_VERSION").read_text() == before


class Before(Struct):
    """What an installation did on the old server: its events, and the return of a buyer who has paid by then."""

    events: list[dict[str, Any]]
    paid: Scene
    redirect: str


async def _much_happens(at: Installed) -> Before:
    """Payments that are completed, pending, and paid at the gateway without our knowledge. Payproof is stopped."""
    await at.paid(1)
    await at.opened(2)
    unknown = await at.opened(3)
    await unknown.until("opened")
    redirect = await unknown.at_gateway("pay")
    before = Before(await _events(at), unknown, redirect)
    await asyncio.to_thread(at.system.service.stop)
    return before


async def _goes_on(at: Installed, new: Postgres, before: Before) -> None:
    """On the new server every event is as it was, and what happens next follows them.

    It is another server, so versions go on above those that were given, and the newest event moves up the log.
    """
    connection = await asyncpg.connect(_named(new.url, "postgres"))
    version = connection.get_server_version().major
    await connection.close()
    assert version == NEW_VERSION
    await at.serve(new.url)
    await before.paid.returns(before.redirect)
    unknown = await _ended(at, before.paid)
    assert (unknown["status"], unknown["version"]) == ("completed", FLOOR + 1)
    following = await at.opened(4)
    await following.returns(await following.at_gateway("pay"))
    assert (await _ended(at, following))["status"] == "completed"
    after = await _events(at)
    assert after[: len(before.events)] == before.events
    told = [event["type"] for event in after[len(before.events) :]]
    assert told == ["payment.completed", "payment.opened", "payment.completed"]
    await asyncio.to_thread(at.system.service.stop)


async def _ended(at: Installed, scene: Scene) -> dict[str, Any]:
    """The payment once the shop was told that it is completed."""
    payment_id = scene.payment["payment_id"]
    await at.stage.feed.until(payment_id, lambda events: bool(events) and events[-1].word == "completed", seconds=60)
    return dict(await at.stage.shop.payment(payment_id))


async def _events(at: Installed) -> list[dict[str, Any]]:
    return list((await at.stage.shop._call("GET", "/v1/events?limit=1000"))["events"])
