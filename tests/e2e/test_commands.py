"""The commands as a person runs them, beside a running service: what they print, where, and their exit codes.

The installation is this file's own, because `migrate --restored` touches every payment in it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import signal
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.commands import SECONDS, STARTER, Ended, command, started
from tests.e2e.buyers import ASKED, WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.conftest import SETTINGS
from tests.harness import System, free_ports
from tests.processes import directory, running, until
from worker.postgres.server.embedded import embedded

UNKNOWN = "pay_00000000000000000000000000"
COMMANDS = (
    *("bench", "dead", "demo", "doctor", "events", "explain", "init", "migrate", "payments", "reconcile", "sandbox"),
    *("serve", "webhooks", "find", "held", "gateways", "dev", "trigger"),
)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running(settings=SETTINGS, secret=WEBHOOK_SECRET) as system:
        yield system


@pytest.fixture
def place() -> Iterator[Path]:
    with directory() as place:
        yield place


async def paid(payproof: Payproof, name: str) -> str:
    buyer = await payproof.opened(name)
    await buyer.returns(await buyer.at_gateway("pay"))
    payment_id: str = buyer.payment["payment_id"]
    return payment_id


async def held(payproof: Payproof) -> str:
    """A payment that was claimed as paid, at a gateway that cannot be asked."""
    payment_id = await paid(payproof, "blind")
    await payproof.settled(payment_id, "pending", "unverifiable")
    return payment_id


# -- before there is a configuration -----------------------------------------------------------------------------------


async def test_help_lists_every_command_and_needs_no_configuration(place: Path) -> None:
    ended = await command("--help", cwd=place)
    assert ended.code == 0
    for name in COMMANDS:
        assert f" {name} " in ended.out


async def test_the_version_is_that_of_what_is_installed(place: Path) -> None:
    ended = await command("--version", cwd=place)
    assert (ended.code, ended.out) == (0, f"{version('payproof')}\n")


@pytest.mark.parametrize(
    "words", [("pay",), ("explain",), ("payments", "list", "--limit", "0"), ("sandbox", "--port=-1")]
)
async def test_wrong_usage_is_told_and_ends_with_2(place: Path, words: tuple[str, ...]) -> None:
    ended = await command(*words, cwd=place)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


async def test_init_writes_a_configuration_for_its_owner_alone_and_only_once(place: Path) -> None:
    ended = await command("init", cwd=place)
    assert ended.code == 0
    assert "payproof doctor" in ended.out
    written = place / "payproof.toml"
    assert written.stat().st_mode & 0o777 == 0o600
    text = written.read_text()
    again = await command("init", cwd=place)
    assert (again.code, again.err) == (2, "payproof.toml exists; it was left as it is\n")
    assert written.read_text() == text


async def test_init_where_nothing_can_be_written_says_where(place: Path) -> None:
    ended = await command("init", "no/such/place.toml", cwd=place)
    assert (ended.code, ended.err) == (2, "no/such/place.toml: No such file or directory\n")


@pytest.mark.parametrize("words", [("doctor",), ("serve",), ("payments", "list"), ("explain", UNKNOWN)])
async def test_without_a_configuration_a_command_says_how_to_get_one(place: Path, words: tuple[str, ...]) -> None:
    ended = await command(*words, cwd=place)
    assert (ended.code, ended.out) == (2, "")
    assert "payproof init" in ended.err


async def test_the_starter_alone_names_every_variable_that_is_missing(place: Path) -> None:
    await command("init", cwd=place)
    ended = await command("doctor", cwd=place)
    assert ended.code == 2
    for name in STARTER:
        assert f"{name} is not set" in ended.err


# -- serve and migrate -------------------------------------------------------------------------------------------------


async def test_serve_refuses_a_role_that_it_does_not_know(payproof: Payproof) -> None:
    ended = await payproof_says(payproof, "serve", "--roles", "ingress,magic")
    known = "ingress, consume, sweep, relay, deliver, reconcile, console"
    assert (ended.code, ended.err) == (2, f"--roles: magic is none of {known}\n")


@pytest.mark.parametrize("setting", ["PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN"])
async def test_serve_says_which_of_its_ports_is_taken(payproof: Payproof, setting: str) -> None:
    taken = payproof.system.settings[setting]
    free = dict(zip(("PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN"), map("127.0.0.1:{}".format, free_ports(2)), strict=True))
    ended = await payproof_says(payproof, "serve", **free | {setting: taken})
    assert ended.code == 1
    said = ended.err.splitlines()[-1]
    assert said.startswith("cannot listen: ")
    assert said.endswith(f"address already in use; {setting} says where to listen")


async def test_a_database_that_is_away_is_told_without_its_password(payproof: Payproof) -> None:
    away = f"postgres://shop:sesame@127.0.0.1:{free_ports(1)[0]}/payproof"
    ended = await payproof_says(payproof, "payments", "list", PAYPROOF_DATABASE_URL=away)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("the database cannot be used: ")
    examined = await payproof_says(payproof, "doctor", PAYPROOF_DATABASE_URL=away)
    assert examined.code == 1
    assert any(line.startswith("no  database: the database cannot be used: ") for line in examined.lines)
    assert "ok  account shop-ipay: reachable, and it accepts the key" in examined.lines, "asked all the same"
    assert "sesame" not in ended.err + examined.out + examined.err


@pytest.mark.parametrize(
    "words", [("payments", "list"), ("explain", UNKNOWN), ("dead", "list"), ("events", "tail", "--no-follow")]
)
async def test_a_command_that_looks_migrates_nothing_and_says_which_does(
    payproof: Payproof, place: Path, words: tuple[str, ...]
) -> None:
    elsewhere = {"PAYPROOF_DATA_DIR": str(place / "data")}
    ended = await payproof_says(payproof, *words, **elsewhere)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == ("the database has no schema yet: run `payproof migrate`, or `payproof serve`, which does it\n")


async def test_a_schema_that_is_older_or_takes_something_away_is_refused(payproof: Payproof, place: Path) -> None:
    elsewhere = {"PAYPROOF_DATA_DIR": str(place / "data")}
    assert (await payproof_says(payproof, "migrate", **elsewhere)).code == 0
    assert (await payproof_says(payproof, "payments", "list", **elsewhere)).code == 0
    async with embedded(place / "data") as url:
        database = await asyncpg.connect(url)
        try:
            await database.execute("INSERT INTO schema_migrations VALUES ('9999')")
            assert (await payproof_says(payproof, "payments", "list", **elsewhere)).code == 0, "it was only added to"
            await database.execute("INSERT INTO contractions VALUES ('9999')")
            for words in (("payments", "list"), ("migrate",), ("serve",)):
                newer = await payproof_says(payproof, *words, **elsewhere)
                assert newer.code == 1
                assert "the database's schema is newer than this program (9999): " in newer.err
            await database.execute("DELETE FROM contractions")
            await database.execute("DELETE FROM schema_migrations WHERE version IN ('9999', '0003')")
            older = await payproof_says(payproof, "payments", "list", **elsewhere)
            assert older.code == 1
            assert older.err == (
                "the database's schema is older than this program (without 0003): run `payproof migrate`\n"
            )
            examined = await payproof_says(payproof, "doctor", **elsewhere)
            assert "!!  database: reachable, but the database's schema is older" in examined.out
        finally:
            await database.close()


# -- doctor ------------------------------------------------------------------------------------------------------------


async def test_the_doctor_finds_nothing_wrong_where_nothing_is(payproof: Payproof) -> None:
    ended = await payproof_says(payproof, "doctor")
    assert ended.code == 0, ended.out
    assert {line[:2] for line in ended.lines} == {"ok", "!!"}
    silent = {"aamarpay", "uddoktapay"}  # no reply of theirs tells a refused key from an unknown payment
    for name in set(ASKED) - silent:
        assert f"ok  account shop-{name}: reachable, and it accepts " in ended.out
    for name in silent:
        assert f"!!  account shop-{name}: reachable" in ended.out
    assert "ok  account shop-payparse-blind: this gateway has no status API" in ended.out
    assert "sandbox-ipay-key" not in ended.out


async def test_the_doctor_tells_a_wrong_key_from_a_host_that_is_away(payproof: Payproof) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    text = payproof.system.config.read_text().replace("sandbox-ipay-key", "another-key")
    ill = payproof.system.place / "ill.toml"
    ill.write_text(text.replace(f"{payproof.system.sandbox_url}/moneybag", f"{nobody}/moneybag"))
    ended = await payproof_says(payproof, "doctor", PAYPROOF_CONFIG=str(ill))
    assert ended.code == 1
    assert (
        "no  account shop-ipay: it refuses the key or password (HTTP 401); compare the keys of shop-ipay" in ended.out
    )
    away = f"no  account shop-moneybag: {nobody}/moneybag cannot be reached (no reply: connection refused); "
    assert away in ended.out
    assert sum(line.startswith("no") for line in ended.lines) == 2
    assert "another-key" not in ended.out


async def test_the_doctor_tells_what_lies_undone_in_the_database(payproof: Payproof) -> None:
    async with embedded(payproof.system.place / "data") as url:
        database = await asyncpg.connect(url)
        try:
            await database.execute(
                "INSERT INTO dead (claim_id, provider, body, reason) VALUES ('doctored', 'ipay', '', 'tested')"
            )
            await database.execute(
                """INSERT INTO allowances (account, troubles, shut_until)
                   VALUES ('shop-payparse-blind', 12, clock_timestamp() + interval '1 hour')
                   ON CONFLICT (account) DO UPDATE SET troubles = 12, shut_until = excluded.shut_until"""
            )
            ended = await payproof_says(payproof, "doctor")
        finally:
            await database.execute("DELETE FROM dead WHERE claim_id = 'doctored'")
            await database.execute("DELETE FROM allowances WHERE account = 'shop-payparse-blind'")
            await database.close()
    assert ended.code == 0, ended.out
    assert "!!  dead letters: 1 waiting in Postgres, the oldest since " in ended.out
    assert "!!  account shop-payparse-blind: its gateway gave 12 times in a row no answer; nobody asks it" in ended.out


async def test_the_doctor_finds_payments_of_accounts_that_are_no_longer_configured(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    fewer = payproof.system.place / "fewer.toml"
    fewer.write_text(payproof.system.config.read_text().replace('"shop-ipay"', '"shop-ipay-renamed"'))
    ended = await payproof_says(payproof, "doctor", PAYPROOF_CONFIG=str(fewer))
    assert ended.code == 1
    assert "no  account shop-ipay: its payments are stored here, and it is not in the configuration; " in ended.out
    told = await payproof_says(payproof, "explain", buyer.payment["payment_id"], PAYPROOF_CONFIG=str(fewer))
    assert "Next: nothing is asked while the account shop-ipay is not in the configuration." in told.out


async def test_the_doctor_says_that_buyers_cannot_reach_loopback(payproof: Payproof) -> None:
    text = payproof.system.config.read_text()
    abroad = payproof.system.place / "abroad.toml"
    abroad.write_text(text.replace(f"{payproof.system.sandbox_url}/ipay", "https://ipay.invalid/api"))
    ended = await payproof_says(payproof, "doctor", PAYPROOF_CONFIG=str(abroad))
    assert ended.code == 1
    assert f"no  PAYPROOF_PUBLIC_URL: {payproof.system.url}: gateways and buyers elsewhere cannot reach it" in ended.out
    assert "is this machine's own (loopback)" in ended.out
    assert "https://ipay.invalid/api cannot be reached (no reply: its host name is unknown)" in ended.out


# -- payments ----------------------------------------------------------------------------------------------------------


async def test_a_list_is_one_line_a_payment_and_the_sum_of_all_that_match(payproof: Payproof) -> None:
    payment_id, waiting = await paid(payproof, "onepaybd"), await held(payproof)
    ended = await payproof_says(payproof, "payments", "list", "--account", "shop-onepaybd")
    assert ended.code == 0
    head, row, total = ended.lines
    assert head.split() == ["payment", "opened", "(Asia/Dhaka)", "account", "reference", "status", "hold", "amount"]
    assert row.startswith(payment_id)
    assert " completed " in row
    assert total.startswith("1 in all; 1 completed for ")
    none = await payproof_says(payproof, "payments", "list", "--hold", "none", "--limit", "100")
    assert payment_id in none.out
    assert waiting not in none.out
    newest = await payproof_says(payproof, "payments", "list", "--limit", "1")
    assert ", the newest 1 are shown; " in newest.lines[-1]


@pytest.mark.parametrize(
    "words", [("payments", "list", "--merchant", "another"), ("events", "tail", "--merchant", "another")]
)
async def test_a_merchant_that_is_not_configured_is_wrong_usage(payproof: Payproof, words: tuple[str, ...]) -> None:
    ended = await payproof_says(payproof, *words)
    assert (ended.code, ended.out, ended.err) == (2, "", "--merchant: another is none of shop\n")


async def test_show_prints_what_the_api_shows_and_the_timeline(payproof: Payproof) -> None:
    payment_id = await paid(payproof, "shadhinpay")
    await payproof.settled(payment_id, "completed")
    shop = payproof.stage.shop

    async def at_rest() -> tuple[Ended, Any, Any] | None:
        """The output while the payment stays as it is: the second of two callbacks may cause another question."""
        before = await shop.payment(payment_id), await shop.timeline(payment_id)
        ended = await payproof_says(payproof, "payments", "show", payment_id)
        after = await shop.payment(payment_id), await shop.timeline(payment_id)
        return (ended, *after) if before == after else None

    ended, payment, timeline = await until(at_rest, what="the payment stays as it is while it is shown")
    assert ended.code == 0
    end = ended.lines.index("}") + 1
    assert json.loads("".join(ended.lines[:end])) == payment
    assert [json.loads(line) for line in ended.lines[end:]] == timeline


@pytest.mark.parametrize(
    "words",
    [
        ("explain", UNKNOWN),
        ("payments", "show", UNKNOWN),
        ("payments", "verify", UNKNOWN),
        ("payments", "resolve", UNKNOWN, "--status", "completed", "--reason", "seen", "--yes"),
    ],
)
async def test_a_payment_that_nobody_has_is_no_payment(payproof: Payproof, words: tuple[str, ...]) -> None:
    ended = await payproof_says(payproof, *words)
    assert (ended.code, ended.out, ended.err) == (1, "", f"there is no payment {UNKNOWN}\n")


@pytest.mark.parametrize(
    "words",
    [("show",), ("verify",), ("resolve", "--status", "completed", "--reason", "seen", "--yes")],
    ids=lambda words: words[0],
)
async def test_a_name_that_no_payment_has_is_said(payproof: Payproof, words: tuple[str, ...]) -> None:
    ended = await payproof_says(payproof, "payments", words[0], "order-7831", *words[1:])
    says = "there is no payment order-7831, and no reference, order, session or transaction of that name\n"
    assert (ended.code, ended.out, ended.err) == (1, "", says)


async def test_show_verify_and_resolve_take_any_id_and_refuse_one_that_means_several(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    payment = await payproof.stage.shop.payment(payment_id)
    reference = payment["reference"].upper()
    shown = await payproof_says(payproof, "payments", "show", reference)
    assert json.loads("".join(shown.lines[: shown.lines.index("}") + 1]))["payment_id"] == payment_id
    verified = await payproof_says(payproof, "payments", "verify", reference)
    assert verified.err.startswith(f"{payment_id} is pending; its gateway has no status API")
    order = f"Twice-{uuid.uuid4().hex[:8]}"
    both = [(await payproof.opened("ipay", order=order)).payment["payment_id"] for _ in range(2)]
    for words in (("show",), ("verify",), ("resolve", "--status", "failed", "--reason", "seen", "--yes")):
        ended = await payproof_says(payproof, "payments", words[0], order.lower(), *words[1:])
        assert (ended.code, ended.out) == (1, "")
        first, *fitting = ended.err.splitlines()
        assert first == f"{order.lower()} means 2 payments; name one of them by its id:"
        assert [line.split()[0] for line in fitting] == both


async def test_a_list_of_an_account_that_is_not_configured_says_so(payproof: Payproof) -> None:
    ended = await payproof_says(payproof, "payments", "list", "--account", "shop-onepaydb")
    assert (ended.code, ended.lines[-1]) == (0, "0 in all; 0 completed for 0.00 BDT, 0 failed")
    assert ended.err.startswith("--account: shop-onepaydb is not configured; there are shop-")
    known = await payproof_says(payproof, "payments", "list", "--account", "shop-onepaybd")
    assert (known.code, known.err) == (0, "")


async def test_verify_asks_the_gateway_and_says_what_came_of_it(payproof: Payproof) -> None:
    buyer = await payproof.opened("ipay")
    await buyer.at_gateway("pay")
    payment_id = buyer.payment["payment_id"]
    ended = await payproof_says(payproof, "payments", "verify", payment_id)
    assert (ended.code, ended.out) == (0, f"{payment_id} is completed\n")


async def test_verify_does_not_wait_for_a_gateway_that_cannot_be_asked(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    ended = await payproof_says(payproof, "payments", "verify", payment_id)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"{payment_id} is pending; its gateway has no status API that could be asked\n"
    buyer = await payproof.opened("moneybag")
    unknown = await payproof_says(payproof, "payments", "verify", buyer.payment["payment_id"])
    assert unknown.code == 1
    assert "no id is known yet" in unknown.err


async def test_a_resolution_needs_a_reason_and_a_payment_that_is_held_and_never_lowers_it(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    words = ("payments", "resolve", payment_id)
    blank = await payproof_says(payproof, *words, "--status", "completed", "--reason", " ", "--transaction-id", "a b")
    assert (blank.code, blank.out) == (2, "")
    assert [line.partition(":")[0] for line in blank.err.splitlines()] == ["--reason", "--transaction-id"]
    assert (await payproof.settled(payment_id, "pending", "unverifiable"))["version"] == 2

    decision = (*words, "--yes", "--status", "completed", "--reason", "on the statement", "--actor", "rahim")
    unasked = await payproof_says(payproof, *words, "--status", "completed", "--reason", "on the statement")
    assert (unasked.code, unasked.out, unasked.err) == (2, "", "--yes is needed where nobody can be asked\n")
    ended = await payproof_says(payproof, *decision)
    assert (ended.code, ended.lines[-2:]) == (
        0,
        ["payment.completed, version 3, will be delivered to the shop.", f"{payment_id} is completed"],
    )
    assert "  status: pending becomes completed" in ended.lines
    assert "  hold: unverifiable becomes nothing" in ended.lines
    ended = await payproof_says(payproof, *decision)  # a repetition changes nothing
    assert (ended.code, ended.out) == (0, f"{payment_id} is completed\n")
    assert (await payproof.settled(payment_id, "completed"))["version"] == 3
    other = await payproof_says(payproof, *decision[:-1], "karim")
    assert other.code == 1
    assert other.err.startswith("not_held: only a held payment can be resolved; rahim resolved it as completed at 20")


async def test_a_held_payment_that_is_paid_cannot_be_resolved_as_failed(payproof: Payproof) -> None:
    first, second = await payproof.opened("ipay", order="twice"), await payproof.opened("ipay", order="twice")
    for buyer in (first, second):
        await buyer.returns(await buyer.at_gateway("pay"))
    payment_id = second.payment["payment_id"]
    await payproof.settled(payment_id, "completed", "duplicate_for_order")
    words = ("payments", "resolve", payment_id, "--yes", "--status", "failed", "--reason", "twice")
    ended = await payproof_says(payproof, *words)
    assert (ended.code, ended.err) == (1, "lower_status: the payment is completed already; it never falls\n")


async def doubly_paid(payproof: Payproof) -> str:
    """The second attempt of an order of which both attempts were paid."""
    order = f"twice-{uuid.uuid4().hex[:8]}"
    first, second = await payproof.opened("ipay", order=order), await payproof.opened("ipay", order=order)
    for buyer in (first, second):
        await buyer.returns(await buyer.at_gateway("pay"))
    payment_id: str = second.payment["payment_id"]
    await payproof.settled(payment_id, "completed", "duplicate_for_order")
    return payment_id


async def test_the_work_list_has_the_oldest_first_and_the_money_at_stake_by_reason(payproof: Payproof) -> None:
    before = await payproof_says(payproof, "payments", "list", "--hold", "unverifiable", "--limit", "100")
    older, newer = await held(payproof), await held(payproof)
    twice = await doubly_paid(payproof)
    work = await payproof_says(payproof, "payments", "list", "--hold", "any", "--limit", "100")
    assert work.code == 0
    assert work.lines[0].split()[:3] == ["payment", "held", "for"]
    ids = [line.split()[0] for line in work.lines if line.startswith("pay_")]
    assert [one for one in ids if one in (older, newer, twice)] == [older, newer, twice]
    reasons = [line for line in work.lines if line.startswith("unverifiable: ")]
    waiting = sum(line.startswith("pay_") for line in before.lines) + 2
    assert reasons[0].startswith(f"unverifiable: {waiting} for ")
    assert reasons[0].endswith(
        " BDT: look for the money in the gateway's panel or statement; completed if it is there, else failed"
    )
    assert any(line.startswith("duplicate_for_order: ") for line in work.lines)
    assert work.lines[-1].startswith(f"{len(ids)} held; ")
    assert work.lines[-1].endswith(" BDT at stake")
    one = await payproof_says(payproof, "payments", "list", "--hold", "any", "--limit", "1")
    assert f"{len(ids)} held, the oldest 1 are shown; " in one.lines[-1]
    assert one.lines[1].split()[0] == ids[0]


async def test_of_two_people_who_decide_at_once_one_wins_and_the_other_is_told_who(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    words = ("payments", "resolve", payment_id, "--yes", "--reason", "seen", "--status")
    ended = await asyncio.gather(
        payproof_says(payproof, *words, "completed", "--actor", "rahim"),
        payproof_says(payproof, *words, "failed", "--actor", "karim"),
    )
    assert sorted(one.code for one in ended) == [0, 1]
    won, lost = sorted(ended, key=lambda one: one.code)
    status, winner = ("completed", "rahim") if won is ended[0] else ("failed", "karim")
    assert won.lines[-1] == f"{payment_id} is {status}"
    assert lost.err.startswith(f"not_held: only a held payment can be resolved; {winner} resolved it as {status} at ")
    assert (await payproof.settled(payment_id, status))["version"] == 3


async def test_a_decision_on_another_version_is_refused(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    words = ("payments", "resolve", payment_id, "--yes", "--reason", "seen", "--status", "failed", "--version")
    old = await payproof_says(payproof, *words, "1")
    assert (old.code, old.err) == (1, "version_conflict: the payment is at version 2\n")
    assert (await payproof_says(payproof, *words, "2")).code == 0


# -- dead letters ------------------------------------------------------------------------------------------------------


async def buried(payproof: Payproof, claim_id: str, **claim: object) -> None:
    """Dead-letter a claim as the service does; without fields, a claim that no version can read."""
    text = json.dumps({"id": claim_id, "authenticity": "unsigned", "received_at": "2026-01-31T18:00:00Z"} | claim)
    async with embedded(payproof.system.place / "data") as url:
        database = await asyncpg.connect(url)
        try:
            await database.execute(
                "INSERT INTO dead (claim_id, provider, body, reason) VALUES ($1, 'ipay', $2, 'ValueError, 5 times')",
                claim_id,
                text.encode(),
            )
        finally:
            await database.close()


def named(payment_id: str) -> dict[str, object]:
    about = {"account": "shop-ipay", "provider": "ipay", "payment_id": payment_id, "source": "ipn", "reference": "o-7"}
    callback = {
        "source": "ipn",
        "account": "shop-ipay",
        "method": "POST",
        "query": [["phone", "01700000000"], ["order", "o-7"]],
        "headers": [],
        "body": base64.b64encode(b"name=Demo+Buyer").decode(),
        "received_at": "2026-01-31T18:00:00Z",
    }
    return {**about, "callback": callback}


async def test_dead_letters_are_listed_shown_and_replayed_and_the_service_takes_the_claim(payproof: Payproof) -> None:
    nothing = await payproof_says(payproof, "dead", "list")
    assert (nothing.code, nothing.out) == (0, "0 in all: 0 in Postgres\n")
    buyer = await payproof.opened("ipay")
    payment_id = buyer.payment["payment_id"]
    await buried(payproof, "0123abcd", **named(payment_id))
    await buried(payproof, "0123dead")
    listed = await payproof_says(payproof, "dead", "list")
    assert listed.code == 0
    first, second, total = listed.lines
    assert first.startswith("0123abcd  ")
    assert first.endswith(f"  ipay  {payment_id}  in Postgres: ValueError, 5 times")
    assert second.endswith("  ipay  -  in Postgres: ValueError, 5 times; cannot be read")
    assert total == "2 in all: 2 in Postgres"
    as_json = await payproof_says(payproof, "dead", "list", "--json", "--provider", "ipay", "--limit", "1")
    (line,) = as_json.lines
    assert json.loads(line).items() >= {"id": "0123abcd", "payment_id": payment_id, "place": "postgres"}.items()

    shown = await payproof_says(payproof, "dead", "show", "0123a")
    assert shown.code == 0
    told = json.loads(shown.out)
    assert told["claim"]["reference"] == "o-7"
    assert told["callback"]["query"] == [["phone", "*** (11 characters)"], ["order", "o-7"]]
    assert told["callback"]["body"] == {"bytes": 15, "fields": {"name": "*** (10 characters)"}}
    several = await payproof_says(payproof, "dead", "show", "0123")
    assert (several.code, several.err) == (2, "0123: several begin so: 0123abcd, 0123dead\n")
    nobody = await payproof_says(payproof, "dead", "replay", "0123a", "9")
    assert (nobody.code, nobody.err) == (1, "there is no dead letter 9\n")

    replayed = await payproof_says(payproof, "dead", "replay", "--all")
    assert (replayed.code, replayed.out) == (1, "1 of 2 replayed\n")
    assert "0123dead stays: this version reads no claim in it" in replayed.err
    await payproof.taken(payment_id, 1)
    dropped = await payproof_says(payproof, "dead", "drop", "0123", "--reason", "written by a test", "--yes")
    assert (dropped.code, dropped.out) == (0, "1 of 1 dropped\n")
    (logged,) = [json.loads(line) for line in dropped.err.splitlines()]
    told = {"event": "dead_letter.dropped", "claim_id": "0123dead", "reason": "written by a test"}
    assert logged.items() >= told.items()
    assert (await payproof_says(payproof, "dead", "list")).out == nothing.out


async def test_on_a_terminal_nothing_is_dropped_before_a_person_agrees(payproof: Payproof) -> None:
    await buried(payproof, "4567dead")
    words = ("dead", "drop", "4567", "--reason", "written by a test")
    for answer, code, last in (("", 1, None), ("n", 1, None), ("y", 0, "1 of 1 dropped")):
        typing, terminal = pty.openpty()
        os.write(typing, f"{answer}\n".encode())
        try:
            ended = await command(*words, cwd=payproof.system.place, settings=payproof.system.settings, stdin=terminal)
        finally:
            os.close(typing)
            os.close(terminal)
        assert ended.code == code
        assert "Drop this letter for good? [y/N] " in ended.out
        assert ended.lines[-1].endswith(last or "[y/N] ")
        assert (ended.err == "nothing was dropped\n") == (last is None)


async def test_with_the_broker_away_the_dead_in_postgres_are_listed_and_it_is_told(payproof: Payproof) -> None:
    away = {"PAYPROOF_AMQP_URL": f"amqp://guest:sesame@127.0.0.1:{free_ports(1)[0]}/"}
    listed = await payproof_says(payproof, "dead", "list", **away)
    assert (listed.code, listed.out) == (1, "0 in all: 0 in Postgres\n")
    assert "what lies at the broker could not be asked for: the broker cannot be reached" in listed.err
    examined = await payproof_says(payproof, "doctor", **away)
    assert examined.code == 1
    assert [line for line in examined.lines if line.startswith("no  broker: it cannot be reached")]
    assert "sesame" not in listed.err + examined.out + examined.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("replay",), "name letters, or say --all"),
        (("replay", "abc", "--all"), "--all goes without ids"),
        (("replay", "abc", "--provider", "ipay"), "--provider goes with --all"),
        (("drop", "abc", "--reason", " ", "--yes"), "--reason: must say why"),
        (("drop", "abc", "--reason", "old"), "--yes is needed where nobody can be asked"),
    ],
)
async def test_dead_letters_that_are_not_said_which_are_left(place: Path, words: tuple[str, ...], why: str) -> None:
    ended = await command("dead", *words, cwd=place)
    assert (ended.code, ended.out, ended.err) == (2, "", f"{why}\n")


# -- explain and events ------------------------------------------------------------------------------------------------


async def test_explain_tells_the_story_in_sentences_one_a_line(payproof: Payproof) -> None:
    payment_id = await paid(payproof, "onepaybd")
    await payproof.settled(payment_id, "completed")
    ended = await payproof_says(payproof, "explain", payment_id)
    assert ended.code == 0
    story = [line[22:] for line in ended.lines]
    assert story[0].startswith("Paid: ")
    assert "as the gateway itself said at " in story[0]
    assert " The shop's log has payment.completed since " in story[0]
    assert story[1].startswith("The shop asked for ")
    said = "A browser that came back said success. Anyone could have sent it, so we ask the gateway. (claim "
    (claim,) = [line.removeprefix(said).rstrip(")") for line in story if line.startswith(said)]
    shown = await payproof_says(payproof, "archive", "show", claim)
    assert (shown.code, json.loads(shown.out)["id"]) == (0, claim)
    assert any(line.startswith("We asked the gateway to take the money (Execute) because of a claim") for line in story)
    assert any(line.startswith("Decided: pending rose to completed. The rule: ") for line in story)
    assert story[-1] == "Next: nothing; it is settled."
    assert all(line[:20].endswith("Z") for line in ended.lines[1:-2])


async def test_explain_finds_a_payment_by_whatever_a_person_has(payproof: Payproof) -> None:
    one, two = await payproof.opened("ipay", order="three-saris"), await payproof.opened("ipay", order="three-saris")
    await one.returns(await one.at_gateway("pay"))
    payment_id = one.payment["payment_id"]
    payment = await payproof.settled(payment_id, "completed")
    told = await payproof_says(payproof, "explain", payment_id)
    for typed in (payment["reference"], payment["session_id"], payment["transaction_id"] or payment["session_id"]):
        assert (await payproof_says(payproof, "explain", typed)).lines[0] == told.lines[0]
    listed = await payproof_says(payproof, "explain", "three-saris")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.lines[1:-1]] == [payment_id, two.payment["payment_id"]]
    assert listed.lines[-1] == "three-saris means 2 payments; explain one of them by its id"
    matches = json.loads((await payproof_says(payproof, "explain", "three-saris", "--json")).out)["matches"]
    assert [one["payment_id"] for one in matches] == [payment_id, two.payment["payment_id"]]
    nothing = await payproof_says(payproof, "explain", "four-saris")
    assert (nothing.code, nothing.out) == (1, "")
    assert (
        nothing.err == "there is no payment four-saris, and no reference, order, session or transaction of that name\n"
    )


async def test_explain_tells_the_same_as_data(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    told = json.loads((await payproof_says(payproof, "explain", payment_id, "--json")).out)
    assert told["payment"] == await payproof.stage.shop.payment(payment_id)
    assert told["evidence"]["hold"] == "unverifiable"
    assert told["summary"].startswith("Not proven: ")
    assert {"claim", "decision", "event", "opening"} <= {line["kind"] for line in told["story"]}
    assert all("claims" not in line or line["kind"] == "claim" for line in told["story"])
    assert told["next"][0] == {"at": None, "words": "a person resolves it (payproof payments resolve)"}


async def test_explain_says_first_what_a_hold_waits_for(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    ended = await payproof_says(payproof, "explain", payment_id)
    assert "is held as unverifiable, and a person must decide." in ended.lines[0]
    assert ended.lines[1].startswith("held                  unverifiable since ")
    assert ended.lines[2].startswith("what to do            look for the money in the gateway's panel")
    assert f"payproof payments resolve {payment_id} --status STATUS --reason WHY" in ended.lines[3]
    assert ended.lines[-1].endswith("Next: a person resolves it (payproof payments resolve).")


async def test_asked_answered_and_expected_stand_side_by_side(payproof: Payproof) -> None:
    payment_id = await doubly_paid(payproof)
    shown, told = (
        await payproof_says(payproof, "payments", "show", payment_id),
        await payproof_says(payproof, "explain", payment_id),
    )
    reference = (await payproof.stage.shop.payment(payment_id))["reference"]
    for lines in (shown.lines, told.lines):
        assert any(line.split() == ["asked", "answered", "expected"] for line in lines)
        assert any(line.split() == ["reference", reference, reference] for line in lines)
        assert any("is paid by pay_" in line for line in lines)


async def test_explain_wraps_beside_the_times_on_a_narrow_terminal(payproof: Payproof) -> None:
    payment_id = await paid(payproof, "onepaybd")
    narrow = {"FORCE_COLOR": "1", "COLUMNS": "60"}
    told = await payproof_says(payproof, "explain", payment_id, **narrow)
    assert len(told.lines) > len((await payproof_says(payproof, "explain", payment_id)).lines)
    listed = await payproof_says(payproof, "payments", "list", "--account", "shop-onepaybd", **narrow)
    assert payment_id in listed.out


async def test_events_are_printed_as_they_were_written_from_a_time_on_and_as_they_come(payproof: Payproof) -> None:
    payment_id = await paid(payproof, "ipay")
    await payproof.settled(payment_id, "completed")
    past = await payproof_says(payproof, "events", "tail", "--no-follow", "--since", "2020-01-01")
    assert past.code == 0
    written = await payproof.stage.shop.events(None)
    assert all(line.encode() in written for line in past.lines)
    assert f"{payment_id}.2" in [json.loads(line)["id"] for line in past.lines]
    now = await payproof_says(payproof, "events", "tail", "--no-follow")
    assert (now.code, now.out) == (0, "")

    tail = await started(
        "events", "tail", "--since", "2020-01-01", cwd=payproof.system.place, settings=payproof.system.settings
    )
    try:
        assert tail.stdout is not None
        for line in past.lines:
            assert (await asyncio.wait_for(tail.stdout.readline(), SECONDS)).decode().rstrip("\n") == line
        buyer = await payproof.opened("ipay")
        came = json.loads(await asyncio.wait_for(tail.stdout.readline(), SECONDS))
        assert (came["type"], came["subject"]) == ("payment.opened", buyer.payment["payment_id"])
        tail.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(tail.wait(), SECONDS) == 130
    finally:
        if tail.returncode is None:
            tail.kill()
            await tail.wait()


# -- after a restore: the last one here, because it keeps every Execute from being sent for a minute -------------------


async def test_migrate_after_a_restore_raises_every_version(payproof: Payproof) -> None:
    payment_id = await paid(payproof, "ipay")
    before = await payproof.settled(payment_id, "completed")
    ended = await payproof_says(payproof, "migrate")
    assert (ended.code, ended.out) == (0, "the schema is up to date\n")
    restored = await payproof_says(payproof, "migrate", "--restored")
    assert restored.code == 0
    assert "raised by 1,000 versions" in restored.out
    after = await payproof.settled(payment_id, "completed")
    assert after == before | {"version": before["version"] + 1000}
