"""What a migration locks while a running release goes on writing.

A migration must not raise a lock. If it keeps writers from a table and then wants the strongest lock, it waits for a
writer that has locked a row, and the writer waits for the migration: a deadlock.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import asyncpg

from tests.contract import ROOT
from worker.postgres.server.migrate import apply_migrations

WATCH = """
    CREATE SCHEMA watched;
    CREATE TABLE watched.locks (at bigint GENERATED ALWAYS AS IDENTITY, transaction xid8, name text, modes text[]);
    CREATE FUNCTION watched.note() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO watched.locks (transaction, name, modes)
        SELECT pg_current_xact_id(), c.relname, array_agg(l.mode) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        GROUP BY c.relname;
    END $$;
    CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION watched.note();
"""
LOCKS = """
    SELECT m.version, l.name, l.modes FROM watched.locks l
    JOIN schema_migrations m ON m.xmin::text::bigint = l.transaction::text::bigint & 4294967295
    ORDER BY l.at
"""
STRENGTH = ("RowExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
"""The modes that a writer may have to wait for, weakest first; each conflicts with more than the one before."""


async def test_no_migration_raises_the_lock_that_it_has_on_a_table(unmade: str, tmp_path: Path) -> None:
    """The first statement that keeps writers from a table takes the strongest lock of the whole migration."""
    shutil.copy(ROOT / "schemas/sql/0001_payments.sql", tmp_path)
    await apply_migrations(unmade, directory=tmp_path)
    database = await asyncpg.connect(unmade)
    try:
        await database.execute(WATCH)
        await apply_migrations(unmade)
        held = defaultdict[tuple[str, str], list[int]](list)
        for row in await database.fetch(LOCKS):
            modes = [STRENGTH.index(mode) for mode in row["modes"] if mode in STRENGTH]
            held[row["version"], row["name"]] += [max(modes)] if modes else []
    finally:
        await database.close()
    assert {"payments", "queue"} <= {name for _, name in held}
    raised = {where for where, modes in held.items() for before, after in pairwise(modes) if before < after}
    assert raised == set()
