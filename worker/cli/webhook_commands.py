"""`payproof webhooks`: the state of the shop's endpoints, a test event to one, and events sent to one again.

`test` sends itself. `replay`, `enable` and `move` only make deliveries due; a running `serve` with the role `deliver`
sends them.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.commanded import commanded
from worker.cli.list_output import LISTED, ListOptions, print_list
from worker.cli.meant_endpoint import meant_endpoint, meant_orphan, meant_without_database

webhooks = App(name="webhooks", help="Look at the shop's webhook endpoints; test one, enable one, send events again.")

EndpointId = Annotated[str | None, Parameter(name="--endpoint", help="Its id or URL; needed where there are several.")]
MOST_LISTED = 1000
OrphanId = Annotated[str, Parameter(help="The id or former URL of an endpoint that is not configured any more.")]


@webhooks.command(name="list")
def list_webhooks(*, listed: ListOptions = LISTED) -> int:
    """List the endpoints, each with its waiting and given-up events and its state."""
    from worker.cli.configured import configuration
    from worker.cli.endpoints import ENDPOINT_COLUMNS, endpoint_records, print_endpoints
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints, list_endpoints
    from worker.postgres.server.opened import opened_as_it_is

    async def run() -> None:
        config = configuration()
        async with opened_as_it_is(config) as database:
            configured = await known_endpoints(database, endpoints_of(config))
            found, now = await list_endpoints(database), database.clock.now()
            records = endpoint_records(configured, found)
            print_list(listed, ENDPOINT_COLUMNS, records, lambda: print_endpoints(configured, found, now, listed))

    asyncio.run(run())
    return 0


@webhooks.command(name="deliveries")
def list_deliveries(
    endpoint: Annotated[str | None, Parameter(help="Its id or URL; needed where there are several.")] = None,
    *,
    state: Annotated[str | None, Parameter(help="waiting or given_up; all, unless given.")] = None,
    limit: Annotated[int, Parameter(help="At most so many, 1 to 1000.")] = 20,
    listed: ListOptions = LISTED,
) -> int:
    """List an endpoint's deliveries, newest event first; those that wait: the next one first."""
    from worker.cli.configured import configuration
    from worker.cli.delivery_rows import DELIVERY_COLUMNS, delivery_record, print_deliveries
    from worker.cli.endpoints import state_of
    from worker.postgres.events.delivery_reads import DeliveryState, read_deliveries
    from worker.postgres.events.endpoint_rows import list_endpoints
    from worker.postgres.server.opened import opened_as_it_is

    shown = (DeliveryState.WAITING, DeliveryState.GIVEN_UP)
    if state is not None and state not in shown:
        raise WrongUsage(f"--state: {state} is none of {', '.join(shown)}")
    if not 1 <= limit <= MOST_LISTED:
        raise WrongUsage(f"--limit: must be 1 to {MOST_LISTED}")
    config = configuration()

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            meant = await meant_endpoint(config, endpoint, database)
            async with database.connection() as connection:
                page = await read_deliveries(
                    connection, meant.id, meant.merchant, limit, state=DeliveryState(state) if state else None
                )
            now, found = database.clock.now(), page.deliveries
            records = [delivery_record(meant, one) for one in found]
            known = {one.id: state_of(one, now, listed) for one in await list_endpoints(database)}

            def table() -> None:
                print_deliveries(found, now, listed)
                print(f"{meant.label} at {meant.host}: {known.get(meant.id, 'new')}; deliveries shown: {len(found)}")

            print_list(listed, DELIVERY_COLUMNS, records, table)

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
        meant = await meant_without_database(config, endpoint)
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
            meant = await meant_endpoint(config, endpoint, database)
            record = commanded("endpoint.enabled", merchant=meant.merchant, subject=meant.id)
            before = await enable_endpoint(database, meant.id, database.clock.now(), record)
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
            meant = await meant_endpoint(config, endpoint, database)
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
            span = f"{found.events} events from {since.isoformat()} on"
            record = commanded("endpoint.replayed", merchant=meant.merchant, subject=meant.id, why=span)
            await make_due(database, found, now, record)
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
            to, orphan = await meant_endpoint(config, new, database), await meant_orphan(config, old, database)
            if orphan.merchant != to.merchant:
                raise WrongUsage(f"{orphan.id} is of the merchant {orphan.merchant}, and {to.label} of {to.merchant}")
            await begin_endpoints(database, endpoints_of(config))
            record = commanded("endpoint.moved", merchant=to.merchant, subject=f"{orphan.id} {to.id}")
            moved = await move_deliveries(database, orphan.id, to, database.clock.now(), record)
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
    from worker.postgres.events.orphans import drop_deliveries
    from worker.postgres.server.opened import opened_as_it_is
    from worker.terminal_text import agreed

    if not yes and not sys.stdin.isatty():
        raise WrongUsage("--yes is needed where nobody can be asked")
    config = configuration()

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            orphan = await meant_orphan(config, endpoint, database)
            print(f"{orphan.waiting} events wait for {orphan.id} of {orphan.merchant}")
            if not yes and not await asyncio.to_thread(agreed, f"Give up these {orphan.waiting} events?"):
                raise CommandFailed("nothing was given up")
            record = commanded("endpoint.dropped", merchant=orphan.merchant, subject=orphan.id)
            print(f"{await drop_deliveries(database, orphan.id, database.clock.now(), record)} events were given up")

    asyncio.run(run())
    return 0
