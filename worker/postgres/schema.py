"""Whether the database's schema is the one this program knows, for those who only look.

The one thing to get wrong: migrating by looking. Whoever reads with a newer program beside an older `serve` must not
change the tables under it; `payproof migrate` and `serve` do, when a person runs them.
"""

from __future__ import annotations

import re
from importlib.resources import files

import asyncpg

from worker.postgres.migrate import CONNECT_SECONDS, MigrationError, scrubbed


class SchemaDiffers(MigrationError):
    """The schema is older or newer than this program; the message says what to do."""


class SchemaOlder(SchemaDiffers):
    """Some of our migrations were not applied; all of them, where nothing was ever made."""


class SchemaNewer(SchemaDiffers):
    """A newer program has migrated it."""


async def expect_present(dsn: str) -> None:
    """Raises SchemaOlder, SchemaNewer, and MigrationError where the database cannot be used."""
    try:
        applied = await _applied(dsn)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None
    known = _known()
    if newer := sorted(applied - known):
        raise SchemaNewer(
            f"the database's schema is newer than this program ({', '.join(newer)}): use the program that `payproof "
            "serve` runs, or a newer one"
        )
    if not applied:
        raise SchemaOlder("the database has no schema yet: run `payproof migrate`, or `payproof serve`, which does it")
    if missing := sorted(known - applied):
        raise SchemaOlder(
            f"the database's schema is older than this program (without {', '.join(missing)}): run `payproof migrate`"
        )


async def _applied(dsn: str) -> set[str]:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        return set()
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        return set()
    finally:
        await connection.close()
    return {row["version"] for row in rows}


def _known() -> set[str]:
    """The versions of our migrations, which begin their files' names, as dbmate reads them."""
    found = (re.match(r"([0-9]+).*\.sql$", entry.name) for entry in (files("schemas") / "sql").iterdir())
    return {match[1] for match in found if match}
