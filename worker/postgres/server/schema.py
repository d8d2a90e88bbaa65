"""Whether this program can run on the database's schema, and bringing it to the present one for those who may.

Migrations expand: they add, and a program that is older goes on, so that a rolling upgrade needs no pause. One that
takes something away comes a release after the last program that used it. It says `-- contract VERSION: why` above its
`migrate:up` and writes that version into `contractions`: a migration that came with the release before it. A program
that does not know that version does not run here.

The one thing to get wrong: migrating by looking. Whoever reads with a newer program beside an older `serve` must not
change the tables under it; `payproof migrate` and `serve` do, when a person runs them as the tables' owner.
"""

from __future__ import annotations

import re
from importlib.resources import files

import asyncpg
from msgspec import Struct

from worker.postgres.database import Database
from worker.postgres.driver_errors import DRIVER_ERRORS
from worker.postgres.server.migrate import CONNECT_SECONDS, MigrationError, apply_migrations, scrubbed

_OWNER = """
    SELECT pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS may_migrate
    FROM pg_class WHERE oid = to_regclass('schema_migrations')
"""


class SchemaDiffers(MigrationError):
    """The schema is older or newer than this program; the message says what to do."""


class SchemaOlder(SchemaDiffers):
    """Some of our migrations were not applied; all of them, where nothing was ever made."""


class SchemaNewer(SchemaDiffers):
    """A newer program has migrated it, and taken away what this one needs."""


class _Found(Struct, frozen=True, kw_only=True):
    """The migrations applied, and which of them took something away; the tables' owner, and if we may act for them."""

    applied: frozenset[str] = frozenset()
    contractions: frozenset[str] = frozenset()
    owner: str | None = None
    may_migrate: bool = True


async def expect_present(dsn: str) -> None:
    """Raises SchemaOlder, SchemaNewer, and MigrationError where the database cannot be used."""
    found, known = await _look(dsn), _known()
    _expect_kept(found, known)
    if not found.applied:
        raise SchemaOlder("the database has no schema yet: run `payproof migrate`, or `payproof serve`, which does it")
    if missing := sorted(known - found.applied):
        raise SchemaOlder(
            f"the database's schema is older than this program (without {', '.join(missing)}): run `payproof migrate`"
        )


async def bring_up_to_date(dsn: str) -> tuple[str, ...]:
    """Migrate where something is missing and this user owns the tables; the names of the files applied.

    A newer schema is left as it is: while one process after the other is upgraded, an older one may be started again.
    Raises SchemaNewer where it took away what this program needs, SchemaOlder where another user has to migrate, and
    MigrationError.
    """
    found, known = await _look(dsn), _known()
    _expect_kept(found, known)
    missing = sorted(known - found.applied)
    if not missing:
        return ()
    if not found.may_migrate:
        raise SchemaOlder(
            f"the database's schema is older than this program (without {', '.join(missing)}), and its tables belong "
            f"to another user: run `payproof migrate` as {found.owner}"
        )
    return await apply_migrations(dsn)


async def granted(database: Database) -> list[str]:
    """Have the groups hold what schemas/sql/0009_roles.sql decides, as the owner; those that are missing."""
    (row,) = await database.fetch("SELECT grant_access() AS missing")
    missing: list[str] = row["missing"]
    return missing


def _expect_kept(found: _Found, known: frozenset[str]) -> None:
    if newer := sorted(found.contractions - known):
        raise SchemaNewer(
            f"the database's schema is newer than this program ({', '.join(newer)}): use the program that `payproof "
            "serve` runs, or a newer one"
        )


async def _look(dsn: str) -> _Found:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            owner = await connection.fetchrow(_OWNER)
            if owner is None:
                return _Found()
            return _Found(
                applied=await _versions(connection, "SELECT version FROM schema_migrations"),
                contractions=await _versions(connection, "SELECT version FROM contractions"),
                **dict(owner),
            )
        finally:
            await connection.close()
    except asyncpg.InvalidCatalogNameError:
        return _Found()
    except asyncpg.InsufficientPrivilegeError:
        raise MigrationError(
            "the database's user may not even read the version of its schema: make it a member of payproof_ingress, "
            "payproof_worker or payproof_reader, and have the tables' owner run `payproof migrate`"
        ) from None
    except (*DRIVER_ERRORS, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None


async def _versions(connection: asyncpg.Connection[asyncpg.Record], query: str) -> frozenset[str]:
    try:
        return frozenset(row["version"] for row in await connection.fetch(query))
    except asyncpg.UndefinedTableError:  # the schema is older than that table
        return frozenset()


def _known() -> frozenset[str]:
    """The versions of our migrations, which begin their files' names, as dbmate reads them."""
    found = (re.match(r"([0-9]+).*\.sql$", entry.name) for entry in (files("schemas") / "sql").iterdir())
    return frozenset(match[1] for match in found if match)
