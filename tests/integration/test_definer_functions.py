"""Functions that run as their owner: a user who calls them cannot make them do anything else."""

from __future__ import annotations

import asyncpg
import pytest

from tests.logins import LOGINS, as_user, make_logins
from worker.postgres.database import Database

_DEFINERS = """
    SELECT oid::regprocedure::text AS name, coalesce(
        (SELECT split_part(setting, '=', 2) FROM unnest(proconfig) AS setting WHERE setting LIKE 'search_path=%'), ''
    ) AS looks_in
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef ORDER BY 1
"""


async def test_each_looks_last_where_its_caller_may_put_things(database: Database) -> None:
    """A schema of temporary tables that is not named is searched first, and every user of the database has one."""
    found = {row["name"]: row["looks_in"] for row in await database.fetch(_DEFINERS)}
    assert len(found) >= 6
    assert {name: path for name, path in found.items() if not path.endswith(", pg_temp")} == {}
    assert {name: path for name, path in found.items() if "$" in path} == {}


@pytest.mark.parametrize("group", LOGINS)
async def test_a_callers_table_is_not_taken_for_ours_when_it_meets_the_server(
    database: Database, dsn: str, group: str
) -> None:
    await make_logins(dsn)
    connection = await asyncpg.connect(as_user(dsn, LOGINS[group]))
    try:
        await connection.execute(
            """CREATE TEMP TABLE servers (LIKE servers INCLUDING DEFAULTS);
               INSERT INTO servers (name, raised_for) VALUES ('another', 'another');
               CREATE FUNCTION pg_temp.own() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', session_user); RETURN new; END $$;
               CREATE TRIGGER own BEFORE UPDATE ON servers FOR EACH ROW EXECUTE FUNCTION pg_temp.own()"""
        )
        assert not await connection.fetchval("SELECT took_over FROM meet_server()")
        assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    finally:
        await connection.close()
    (row,) = await database.fetch("SELECT name, version_floor FROM servers")
    assert row["name"] != "another"
    assert row["version_floor"] == 0
