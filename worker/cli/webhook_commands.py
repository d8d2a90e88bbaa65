"""`payproof webhooks`: the state of the shop's endpoints, a test event to one, and events sent to one again.

`test` sends itself. `replay`, `enable` and `move` only make deliveries due; a running `serve` with the role `deliver`
sends them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from worker.cli.command_errors import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from worker.config import Config
    from worker.config.webhook_endpoints import Endpoint
    from worker.postgres.database import Database
    from worker.postgres.events.orphans import Orphan

webhooks = App(name="webhooks", help="Look at the shop's webhook endpoints; test one, enable one, send events again.")

EndpointId = Annotated[str | None, Parameter(name="--endpoint", help="Its id or URL; needed where there are several.")]
OrphanId = Annotated[str, Parameter(help="The id or former URL of an endpoint that is not configured any more.")]


@webhooks.command(name="list")
def list_webhooks() -> int:
    """List the endpoints, each with its waiting and given-up events and its state."""
    from worker.cli.configured import configuration
    from worker.cli.endpoints import print_endpoints
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints, list_endpoints
    from worker.postgres.server.opened import opened_as_it_is

    async def run() -> None:
        config = configuration()
        async with opened_as_it_is(config) as database:
            configured = await known_endpoints(database, endpoints_of(config))
            print_endpoints(configured, await list_endpoints(database), database.clock.now())

    asyncio.run(run())
    return 0


@webhooks.command(name="test")
def try_(endpoint: EndpointId = None) -> int:
    """Send a signed event of the type payproof.test to an endpoint, at once, and print its answer."""
    from worker.cli.configured import configuration
    from worker.deliver.sender import sender
    from worker.deliver.trying import trial_event

    config = configuration()

    def now() -> datetime:
        return datetime.now(UTC)  # a database is not needed to try an endpoint

    async def run() -> int:
        meant = await _meant_without_database(config, endpoint)
        event_id, body = trial_event(meant.merchant, now())
        async with sender(now, private=config.allow_private_webhooks) as sending:
            sent = await sending.send(meant, event_id, body)
        heard = sent.response
        good = heard.status is not None and 200 <= heard.status < 300
        then = "as it should" if good else "which is not a 2xx" if heard.status else "so it was not delivered"
        print(f"{meant.label} at {meant.host}: {heard.words} after {sent.seconds:.3f} s, {then}")
        return 0 if good else 1

    return asyncio.run(run())


@webhooks.command
def enable(endpoint: EndpointId = None) -> int:
    """Send to an endpoint again that answered 410, or is shut after failures: all its waiting events, at once."""
    from worker.cli.configured import configuration
    from worker.postgres.events.endpoint_rows import enable_endpoint
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.wakeups import Wakeup

    config = configuration()

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            meant = await _meant(config, endpoint, database)
            before = await enable_endpoint(database, meant.id, database.clock.now())
            if before is None:
                raise CommandFailed(
                    f"{meant.label} was never sent anything; `payproof serve` begins with it when it runs"
                )
            database.notify(Wakeup(placed=True))
        was = "was disabled" if before.disabled_at else "was shut" if before.probing else "was open already"
        print(f"{meant.label} {was}; what waits for it goes out while a `payproof serve` is running")

    asyncio.run(run())
    return 0


@webhooks.command(name="replay")
def replay_webhooks(
    endpoint: EndpointId = None,
    *,
    since: Annotated[datetime, Parameter(help="Events from then on, such as 2026-11-20T14:00.")],
    until: Annotated[datetime | None, Parameter(help="And before then; now, unless given.")] = None,
    type_: Annotated[
        tuple[str, ...], Parameter(name="--type", help="Of this type; all that it wants, unless given.", negative=())
    ] = (),
    wait: Annotated[bool, Parameter(help="Wait until each was sent once.")] = True,
) -> int:
    """Send events to an endpoint again, delivered or not; it knows them by their ids. A running `serve` sends them."""
    from schemas.words import EventType
    from worker.cli.configured import configuration
    from worker.cli.endpoints import follow_replay
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import begin_endpoints
    from worker.postgres.events.old_events import log_floor, missing_since
    from worker.postgres.events.replay import find_replay, make_due
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.wakeups import Wakeup

    if unknown := sorted(set(type_) - set(EventType)):
        raise WrongUsage(f"--type: {', '.join(unknown)} is none of {', '.join(EventType)}")
    config = configuration()

    async def run() -> int:
        async with opened_as_it_is(config) as database:
            now = database.clock.now()
            await begin_endpoints(database, endpoints_of(config))
            meant = await _meant(config, endpoint, database)
            found = await find_replay(
                database,
                meant.id,
                meant.merchant,
                type_ or meant.types,
                since.astimezone(),
                until.astimezone() if until else now,
            )
            if words := missing_since(await log_floor(database, meant.merchant), since.astimezone()):
                print(words, file=sys.stderr)
            await make_due(database, found, now)
            database.notify(Wakeup(placed=True))
            print(f"{found.events} events are due to {meant.label} at {meant.host}")
            return await follow_replay(database, found) if wait and found.events else 0

    return asyncio.run(run())


@webhooks.command(name="move")
def move_waiting(old: OrphanId, new: Annotated[str, Parameter(help="The id or URL of a configured endpoint.")]) -> int:
    """Send what waits for an endpoint that is not configured any more to another endpoint of its merchant."""
    from worker.cli.configured import configuration
    from worker.cli.endpoints import print_moved
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import begin_endpoints
    from worker.postgres.events.orphans import move_deliveries
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.wakeups import Wakeup

    config = configuration()

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            to, orphan = await _meant(config, new, database), await _orphan(config, old, database)
            if orphan.merchant != to.merchant:
                raise WrongUsage(f"{orphan.id} is of the merchant {orphan.merchant}, and {to.label} of {to.merchant}")
            await begin_endpoints(database, endpoints_of(config))
            moved = await move_deliveries(database, orphan.id, to, database.clock.now())
            database.notify(Wakeup(placed=True))
            print_moved(orphan, to, moved)

    asyncio.run(run())
    return 0


@webhooks.command(name="drop")
def drop_waiting(
    endpoint: OrphanId, *, yes: Annotated[bool, Parameter(help="Do not ask.", negative="")] = False
) -> int:
    """Give up what waits for an endpoint that is not configured any more."""
    from worker.cli.configured import configuration
    from worker.console import agreed
    from worker.postgres.events.orphans import drop_deliveries
    from worker.postgres.server.opened import opened_as_it_is

    if not yes and not sys.stdin.isatty():
        raise WrongUsage("--yes is needed where nobody can be asked")
    config = configuration()

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            orphan = await _orphan(config, endpoint, database)
            print(f"{orphan.waiting} events wait for {orphan.id} of {orphan.merchant}")
            if not yes and not await asyncio.to_thread(agreed, f"Give up these {orphan.waiting} events?"):
                raise CommandFailed("nothing was given up")
            print(f"{await drop_deliveries(database, orphan.id, database.clock.now())} events were given up")

    asyncio.run(run())
    return 0


async def _meant(config: Config, named: str | None, database: Database) -> Endpoint:
    """The configured endpoint of this id or URL, or the only one. Raises WrongUsage."""
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints

    return _one_of(await known_endpoints(database, endpoints_of(config)), named)


async def _meant_without_database(config: Config, named: str | None) -> Endpoint:
    """Like `_meant`. The database is asked only where the configuration does not tell, as after a URL has changed."""
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.server.opened import opened_as_it_is

    found = endpoints_of(config)
    if named is None or any(named in (one.configured_id, one.url) for one in found):
        return _one_of(found, named)
    async with opened_as_it_is(config) as database:
        return await _meant(config, named, database)


def _one_of(found: Sequence[Endpoint], named: str | None) -> Endpoint:
    if not found:
        raise WrongUsage("no endpoint is configured; see [[merchants.webhooks]]")
    fitting = [one for one in found if named in (None, one.id, one.configured_id, one.url)]
    if len(fitting) == 1:
        return fitting[0]
    several = ", ".join(f"{one.label} at {one.host}" for one in found)
    raise WrongUsage(f"{named} is none of {several}" if named and not fitting else f"there are several: {several}")


async def _orphan(config: Config, named: str, database: Database) -> Orphan:
    """The endpoint of this id or URL that is not configured, and for which events wait. Raises WrongUsage."""
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints
    from worker.postgres.events.orphans import addresses_of, list_orphans

    configured = await known_endpoints(database, endpoints_of(config))
    if any(named in (one.id, one.configured_id, one.url) for one in configured):
        raise WrongUsage(f"{named} is in the configuration, so what waits for it is sent")
    found = await list_orphans(database, configured)
    addresses = await addresses_of(database, found)
    fitting = [one for one in found if named in (one.id, addresses[one.id].configured_id, addresses[one.id].url)]
    if len(fitting) == 1:
        return fitting[0]
    several = ", ".join(f"{one.id} at {addresses[one.id].url}" for one in found)
    raise WrongUsage(
        f"{named} is none of {several}" if several else f"no events wait for {named}, or for any such endpoint"
    )
