"""Which endpoint a person means: by its id, its id in the configuration, or its URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.cli.command_errors import WrongUsage

if TYPE_CHECKING:
    from worker.config import Config
    from worker.config.webhook_endpoints import Endpoint
    from worker.postgres.database import Database
    from worker.postgres.events.orphans import Orphan


async def meant_endpoint(config: Config, named: str | None, database: Database) -> Endpoint:
    """The configured endpoint of this id or URL, or the only one. Raises WrongUsage."""
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints

    return _one_of(await known_endpoints(database, endpoints_of(config)), named)


async def meant_without_database(config: Config, named: str | None) -> Endpoint:
    """`meant_endpoint`, asking the database only where the configuration does not tell, as after a URL has changed."""
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.server.opened import opened_as_it_is

    found = endpoints_of(config)
    if named is None or any(named in (one.configured_id, one.url) for one in found):
        return _one_of(found, named)
    async with opened_as_it_is(config) as database:
        return await meant_endpoint(config, named, database)


def _one_of(found: Sequence[Endpoint], named: str | None) -> Endpoint:
    if not found:
        raise WrongUsage("no endpoint is configured; see [[merchants.webhooks]]")
    fitting = [one for one in found if named in (None, one.id, one.configured_id, one.url)]
    if len(fitting) == 1:
        return fitting[0]
    several = ", ".join(f"{one.label} at {one.host}" for one in found)
    raise WrongUsage(f"{named} is none of {several}" if named and not fitting else f"there are several: {several}")


async def meant_orphan(config: Config, named: str, database: Database) -> Orphan:
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
