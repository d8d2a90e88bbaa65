"""Completed payments by the million, copied from three that payproof itself completed.

Only the columns that must differ are named here: a column that a migration adds is copied as it is. A payment's number
is replaced in each text, JSON and body, and so is its hash at the beginning of an id. Each time is moved into the past.
Identities, positions in the log and planned times are set anew.

It is fast because no work is done twice: the tables are filled in the transaction that empties them, which writes no
WAL. Keys and indexes are dropped before and built afterwards as the catalogue had them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import asyncpg
from msgspec import Struct

from tests.bench.numbered import DIGITS, KINDS, OLDEST, hashed_sql, number_sql

FULL = 2_000_000
"""From this many payments on, each has three entries, and short events and facts."""

CHUNK = 200_000
APART = "interval '2 seconds'"
"""302,400 payments are a week, see PER_WEEK."""
SECONDS = 3600
AT_ONCE = 2

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
Say = Callable[[str], None]

_OF = {"payments": "id", "orders": "paid_by"}
_TABLES = ("events", "entries", "payments", "claims", "facts", "sessions", "transactions", "orders")
"""The tables, those with most rows first."""

_SET = {
    ("payments", "next_check_at"): "NULL",  # the schedule of refunds has ended
    ("payments", "schedule"): "NULL",
    ("events", "place"): "(n - $1) * 2 + p.nth",
}
_SHORT = {
    ("events", "body"): "convert_to(left(convert_from(p.body, 'UTF8'), 60) || d, 'UTF8')",
    ("entries", "data"): "'{\"short\": true}'",
    ("facts", "fact"): "'{\"short\": true}'",
}
_COLUMNS = """
    SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''
    ORDER BY attnum
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text AS relation, conname AS name, contype::text AS type,
        pg_get_constraintdef(oid) AS words
    FROM pg_constraint
    WHERE contype IN ('p', 'u', 'f') AND (conrelid::regclass::text = ANY($1) OR confrelid::regclass::text = ANY($1))
"""
_INDEXES = """
    SELECT i.indrelid::regclass::text AS relation, i.indexrelid::regclass::text AS name,
        pg_get_indexdef(i.indexrelid) AS words
    FROM pg_index i WHERE i.indrelid::regclass::text = ANY($1)
        AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))
"""


class Table(Struct, frozen=True):
    """How one table is filled and finished."""

    name: str
    fill: str
    finish: tuple[str, ...]


async def multiply(url: str, payments: int, say: Say) -> None:
    """Copy the three payments before OLDEST until there are `payments` from OLDEST on.

    The tables hold nothing else.
    """
    connection = await asyncpg.connect(url, command_timeout=SECONDS)
    try:
        constraints = await connection.fetch(_CONSTRAINTS, list(_TABLES))
        indexes = await connection.fetch(_INDEXES, list(_TABLES))
        fills = [await _fill(connection, name, payments) for name in _TABLES]
        foreign = [row for row in constraints if row["type"] == "f"]
        keys = [row for row in constraints if row["type"] != "f"]
        for row in (*foreign, *keys):
            await connection.execute(f"ALTER TABLE {row['relation']} DROP CONSTRAINT {row['name']}")
        for row in indexes:
            await connection.execute(f"DROP INDEX {row['name']}")
        tables = [Table(name, fill, _finish(name, keys, indexes)) for name, fill in zip(_TABLES, fills, strict=True)]
        await _fill_all(url, tables, payments, say)
        for table in tables:  # afterwards, since rows that another transaction might not see yet cannot be frozen
            await connection.execute(f"VACUUM (FREEZE, ANALYZE) {table.name}")
        say("frozen and analysed")
        for row in foreign:  # the copied rows are valid; new rows are checked
            await connection.execute(
                f"ALTER TABLE {row['relation']} ADD CONSTRAINT {row['name']} {row['words']} NOT VALID"
            )
        await connection.execute("UPDATE relays SET place = (SELECT max(place) FROM events)")
        await connection.execute("TRUNCATE archive")
        await connection.execute("DROP SCHEMA first CASCADE")
        await connection.execute("SELECT pg_stat_reset()")  # or autovacuum would go through all of it in the first run
    finally:
        await connection.close()


def _finish(table: str, keys: Sequence[asyncpg.Record], indexes: Sequence[asyncpg.Record]) -> tuple[str, ...]:
    return (
        *[
            f"ALTER TABLE {table} ADD CONSTRAINT {row['name']} {row['words']}"
            for row in keys
            if row["relation"] == table
        ],
        *[row["words"] for row in indexes if row["relation"] == table],
    )


async def _fill(connection: Connection, table: str, payments: int) -> str:
    """The statement that fills this table with the payments $1 + $2 to $1 + $3, from the rows in schema `first`."""
    of = _OF.get(table, "payment_id")
    hashes = ", ".join(f"{hashed_sql(kind, number_sql(of))} AS was_{kind}" for kind in KINDS)
    most = 3 if table == "entries" and payments >= FULL else 100
    await connection.execute("CREATE SCHEMA IF NOT EXISTS first")
    await connection.execute(
        f"""CREATE TABLE first.{table} AS
            SELECT *, right({of}, {DIGITS}) AS was, {hashes}, {number_sql(of)} % 3 AS gateway,
                row_number() OVER (PARTITION BY {of} ORDER BY {"seq" if table == "entries" else of}) AS nth
            FROM {table} ORDER BY gateway, nth"""
    )
    columns = await connection.fetch(_COLUMNS, table)
    values = [await _value(connection, table, row["name"], row["type"], payments) for row in columns]
    return f"""
        INSERT INTO {table} ({", ".join(row["name"] for row in columns)})
        SELECT {", ".join(values)}
        FROM (SELECT n, lpad(n::text, {DIGITS}, '0') AS d, ($1 + {payments} - n) * {APART} AS ago
              FROM generate_series($1::bigint + $2, $1::bigint + $3) AS n) AS numbered
        JOIN first.{table} p ON p.gateway = n % 3 AND p.nth <= {most}
    """


async def _value(connection: Connection, table: str, column: str, type_: str, payments: int) -> str:
    if (table, column) in _SET:
        return _SET[table, column]
    if payments >= FULL and (table, column) in _SHORT:
        return _SHORT[table, column]
    if type_ == "timestamp with time zone":
        return f"p.{column} - ago"
    as_text = f"convert_from(p.{column}, 'UTF8')" if type_ == "bytea" else f"p.{column}::text"
    value = as_text
    for was, now in (*[(f"p.was_{kind}", hashed_sql(kind)) for kind in KINDS], ("p.was", "d")):
        if await connection.fetchval(f"SELECT bool_or(position({was} IN {as_text}) > 0) FROM first.{table} p"):
            value = f"replace({value}, {was}, {now})"
    if value == as_text:
        return f"p.{column}"
    return f"convert_to({value}, 'UTF8')" if type_ == "bytea" else f"({value})::{type_}"


async def _fill_all(url: str, tables: Iterable[Table], payments: int, say: Say) -> None:
    """As many tables at once as there are processors."""
    waiting = iter(tables)

    async def work() -> None:
        connection = await asyncpg.connect(url, command_timeout=SECONDS)
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")  # would lose the order
            for table in waiting:
                await _fill_one(connection, table, payments, say)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())


async def _fill_one(connection: Connection, table: Table, payments: int, say: Say) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    async with connection.transaction():
        await connection.execute(f"TRUNCATE {table.name} RESTART IDENTITY")
        for start in range(0, payments, CHUNK):
            end = min(start + CHUNK, payments) - 1
            await connection.execute(table.fill, OLDEST, start, end)
            if (end + 1) % (CHUNK * 5) == 0:
                say(f"{table.name:12} {end + 1:12,} payments  {clock() - began:6.0f} s")
    for statement in table.finish:
        await connection.execute(statement)
    size = await connection.fetchrow(
        "SELECT pg_table_size($1::regclass) / 1048576.0 AS heap, pg_indexes_size($1::regclass) / 1048576.0 AS indexes",
        table.name,
    )
    assert size is not None, "the table is there"
    sizes = f"{size['heap']:,.0f} MB and {size['indexes']:,.0f} MB of indexes"
    say(f"{table.name:12} done, {sizes}  {clock() - began:6.0f} s")
