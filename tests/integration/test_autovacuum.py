"""After how many dead rows Postgres vacuums a hot table, by the settings of migration 0026."""

from __future__ import annotations

from worker.postgres.database import Database

GROWING = ("payments", "events", "entries", "facts", "claims", "deliveries")
CHANGING = ("queue", "allowances", "endpoints", "relays")
ROWS = 10_000_000


async def due_after(database: Database, table: str, rows: int, kind: str = "vacuum") -> float:
    """After how many changed rows a table of so many rows is vacuumed; or analysed, or after how many new rows."""
    values = await database.fetch(
        """SELECT name, coalesce(
               (SELECT o.option_value::float8 FROM pg_class c CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
                WHERE c.oid = $1::text::regclass AND o.option_name = s.name), s.setting::float8) AS value
           FROM pg_settings s WHERE name = ANY($2)""",
        table,
        [f"autovacuum_{kind}_threshold", f"autovacuum_{kind}_scale_factor"],
    )
    found = {row["name"].rpartition("_")[2]: row["value"] for row in values}
    return float(found["threshold"] + found["factor"] * rows)


async def test_a_table_that_grows_is_vacuumed_and_analysed_when_a_fiftieth_has_changed(database: Database) -> None:
    for table in GROWING:
        for kind in ("vacuum", "vacuum_insert", "analyze"):
            assert await due_after(database, table, ROWS, kind) <= ROWS / 50 + 1_000, (table, kind)


async def test_a_table_of_few_rows_that_change_is_vacuumed_after_some_hundred(database: Database) -> None:
    for table in CHANGING:
        assert await due_after(database, table, ROWS) <= 500, table
