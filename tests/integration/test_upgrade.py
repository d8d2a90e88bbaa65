"""A rolling upgrade: the last release beside today's code, each by the code of its own commit.

Two releases beside each other are not tried: their code cannot change any more.
A rollback is part of it: the older code is started again on the newer schema, beside payments that the newer code has
in hand.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.broker import RabbitMQ
from tests.contract import RELEASED, ROOT, number, released
from tests.fault.subscriber import Subscriber
from tests.harness import System, environment
from tests.integration.rolling import CHECKED, SETTINGS, Fleet, Node, dead, rolling, versions, without_newer_gateways
from tests.processes import directory, until
from tests.schema import archived, breaks, commit_of, has_history, schema_of
from worker.postgres.database import connect
from worker.postgres.server.migrate import apply_migrations

RELEASES = released()
TODAY = "today"
CODES = [*(release.name for release in RELEASES), TODAY]
LAST = CODES[-2]
TWO_APART = list(zip(CODES, CODES[2:], strict=False))
NEWER = {"confirm_end": "0.2.0", "not_found": "0.2.0"}
"""Keys of the demo's configuration by the first release that knows them. Two neighbouring releases share one file."""


@pytest.fixture(scope="module")
def code_of() -> Iterator[Callable[[str], Path]]:
    """A function that returns the folder of a release's code, taken from its commit, or of today's code."""
    with tempfile.TemporaryDirectory(prefix="payproof-released-") as place:

        @cache
        def code_of(name: str) -> Path:
            if name == TODAY:
                return ROOT
            if not has_history():
                pytest.skip("what was released is in the history, and this copy has none")
            (Path(place) / name).mkdir()
            return archived(commit_of(RELEASED / name), Path(place) / name)

        yield code_of


@pytest.fixture
def system() -> Iterator[System]:
    with directory() as place:
        yield System(place, settings=SETTINGS)


@pytest.fixture
def host(broker: RabbitMQ) -> Iterator[str]:
    """The URL of an empty virtual host of the broker."""
    broker.ctl("add_vhost", "upgrade")
    try:
        broker.ctl("set_permissions", "-p", "upgrade", "guest", ".*", ".*", ".*")
        yield f"{broker.url}upgrade"
    finally:
        broker.ctl("delete_vhost", "upgrade")


def migrations(code: Path) -> set[str]:
    """The versions of the migrations that this code knows."""
    return {file.name.partition("_")[0] for file in (code / "schemas/sql").glob("*.sql")}


def configure(system: System, oldest: str) -> None:
    """Write the configuration without the keys and the accounts that the oldest program does not know."""
    system.configure()
    unknown = tuple(f"{key} = " for key, since in NEWER.items() if oldest != TODAY and number(oldest) < number(since))
    text = without_newer_gateways(system.config.read_text())
    if oldest != TODAY:
        text = text.replace(system.keys, f'api_keys = ["{system.key}"]')
    known = [line for line in text.splitlines(keepends=True) if not line.startswith(unknown)]
    system.config.write_text("".join(known))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
async def test_the_schema_only_grew_since_a_release(release: Path, dsn: str, code_of: Callable[[str], Path]) -> None:
    """Otherwise a contraction keeps that release out: it does not start, and says why."""
    async with connect(dsn) as database:
        contracted = {row["version"] for row in await database.fetch("SELECT version FROM contractions")}
    known = migrations(code_of(release.name))
    found = breaks((release / "schema.txt").read_text().splitlines(), await schema_of(dsn), release.name)
    assert found == [] or contracted - known


async def test_a_trigger_that_is_switched_off_is_told_as_one_that_is_gone(dsn: str) -> None:
    """Programs of the last release rely on it as well: without `payments_revised` their writes are not noticed."""
    before = await schema_of(dsn)
    async with connect(dsn) as database:
        await database.execute("ALTER TABLE payments DISABLE TRIGGER payments_revised")
    (told,) = breaks(before, await schema_of(dsn))
    assert told.startswith("gone: trigger payments payments_revised ")


@pytest.mark.parametrize("name", CODES)
def test_each_release_runs_its_own_code(name: str, code_of: Callable[[str], Path]) -> None:
    settings = environment() | {"PYTHONPATH": str(code_of(name))}
    for module in ("worker.process", "consumers.pipeline", "schemas.callbacks"):
        words = [sys.executable, "-P", "-c", f"import {module}; print({module}.__file__)"]
        where = subprocess.run(words, env=settings, cwd="/", capture_output=True, text=True, check=True).stdout
        assert Path(where.strip()).is_relative_to(code_of(name))


async def rolled_forward_and_back(fleet: Fleet) -> None:
    """Gateways think at every change of the fleet; between the changes every kind of payment is paid at each node."""
    older, newer = fleet.older, fleet.newer
    await older.start()
    await fleet.pays(await fleet.opens(CHECKED, older), older)

    left = await fleet.opens(CHECKED, older)
    async with fleet.asking(older) as come_back:
        await newer.start()  # it migrates while the older node waits for its answers
        await come_back(newer)
    left += await fleet.opens(CHECKED, older)
    await fleet.pays(left, newer)
    await fleet.pays(await fleet.opens(CHECKED, newer), older)

    async with fleet.asking(older) as come_back:
        await asyncio.gather(older.stop(), come_back(newer))
    await fleet.pays(await fleet.opens(CHECKED, newer), newer)

    async with fleet.asking(newer) as come_back:
        await older.start()
        await asyncio.gather(newer.stop(), come_back(older))
    await fleet.pays(await fleet.opens(CHECKED, older), older)

    async with fleet.asking(older) as come_back:
        await newer.start()
        await asyncio.gather(older.stop(), come_back(newer))
    await fleet.pays(await fleet.opens(CHECKED, newer), newer)


async def all_is_well(fleet: Fleet, dsn: str) -> list[bytes]:
    """Assert that the shop got the right events of every payment. Returns the log, as the bodies of its events."""
    log = await fleet.all_is_told()
    ids = [told.id for told in log]
    assert len(ids) == len(set(ids)) == 2 * len(fleet.scenes), "every event once"
    assert {told.data["hold"] for told in log} == {None}
    assert set(map(tuple, versions(told.raw for told in log).values())) == {(1, 2)}
    for feed in (fleet.feed, fleet.stage.feed):
        assert [told.raw for told in feed.all] == [told.raw for told in log], "whichever node a page came from"
    assert set(await fleet.executes()) == {1}
    assert await dead(dsn) == []
    return [told.raw for told in log]


async def test_the_last_release_and_today_go_on_beside_each_other_forward_and_back(
    code_of: Callable[[str], Path], unmade: str, system: System
) -> None:
    configure(system, LAST)
    async with rolling(system, unmade, code_of(LAST), code_of(TODAY)) as fleet:
        await rolled_forward_and_back(fleet)
        await all_is_well(fleet, unmade)


async def test_they_lose_no_event_over_rabbitmq_either(
    code_of: Callable[[str], Path], unmade: str, system: System, host: str
) -> None:
    """The relays of both may publish the log: an event may come twice, and is then the same to the byte."""
    configure(system, LAST)
    subscriber = Subscriber(host)
    await subscriber.bind()
    async with (
        subscriber.listening(),
        rolling(system, unmade, code_of(LAST), code_of(TODAY), broker_url=host) as fleet,
    ):
        await rolled_forward_and_back(fleet)
        log = await all_is_well(fleet, unmade)

        async def all_heard() -> bool:
            return len(subscriber.heard) == len(log)

        await until(all_heard, what="the subscriber hears every event")
        assert sorted(subscriber.heard.values()) == sorted(log)
        assert subscriber.conflicts == []
        assert versions(subscriber.heard.values()) == versions(log), "first heard in their order"
        assert await subscriber.dead_letters() == []


@pytest.mark.parametrize(
    ("older", "newest", "taken_away"),
    [pytest.param(TODAY, TODAY, ["9999"], id="today-9999"), *((*pair, []) for pair in TWO_APART)],
)
async def test_a_program_is_refused_where_what_it_may_need_was_taken_away(
    older: str, newest: str, taken_away: list[str], code_of: Callable[[str], Path], unmade: str, system: System
) -> None:
    """And only there: a release that is two behind runs as long as no migration took anything away."""
    await apply_migrations(unmade, directory=code_of(newest) / "schemas/sql")
    async with connect(unmade) as database:
        await database.execute("INSERT INTO contractions SELECT unnest($1::text[])", taken_away)
        contractions = {row["version"] for row in await database.fetch("SELECT version FROM contractions")}
    known = migrations(code_of(older))
    configure(system, older)
    node = Node("older", code_of(older), system, system.settings | {"PAYPROOF_DATABASE_URL": unmade})
    unknown = sorted(contractions - known)

    async def ended() -> bool:
        return not node.child.running

    try:
        if unknown:
            node.child.start()
            await until(ended, what="it ended by itself", seconds=60)
        else:
            await node.start()
    finally:
        code = node.child.stop()
    words = f"newer than this program ({', '.join(unknown)})"
    assert (code, words in node.child.log.read_text()) == ((1, True) if unknown else (0, False))
