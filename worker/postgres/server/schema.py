"""Whether this program can run on the database's schema, and bringing the schema up to date.

Most migrations only add, so an older program goes on, and a rolling upgrade needs no pause. A migration that removes
something comes a release after the last program that used it. It says `-- contract VERSION: why` above its
`migrate:up`, and writes that version into `contractions`. VERSION is a migration of the release before. A program that
does not know that migration does not run on this database.

Commands that only read never migrate: a newer program must not change the tables under an older `serve`. Only `payproof
migrate` and `serve` do, when a person runs them as the tables' owner.
"""

from __future__ import annotations

import re
from importlib.resources import files

import asyncpg
from msgspec import Struct

from worker.postgres.database import Database
from worker.postgres.driver_errors import DRIVER_ERRORS
from worker.postgres.server.dbmate import CONNECT_SECONDS, MigrationError, scrubbed
from worker.postgres.server.migrate import apply_migrations

_OWNER = """
    SELECT pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS may_migrate
    FROM pg_class WHERE oid = to_regclass('schema_migrations')
"""


class SchemaDiffers(MigrationError):
    """The schema is older or newer than this program. The message says how to mend it."""


class SchemaOlder(SchemaDiffers):
    """Some of our migrations were not applied, or all of them in an empty database."""


class SchemaNewer(SchemaDiffers):
    """A newer program has migrated the schema, and removed a part that this program needs."""


class _Found(Struct, frozen=True, kw_only=True):
    """The state of the schema: its migrations, and the versions in `contractions`; the tables' owner.

    `may_migrate`: whether our user has the owner's rights.
    """

    applied: frozenset[str] = frozenset()
    contractions: frozenset[str] = frozenset()
    owner: str | None = None
    may_migrate: bool = True


async def expect_present(dsn: str) -> None:
    """Check the schema. Raises SchemaOlder, SchemaNewer, and MigrationError if the database cannot be used."""
    found, known = await _look(dsn), _known()
    _expect_kept(found, known)
    if not found.applied:
        raise SchemaOlder("the database has no schema yet: run `payproof migrate`, or `payproof serve`, which does it")
    if missing := sorted(known - found.applied):
        raise SchemaOlder(
            f"the database's schema is older than this program (without {', '.join(missing)}): run `payproof migrate`"
        )


async def bring_up_to_date(dsn: str) -> tuple[str, ...]:
    """Apply the migrations that are missing. Returns the names of the applied files.

    A newer schema is left as it is: during a rolling upgrade, an older program may be started again. Raises SchemaNewer
    if the schema lacks a part that this program needs, SchemaOlder if another user has to migrate, and MigrationError.
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
    """Grant the groups of database users the rights that the table `access` lists, as the tables' owner.

    Returns the names of groups that do not exist.
    """
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
            "payproof_worker, payproof_reader or payproof_console, and have the tables' owner run `payproof migrate`"
        ) from None
    except (*DRIVER_ERRORS, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None


async def _versions(connection: asyncpg.Connection[asyncpg.Record], query: str) -> frozenset[str]:
    try:
        return frozenset(row["version"] for row in await connection.fetch(query))
    except asyncpg.UndefinedTableError:  # the schema is older than that table
        return frozenset()


def _known() -> frozenset[str]:
    """The versions of our migrations: the numbers at the beginning of their files' names, as dbmate reads them."""
    found = (re.match(r"([0-9]+).*\.sql$", entry.name) for entry in (files("schemas") / "sql").iterdir())
    return frozenset(match[1] for match in found if match)
