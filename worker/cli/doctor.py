"""`payproof doctor`: findings in words that a shop's developer understands, a line for each.

It does not stop at the first problem: without a database the gateways are asked all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.amqp.diagnose import diagnose as diagnose_broker
from worker.cli.configured import configuration
from worker.config import Config
from worker.ops.doctor.address import public_url
from worker.ops.doctor.development import development_findings
from worker.ops.doctor.endpoint_check import endpoint_findings
from worker.ops.doctor.findings import (
    Finding,
    broker_findings,
    console_findings,
    file_findings,
    key_findings,
    secret_findings,
)
from worker.ops.doctor.gateway_check import NewTokens, examine_gateway
from worker.ops.doctor.installation import inspect_installation
from worker.ops.doctor.opening_needs import opening_findings
from worker.ops.doctor.transport import transport_findings
from worker.postgres.database import Database
from worker.postgres.server.dbmate import MigrationError
from worker.postgres.server.embedded import EmbeddedError
from worker.postgres.server.opened import opened_as_it_is
from worker.postgres.server.schema import SchemaNewer, SchemaOlder
from worker.postgres.server.session_check import WrongPooler, expect_urls
from worker.terminal_text import print_line
from worker.verify.gateways import gateways

_STYLES = {"ok": "green", "!!": "yellow", "no": "red"}


def examine(roles: Collection[str], *, webhooks: bool = False) -> bool:
    """Print a line for each finding about a process of these roles. Returns whether none of them is wrong.

    `webhooks`: each endpoint is sent a signed test event.
    """
    return asyncio.run(_examine(configuration(roles), roles, Console(highlight=False), webhooks=webhooks))


async def _examine(config: Config, roles: Collection[str], console: Console, *, webhooks: bool) -> bool:
    well = True
    async for found in _findings(config, roles, webhooks=webhooks):
        well &= found.mark != "no"
        to_do = f"; {found.to_do}" if found.to_do else ""
        words = Text.assemble((found.subject, "bold"), f": {found.words}{to_do}")
        print_line(console, Text(found.mark, _STYLES[found.mark]), words, width=2)
    print_line(
        console, Text(), Text("What a person ticks before real money stands in deploy/guide/go-live.md."), width=2
    )
    return well


async def _findings(config: Config, roles: Collection[str], *, webhooks: bool) -> AsyncIterator[Finding]:
    yield Finding("ok", "configuration", f"merchants: {len(config.merchants)}, accounts: {len(config.accounts)}")
    configured = (
        *(key_findings, secret_findings, development_findings, console_findings, file_findings, opening_findings),
    )
    for found in (one for findings in configured for one in findings(config)):
        yield found
    yield await public_url(config)
    if config.console.oidc is not None and "console" in roles:
        from worker.console.oidc_doctor import provider_findings  # its packages are an extra

        for found in await provider_findings(config.console.oidc):
            yield found
    if "deliver" in roles:
        async for found in endpoint_findings(config, send=webhooks):
            yield found
    if config.settings.amqp_url is not None:
        names = {account.provider.name for account in config.accounts}
        for found in broker_findings(await diagnose_broker(config.settings.amqp_url, names)):
            yield found
    async for found in transport_findings(config.settings):
        yield found
    async with AsyncExitStack() as stack:
        database, found = await _database(config, stack)
        yield found
        if database is not None:
            async for found in inspect_installation(database, config):
                yield found
        now = database.clock.now if database else _wall_clock
        asking = await stack.enter_async_context(gateways(NewTokens()))
        asked = () if {"ingress", "consume"}.isdisjoint(roles) else config.accounts  # others know no gateway's key
        for said in await asyncio.gather(*(examine_gateway(asking, account, now) for account in asked)):
            for found in said:
                yield found


async def _database(config: Config, stack: AsyncExitStack) -> tuple[Database | None, Finding]:
    settings = config.settings
    try:
        await expect_urls(settings.database_url, settings.database_direct_url, pooled=True)
    except WrongPooler as error:
        return None, Finding("no", "database", str(error))
    except DatabaseUnavailable as error:
        words = f"PAYPROOF_DATABASE_URL or PAYPROOF_DATABASE_DIRECT_URL cannot be used ({error_name(error)})"
        return None, Finding("no", "database", words, "try each with psql")
    try:
        database = await stack.enter_async_context(opened_as_it_is(config))
    except SchemaOlder as error:
        return None, Finding("!!", "database", f"reachable, but {error}")
    except SchemaNewer as error:
        return None, Finding("no", "database", f"reachable, but {error}")
    except (EmbeddedError, MigrationError) as error:
        return None, Finding("no", "database", str(error), "check PAYPROOF_DATABASE_URL or PAYPROOF_DATA_DIR")
    return database, Finding("ok", "database", "reachable, schema up to date")


def _wall_clock() -> datetime:
    return datetime.now(UTC)
