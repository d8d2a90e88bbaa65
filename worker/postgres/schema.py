"""Whether the database's schema is the one this program knows, and bringing it there for those who may.

The one thing to get wrong: migrating by looking. Whoever reads with a newer program beside an older `serve` must not
change the tables under it; `payproof migrate` and `serve` do, when a person runs them as the tables' owner.
"""

from __future__ import annotations

import re
from importlib.resources import files

import asyncpg
from msgspec import Struct

from worker.postgres.database import Database
from worker.postgres.migrate import CONNECT_SECONDS, MigrationError, migrate, scrubbed

_OWNER = """
    SELECT pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS may_migrate
    FROM pg_class WHERE oid = to_regclass('schema_migrations')
"""


class SchemaDiffers(MigrationError):
    """The schema is older or newer than this program; the message says what to do."""


class SchemaOlder(SchemaDiffers):
    """Some of our migrations were not applied; all of them, where nothing was ever made."""


class SchemaNewer(SchemaDiffers):
    """A newer program has migrated it."""


async def expect_present(dsn: str) -> None:
    """Raises SchemaOlder, SchemaNewer, and MigrationError where the database cannot be used."""
    applied = (await _look(dsn)).applied
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


async def bring_up_to_date(dsn: str) -> tuple[str, ...]:
    """Migrate where something is missing and this user owns the tables; the names of the files applied.

    A newer schema is left as it is: while one process after the other is upgraded, an older one may be started again.
    Raises SchemaOlder where another user has to migrate, and MigrationError.
    """
    found = await _look(dsn)
    missing = sorted(_known() - found.applied)
    if not missing:
        return ()
    if not found.may_migrate:
        raise SchemaOlder(
            f"the database's schema is older than this program (without {', '.join(missing)}), and its tables belong "
            f"to another user: run `payproof migrate` as {found.owner}"
        )
    return await migrate(dsn)


class _Found(Struct, frozen=True, kw_only=True):
    """The migrations applied, none where nothing was made; who owns the tables, and whether we may act for them."""

    applied: frozenset[str] = frozenset()
    owner: str | None = None
    may_migrate: bool = True


async def _look(dsn: str) -> _Found:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            owner = await connection.fetchrow(_OWNER)
            rows = await connection.fetch("SELECT version FROM schema_migrations") if owner else []
        finally:
            await connection.close()
    except asyncpg.InvalidCatalogNameError:
        return _Found()
    except asyncpg.InsufficientPrivilegeError:
        raise MigrationError(
            "the database's user may not even read the version of its schema: make it a member of payproof_ingress, "
            "payproof_worker or payproof_reader, and have the tables' owner run `payproof migrate`"
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None
    applied = frozenset(row["version"] for row in rows)
    return _Found(applied=applied, **dict(owner)) if owner else _Found()


async def granted(database: Database) -> list[str]:
    """Have the groups hold what schemas/sql/0009_roles.sql decides, as the owner; those that are missing."""
    (row,) = await database.fetch("SELECT grant_access() AS missing")
    missing: list[str] = row["missing"]
    return missing


def _known() -> set[str]:
    """The versions of our migrations, which begin their files' names, as dbmate reads them."""
    found = (re.match(r"([0-9]+).*\.sql$", entry.name) for entry in (files("schemas") / "sql").iterdir())
    return {match[1] for match in found if match}
