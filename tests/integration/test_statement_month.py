"""A month of statements of five gateways, with errors of every kind: the report finds all of them and nothing else.

The command itself is run, as an accountant runs it, and its CSV and page are read.
"""

from __future__ import annotations

import asyncio
import csv
import html
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from schemas.statements import LineOutcome
from tests.integration.month import EACH, EVIL, Making, Month, keep
from tests.integration.portals import PORTALS, Portal
from tests.processes import told_until_its_end
from worker.config import Config, load, rules_of
from worker.postgres.database import Database

SECONDS = 120
SEED = int(os.environ.get("PAYPROOF_SEED", "20261121"))
FOLLOWED = ("payments", "facts", "claims", "entries", "events", "queue", "transactions", "sessions", "followed")
portals = pytest.mark.parametrize("portal", PORTALS, ids=[portal.account for portal in PORTALS])


class Ended(Struct, frozen=True):
    code: int
    out: str
    err: str


class Office:
    """An accountant's office: a configuration, a database, and a folder for files."""

    def __init__(self, place: Path, dsn: str, portal: Portal) -> None:
        self.place, self.portal = place, portal
        (place / "payproof.toml").write_text(
            '[[merchants]]\nid = "shop"\napi_keys = ["a-key-of-the-shop-of-a-month"]\n\n[[merchants.accounts]]\n'
            f'id = "{portal.account}"\n{portal.table}\n[merchants.accounts.statement]\n{portal.map}'
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PAYPROOF_CONFIG": str(place / "payproof.toml"),
            "PAYPROOF_DATABASE_URL": dsn,
            "PAYPROOF_PUBLIC_URL": "https://pay.example",
            "COLUMNS": "200",
        }

    @property
    def config(self) -> Config:
        return load(self.environment)

    async def reconcile(self, *words: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "worker.cli", "reconcile", *words),
            cwd=Path(__file__).parents[2],
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await told_until_its_end(process, SECONDS)
        assert process.returncode is not None
        ended = Ended(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in ended.err
        return ended

    def page(self, name: str) -> str:
        return (self.place / name).read_text(encoding="utf-8")

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.place / name).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


def differing(rows: list[dict[str, str]]) -> dict[int | str, str]:
    """The outcomes that are not `matched`: by row, or by reference where there is no row."""
    return {
        int(row["row"]) if row["row"] else row["reference"]: row["outcome"]
        for row in rows
        if row["outcome"] != LineOutcome.MATCHED
    }


async def everything(database: Database) -> dict[str, Any]:
    return {table: await database.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in FOLLOWED}


async def a_month(office: Office, database: Database) -> Month:
    portal, config = office.portal, office.config
    print(f"PAYPROOF_SEED={SEED}")
    account = config.account(portal.account)
    assert account is not None
    month = Making(portal, account, SEED).make()
    await keep(database, rules_of(config), month.sales)
    portal.export(office.place / portal.file, month.entries)
    return month


@portals
async def test_every_error_of_a_month_is_found_and_nothing_else(
    portal: Portal, database: Database, dsn: str, tmp_path: Path
) -> None:
    office = Office(tmp_path, dsn, portal)
    month = await a_month(office, database)
    before = await everything(database)
    file, out, page = (str(tmp_path / name) for name in (portal.file, "out.csv", "out.html"))
    words = ("--account", portal.account, "--statement", file, "--csv", out, "--html", page)

    tried = await office.reconcile(*words, "--dry-run")
    assert tried.code == 1, tried.err
    assert differing(office.rows("out.csv")) == month.expected
    assert "A dry run. Nothing was changed" in tried.out
    assert await everything(database) == before

    ended = await office.reconcile(*words)
    assert (ended.code, ended.err) == (1, "")
    rows = office.rows("out.csv")
    assert differing(rows) == month.expected
    lines = len(month.entries)
    assert len(rows) == lines + sum(isinstance(key, str) for key in month.expected)
    for outcome in sorted(set(month.expected.values())):
        assert list(month.expected.values()).count(outcome) >= EACH
        assert outcome.replace("_", " ").capitalize() in ended.out

    text = office.page("out.html")
    assert EVIL not in text
    assert html.escape(f"{EVIL}0") in text
    await followed_up(month, rows, database, asked=bool(office.config.accounts[0].provider.capabilities.asked_by))

    run = next(word for word in ended.out.split() if word.startswith("rec_"))
    assert (await office.reconcile("show", run)).out == ended.out, "the sums by SQL equal the sums of the rows"

    after = await everything(database)
    again = await office.reconcile(*words)
    assert again.code == 1
    assert "Nothing new." in again.out
    assert await everything(database) == after


async def followed_up(month: Month, rows: list[dict[str, str]], database: Database, *, asked: bool) -> None:
    """Unknown money is held as payments of its own; known payments are asked about, or completed by the row."""
    held = await database.fetch(
        "SELECT p.id, hold FROM payments p WHERE unexpected_at IS NOT NULL AND 'unexpected' = ANY (holds)"
    )
    assert len(held) == len(month.unknown)
    unknown = {row["next"] for row in rows if row["outcome"] == "missing_here" and row["payment_id"] == ""}
    unpaid = [row for row in rows if row["payment_id"] in month.unpaid]
    assert unknown <= {"held"}
    assert {row["next"] for row in unpaid} == {"asked" if asked else "recorded"}
    statuses = await database.fetch("SELECT status FROM payments WHERE id = ANY ($1)", month.unpaid)
    queued = await database.fetch("SELECT body FROM queue")
    if asked:
        assert {row["status"] for row in statuses} == {"pending"}
        assert all(any(one.encode() in bytes(claim["body"]) for claim in queued) for one in month.unpaid)
    else:
        assert {row["status"] for row in statuses} == {"completed"}
        assert queued == []
