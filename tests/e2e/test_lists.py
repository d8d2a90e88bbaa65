"""Every list command is a table, JSON lines or CSV; times are in the zone asked for, and no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from cyclopts import App

from tests.commands import Ended
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.conftest import SETTINGS
from tests.harness import System
from tests.processes import running
from worker.cli import app
from worker.runtime.encryption import new_archive_key

LISTS = {
    ("payments", "list"): ("payment_id", "opened_at", "transaction_id"),
    ("payments", "list", "--hold", "any"): ("payment_id", "held_since", "difference", "to_do"),
    ("payments", "proposals"): ("id", "payment_id", "proposed_by", "state"),
    ("held",): ("payment_id", "held_since", "difference", "to_do"),
    ("find", "FORMULA"): ("kind", "id", "found_by"),
    ("gateways",): ("account", "health", "probed_at", "last_word"),
    ("audit",): ("id", "at", "actor", "action", "why"),
    ("dead", "list"): ("id", "provider", "reason"),
    ("webhooks", "list"): ("id", "url", "waiting"),
    ("reconcile", "list"): ("id", "account", "rows", "not_matched"),
}
FORMULA = '=HYPERLINK("https://evil.example")'
PHONE = "01711223344"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    contacts = f'\n[contacts]\nkeys = ["{new_archive_key()}"]\n'
    with running(settings=SETTINGS + contacts, secret=WEBHOOK_SECRET) as system:
        yield system


async def told(payproof: Payproof, words: tuple[str, ...], *more: str) -> Ended:
    ended = await payproof_says(payproof, *(FORMULA if word == "FORMULA" else word for word in words), *more)
    assert ended.code == 0, ended
    return ended


async def with_a_held_payment(payproof: Payproof) -> str:
    buyer = await payproof.opened("blind", order=FORMULA)
    await buyer.returns(await buyer.at_gateway("pay"))
    payment_id: str = buyer.payment["payment_id"]
    await payproof.settled(payment_id, "pending", "unverifiable")
    return payment_id


def commands_named(of: App, *path: str) -> Iterator[tuple[str, ...]]:
    for name in of:
        if not name.startswith("-"):
            yield (*path, name)
            yield from commands_named(of[name], *path, name)


def test_no_list_command_lacks_the_options() -> None:
    lists = {
        words
        for words in commands_named(app)
        if words[-1] in ("list", "proposals", "held", "find", "gateways", "audit")
    }
    tested = {words if words[0] != "find" else words[:1] for words in LISTS}
    assert lists == {words for words in tested if "--hold" not in words}


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
async def test_a_list_is_json_lines_or_csv_with_the_same_names(payproof: Payproof, words: tuple[str, ...]) -> None:
    await with_a_held_payment(payproof)
    records = [json.loads(line) for line in (await told(payproof, words, "--json")).lines]
    text = (await told(payproof, words, "--csv")).out
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert len(rows) == len(records)
    head = text.removeprefix("\ufeff").splitlines()[0].split(",")
    assert set(LISTS[words]) <= set(head)
    for record, row in zip(records, rows, strict=True):
        for name in set(record) & set(row):
            value = record[name]
            if isinstance(value, str):
                assert row[name] in (value, f"'{value}"), name
                if name.endswith(("_at", "_since")):
                    assert value.endswith("Z")
                    assert datetime.fromisoformat(value)
        assert not [cell for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]
    if words[0] in ("payments", "held", "find") and words[-1] != "proposals":
        assert records
        assert any(row.get("order") == f"'{FORMULA}" for row in rows) or words[0] == "find"


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
async def test_a_table_is_in_the_zone_that_is_asked_for(payproof: Payproof, words: tuple[str, ...]) -> None:
    await with_a_held_payment(payproof)
    dhaka, utc = await told(payproof, words), await told(payproof, words, "--tz", "UTC")
    heads = dhaka.out.count("Asia/Dhaka"), utc.out.count("UTC")
    assert heads[0] == heads[1]
    if words == ("payments", "list"):
        at, there = (datetime.fromisoformat(" ".join(one.lines[1].split()[1:3])) for one in (dhaka, utc))
        assert (at - there).total_seconds() == 6 * 3600
    nowhere = await payproof_says(payproof, *words, "--tz", "Mars/Olympus")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "--tz: Mars/Olympus is no time zone" in nowhere.err
    both = await payproof_says(payproof, *words, "--json", "--csv")
    assert (both.code, both.out) == (2, "")


async def test_find_says_what_has_an_id_and_finds_a_buyer(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay", customer={"phone": f"+88{PHONE}", "email": "karim@shop.example"})
    payment_id = buyer.payment["payment_id"]
    for typed in (payment_id, buyer.payment["reference"].upper(), PHONE, f"{payment_id}.1", "KARIM@shop.example"):
        found = [json.loads(line) for line in (await told(payproof, ("find", typed), "--json")).lines]
        assert [one["id"] for one in found] == [payment_id], typed
    table = await told(payproof, ("find", PHONE))
    assert table.lines[1].split()[0] == payment_id
    assert table.lines[-1] == "1 found by phone number or e-mail address; payproof explain tells the story of one"
    endpoint = json.loads((await told(payproof, ("webhooks", "list"), "--json")).lines[0])["id"]
    assert (await told(payproof, ("find", endpoint.upper()))).out.startswith(f"{endpoint} is an endpoint of shop: http")
    nothing = await payproof_says(payproof, "find", "01711223345")
    assert (nothing.code, nothing.err) == (1, "nothing has the id 01711223345\n")


async def test_held_says_what_differs_and_gateways_whether_they_answer(payproof: Payproof) -> None:
    payment_id = await with_a_held_payment(payproof)
    (row,) = [line for line in (await told(payproof, ("held",))).lines if line.startswith(payment_id)]
    assert "The last claim of success came at" in row
    buyer = await payproof.opened("ipay")
    await buyer.returns(await buyer.at_gateway("pay"))
    await payproof.settled(buyer.payment["payment_id"], "completed")
    states = {one["account"]: one for one in map(json.loads, (await told(payproof, ("gateways",), "--json")).lines)}
    ipay = states["shop-ipay"]
    assert (ipay["health"], ipay["failures"], ipay["last_payment_id"]) == ("answering", 0, buyer.payment["payment_id"])
    assert ipay["last_word"].startswith("completed (its word: ")
    assert "cannot be asked" in {one["health"] for one in states.values()}


async def test_status_says_what_needs_a_person_and_the_money_of_the_last_days(payproof: Payproof) -> None:
    await with_a_held_payment(payproof)
    text = (await told(payproof, ("status",))).out
    assert re.search(
        r"^held +\d+ payments, worth \d+\.\d\d BDT; the oldest was opened .* ago \(payproof held\)$", text, re.MULTILINE
    )
    assert text.index("held") < text.index("opened on (Asia/Dhaka)") < text.index("callback to outcome")
    seen = json.loads((await told(payproof, ("status",), "--json", "--merchant", "shop")).out)
    held = [json.loads(line) for line in (await told(payproof, ("held",), "--json")).lines]
    assert seen["held"]["count"] == len(held)
    assert "cannot be asked" in seen["gateways"].values()
    nobody = await payproof_says(payproof, "status", "--merchant", "nobody")
    assert (nobody.code, nobody.out, nobody.err) == (2, "", "--merchant: nobody is none of shop\n")


async def test_the_audit_trail_is_listed_by_payment_and_from_an_act_on(payproof: Payproof) -> None:
    payment_id = await with_a_held_payment(payproof)
    decided = (
        "payments",
        "resolve",
        payment_id,
        "--status",
        "failed",
        "--reason",
        "not in the panel",
        "--actor",
        "rahim",
    )
    assert (await payproof_says(payproof, *decided, "--yes")).code == 0
    (act,) = [json.loads(line) for line in (await told(payproof, ("audit",), "--json", "--payment", payment_id)).lines]
    assert (act["actor"], act["via"], act["action"], act["why"]) == (
        *("rahim", "command", "payment.resolved", "not in the panel"),
    )
    line = f"rahim (command, {act['address']}): payment.resolved {payment_id}: not in the panel"
    assert line in (await told(payproof, ("audit",))).out
    older = (await told(payproof, ("audit",), "--json", "--before", str(act["id"]))).lines
    assert all(json.loads(one)["id"] < act["id"] for one in older)
