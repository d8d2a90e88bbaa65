"""`payproof reconcile` as an accountant runs it: its exit codes, what it prints where, and what it does not change."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.month import START, Making, keep
from tests.integration.portals import PORTALS, Entry
from tests.integration.sandboxes import Driver, driving
from tests.integration.test_statement_month import SEED, Office, differing
from worker.config import rules_of
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.postgres.database import Database

BKASH = next(portal for portal in PORTALS if portal.account == "shop-onepaybd")
IPAY = next(portal for portal in PORTALS if portal.account == "shop-ipay")
SHADHINPAY = next(portal for portal in PORTALS if portal.account == "shop-shadhinpay")
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def office(tmp_path: Path, dsn: str) -> Office:
    return Office(tmp_path, dsn, IPAY)


def without_database(tmp_path: Path) -> Office:
    """There is no server at its database's address."""
    return Office(tmp_path, NOWHERE, BKASH)


async def fitting(office: Office, database: Database, count: int = 3) -> list[Entry]:
    """Payments that are decided, and the portal's entries of them."""
    account = office.config.account(office.portal.account)
    assert account is not None
    making = Making(office.portal, account, SEED)
    entries = [making.sold().entry for _ in range(count)]
    await keep(database, rules_of(office.config), making.month.sales)
    return sorted(entries, key=lambda entry: entry.at)


def exported(office: Office, entries: list[Entry], name: str = "statement.csv") -> str:
    path = office.place / name
    office.portal.export(path, entries)
    return str(path)


def cut_off(file: str) -> None:
    """A download that ended within a cell."""
    with Path(file).open("ab") as end:
        end.write(b'05-10-26 10:20:30,T-9,S-9,order-9,"12')


# -- exit codes --------------------------------------------------------------------------------------------------------


async def test_a_statement_that_matches_ends_with_0(office: Office, database: Database) -> None:
    file = exported(office, await fitting(office, database))
    ended = await office.reconcile("--account", "shop-ipay", "--statement", file)
    assert (ended.code, ended.err) == (0, "")
    assert "Everything is explained: 3 rows" in ended.out
    assert "✓ Matched" in ended.out


async def test_money_that_nothing_explains_ends_with_1(office: Office, database: Database) -> None:
    entries = await fitting(office, database)
    stranger = Entry(
        transaction_id="T-1",
        session_id="S-1",
        reference="@SUM(1)",
        amount=entries[0].amount,
        at=entries[-1].at,
        fee=entries[0].fee,
    )
    file, out = exported(office, [*entries, stranger]), str(office.place / "out.csv")
    ended = await office.reconcile("--account", "shop-ipay", "--statement", file, "--csv", out)
    assert ended.code == 1
    assert "recorded as a payment of its own, held as unexpected" in ended.out
    [row] = [row for row in office.rows("out.csv") if row["outcome"] == "missing_here"]
    assert (row["reference"], row["next"], row["row"]) == ("'@SUM(1)", "held", "5")
    assert row["payment_id"].startswith("pay_")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"<html><body><table></table></body></html>", "web page"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"One,Two,Three\n1,2,3\n", "Transaction"),
        (b"PK\x03\x04 cut off", "statement.csv"),
    ],
)
async def test_a_file_that_cannot_be_used_ends_with_2_before_anything_is_opened(
    tmp_path: Path, content: bytes, said: str
) -> None:
    office = Office(tmp_path, NOWHERE, IPAY)
    (tmp_path / "statement.csv").write_bytes(content)
    ended = await office.reconcile("--account", "shop-ipay", "--statement", str(tmp_path / "statement.csv"))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


async def test_a_file_that_breaks_off_leaves_nothing_behind(office: Office, database: Database) -> None:
    entries = await fitting(office, database)
    file = exported(office, entries)
    cut_off(file)
    ended = await office.reconcile("--account", "shop-ipay", "--statement", file)
    assert ended.code == 2
    assert "nothing was changed" in ended.err
    assert await database.fetch("SELECT FROM statements") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--account: is needed"),
        (("--account", "nobody", "--statement", "x.csv"), "--account: nobody is none of shop-ipay"),
        (("--account", "shop-ipay"), "give --statement, or --from and --to"),
        (("--account", "shop-ipay", "--statement", "/no/such.csv"), "/no/such.csv: there is no such file"),
        (("--account", "shop-ipay", "--from", "2026-10-01", "--to", "2026-10-31"), "ipay has no list of payments"),
        (("--account", "shop-ipay", "--from", "yesterday", "--to", "2026-10-31"), "--from: yesterday is no day"),
        (("--account", "shop-ipay", "--from", "2026-10-02", "--to", "2026-10-01"), "--to: is before --from"),
        (("--account", "shop-ipay", "--statement", "x", "--csv", "/no/such/out.csv"), "there is no directory /no/such"),
        (("--account", "shop-ipay", "--statement", "x", "--html", "/tmp"), "--html: /tmp is a directory"),
        (("--account", "shop-ipay", "--statement", "x", "--html", "o", "--csv", "o"), "is the same file as --csv"),
        (("--guess",), "--guess needs --statement"),
    ],
)
async def test_wrong_usage_ends_with_2_and_says_what_is_meant(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ended = await Office(tmp_path, NOWHERE, IPAY).reconcile(*words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


async def test_an_account_without_a_map_is_told_how_to_get_one(tmp_path: Path) -> None:
    office = without_database(tmp_path)
    config = tmp_path / "payproof.toml"
    config.write_text(config.read_text().partition("[merchants.accounts.statement]")[0])
    ended = await office.reconcile("--account", "shop-onepaybd", "--statement", "x.xlsx")
    assert ended.code == 2
    assert "payproof reconcile --guess --statement x.xlsx" in ended.err


# -- what is kept ------------------------------------------------------------------------------------------------------


async def test_a_dry_run_changes_nothing_and_says_so(office: Office, database: Database) -> None:
    entries = await fitting(office, database)
    stranger = Entry(transaction_id="T-1", session_id="S-1", reference="new", amount=entries[0].amount, at=START)
    file = exported(office, [*entries, stranger])
    before = await database.fetch("SELECT * FROM payments ORDER BY id")
    ended = await office.reconcile("--account", "shop-ipay", "--statement", file, "--dry-run")
    assert ended.code == 1
    assert "A dry run. Nothing was changed, and nobody was asked." in ended.out
    assert "It would be recorded as a payment of its own" in ended.out
    assert await database.fetch("SELECT * FROM payments ORDER BY id") == before
    assert await database.fetch("SELECT FROM queue") == []


async def test_runs_are_listed_and_shown_again(office: Office, database: Database) -> None:
    empty = await office.reconcile("list")
    assert (empty.code, empty.out) == (0, "no statement was reconciled yet\n")
    file = exported(office, await fitting(office, database), "october [1].csv")
    first = await office.reconcile("--account", "shop-ipay", "--statement", file)
    run = next(word for word in first.out.split() if word.startswith("rec_"))
    listed = await office.reconcile("list", "--account", "shop-ipay")
    assert listed.code == 0
    [line] = [line for line in listed.out.splitlines() if run in line]
    assert "october [1].csv" in line
    assert (await office.reconcile("list", "--account", "another")).out == "no statement was reconciled yet\n"
    out, page = str(office.place / "again.csv"), str(office.place / "again.html")
    shown = await office.reconcile("show", run, "--csv", out, "--html", page)
    assert shown.code == 0
    assert shown.out == first.out
    assert len(office.rows("again.csv")) == 3
    assert "Statement of shop-ipay" in office.page("again.html")
    unknown = await office.reconcile("show", "rec_00000000000000000000000000")
    assert unknown.code == 1
    assert "payproof reconcile list" in unknown.err


async def test_the_same_file_again_says_that_nothing_is_new(office: Office, database: Database) -> None:
    file = exported(office, await fitting(office, database))
    await office.reconcile("--account", "shop-ipay", "--statement", file)
    again = await office.reconcile("--account", "shop-ipay", "--statement", file)
    assert again.code == 0
    assert "Nothing new." in again.out


# -- --guess -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("portal", PORTALS, ids=[portal.account for portal in PORTALS])
async def test_a_guess_needs_no_database_and_no_configuration(portal: Any, tmp_path: Path) -> None:
    office = Office(tmp_path, NOWHERE, portal)
    account = office.config.account(portal.account)
    assert account is not None
    making = Making(portal, account, SEED)
    portal.export(tmp_path / portal.file, [making.sold().entry for _ in range(30)])
    (tmp_path / "payproof.toml").unlink()
    ended = await office.reconcile("--guess", "--statement", str(tmp_path / portal.file))
    assert ended.code == 0, ended.err
    head, *lines = ended.out.splitlines()
    assert head == "[merchants.accounts.statement]"
    assert all(line.startswith("#") or " = " in line for line in lines)
    first = portal.first_row
    for words in (f"headers in row {first - 1}", f"Row {first}", f"Row {first + 4}", "amount ", "order-0001", "BDT"):
        assert words in ended.err


async def test_what_was_guessed_can_be_pasted_and_read_by(office: Office, database: Database) -> None:
    entries = await fitting(office, database, 30)
    file = exported(office, entries)
    guessed = await office.reconcile("--guess", "--statement", file)
    config = office.place / "payproof.toml"
    config.write_text(config.read_text().partition("[merchants.accounts.statement]")[0] + guessed.out)
    ended = await office.reconcile("--account", "shop-ipay", "--statement", file)
    assert ended.code == 0, ended.err + ended.out


# -- a gateway with a list ---------------------------------------------------------------------------------------------


async def test_a_gateways_own_list_is_reconciled_like_a_file(tmp_path: Path, dsn: str, database: Database) -> None:
    async with driving(SandboxConfig(seed=7)) as sandbox:
        office = Office(tmp_path, dsn, SHADHINPAY)
        at_sandbox(office, sandbox)
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        for number in range(3):
            await sandbox.shadhinpay(key=f"k{number}", merchantTxnId=f"order-{number}")
            await sandbox.control(
                "shopper", provider="shadhinpay", reference=f"order-{number}", does="pay", returns=False
            )
        words = ("--account", "shop-shadhinpay", "--from", yesterday, "--to", "2099-12-31")
        out = str(tmp_path / "out.csv")
        ended = await office.reconcile(*words, "--csv", out)
        assert ended.code == 1, ended.err
        rows = office.rows("out.csv")
        assert differing(rows) == dict.fromkeys((1, 2, 3), "missing_here")
        assert {row["next"] for row in rows} == {"held"}
        assert len(await database.fetch("SELECT FROM payments WHERE unexpected_at IS NOT NULL")) == 3


async def test_a_list_that_breaks_off_changes_nothing(tmp_path: Path, dsn: str, database: Database) -> None:
    async with driving(SandboxConfig(seed=7)) as sandbox:
        office = Office(tmp_path, dsn, SHADHINPAY)
        at_sandbox(office, sandbox)
        await sandbox.trouble("shadhinpay", "401", "status", times=1)
        ended = await office.reconcile("--account", "shop-shadhinpay", "--from", "2026-10-01", "--to", "2026-10-02")
        assert ended.code == 1
        assert "the list of payments broke off: HTTP 401; nothing was changed" in ended.err
        assert await database.fetch("SELECT FROM statements") == []


def at_sandbox(office: Office, sandbox: Driver) -> None:
    config = office.place / "payproof.toml"
    text = config.read_text()
    for ours, theirs in (
        ("https://shadhinpay.example", f"{sandbox.base}/shadhinpay"),
        ('"client"', '"HM_sandbox"'),
        ('"business"', '"HB_sandbox"'),
        ("key-of-shadhinpay", "sk_test_sandbox"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    config.write_text(text)


# -- the bar -----------------------------------------------------------------------------------------------------------


async def test_a_terminal_sees_how_far_it_is_and_a_pipe_does_not(office: Office, database: Database) -> None:
    file = exported(office, await fitting(office, database))
    words = ("reconcile", "--account", "shop-ipay", "--statement", file)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "worker.cli", *words),
        cwd=Path(__file__).parents[2],
        env=office.environment | {"TERM": "xterm"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    out, seen = await asyncio.gather(process.communicate(), asyncio.to_thread(drained, master))
    assert process.returncode == 0
    assert b"adding up" in seen
    assert b"\x1b" not in out[0]


def drained(master: int) -> bytes:
    found = b""
    try:
        while block := os.read(master, 4096):
            found += block
    except OSError:  # Linux says so that the terminal's last user closed it
        pass
    finally:
        os.close(master)
    return found
