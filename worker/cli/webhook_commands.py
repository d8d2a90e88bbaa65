"""`payproof webhooks`: the state of the shop's endpoints, a test event to one, and events sent to one again.

`test` sends itself. `replay` and `enable` only make deliveries due; a running `serve` with the role `deliver` sends
them.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from worker.cli.command_errors import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from worker.config import Config
    from worker.config.webhook_endpoints import Endpoint

webhooks = App(name="webhooks", help="Look at the shop's webhook endpoints; test one, enable one, send events again.")

EndpointId = Annotated[str | None, Parameter(name="--endpoint", help="Its id or URL; needed where there are several.")]


@webhooks.command(name="list")
def list_webhooks() -> int:
    """List the endpoints, each with its waiting and given-up events and its state."""
    from worker.cli.configured import configuration
    from worker.cli.endpoints import print_endpoints
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import list_endpoints
    from worker.postgres.server.opened import opened_as_it_is

    async def run() -> None:
        config = configuration()
        async with opened_as_it_is(config) as database:
            print_endpoints(endpoints_of(config), await list_endpoints(database), database.clock.now())

    asyncio.run(run())
    return 0


@webhooks.command(name="test")
def try_(endpoint: EndpointId = None) -> int:
    """Send a signed event of the type payproof.test to an endpoint, at once, and print its answer."""
    from worker.cli.configured import configuration
    from worker.deliver.sender import sender
    from worker.deliver.trying import trial_event

    config = configuration()
    meant = _meant(config, endpoint)

    def now() -> datetime:
        return datetime.now(UTC)  # a database is not needed to try an endpoint

    async def run() -> int:
        event_id, body = trial_event(meant.merchant, now())
        async with sender(now, private=config.allow_private_webhooks) as sending:
            sent = await sending.send(meant, event_id, body)
        heard = sent.response
        good = heard.status is not None and 200 <= heard.status < 300
        then = "as it should" if good else "which is not a 2xx" if heard.status else "so it was not delivered"
        print(f"{meant.id} at {meant.host}: {heard.words} after {sent.seconds:.3f} s, {then}")
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
    meant = _meant(config, endpoint)

    async def run() -> None:
        async with opened_as_it_is(config) as database:
            before = await enable_endpoint(database, meant.id, database.clock.now())
            if before is None:
                raise CommandFailed(f"{meant.id} was never sent anything; `payproof serve` begins with it when it runs")
            database.notify(Wakeup(placed=True))
        was = "was disabled" if before.disabled_at else "was shut" if before.probing else "was open already"
        print(f"{meant.id} {was}; what waits for it goes out while a `payproof serve` is running")

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
    from worker.postgres.events.endpoint_rows import begin_endpoints
    from worker.postgres.events.old_events import log_floor, missing_since
    from worker.postgres.events.replay import find_replay, make_due
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.wakeups import Wakeup

    if unknown := sorted(set(type_) - set(EventType)):
        raise WrongUsage(f"--type: {', '.join(unknown)} is none of {', '.join(EventType)}")
    config = configuration()
    meant = _meant(config, endpoint)

    async def run() -> int:
        async with opened_as_it_is(config) as database:
            now = database.clock.now()
            await begin_endpoints(database, [(meant.id, meant.merchant, meant.url)])
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
            print(f"{found.events} events are due to {meant.id} at {meant.host}")
            return await follow_replay(database, found) if wait and found.events else 0

    return asyncio.run(run())


def _meant(config: Config, named: str | None) -> Endpoint:
    """The endpoint of this id or URL, or the only one. Raises WrongUsage."""
    from worker.config.webhook_endpoints import endpoints_of

    found = endpoints_of(config)
    if not found:
        raise WrongUsage("no endpoint is configured; see [[merchants.webhooks]]")
    fitting = [one for one in found if named in (None, one.id, one.url)]
    if len(fitting) == 1:
        return fitting[0]
    several = ", ".join(f"{one.id} ({one.host})" for one in found)
    raise WrongUsage(f"{named} is none of {several}" if named and not fitting else f"there are several: {several}")
