"""Sign-ins to the console in the audit trail and in the metrics, and the bound of the trail under a guesser."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from schemas.words import SignInOutcome
from tests.consoles import PASSWORD, Console, running_console
from worker.console.sign_in_record import MOST_FAILURES, NOBODY, SignInRecord
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console


async def trail(database: Database) -> list[tuple[str, str, str | None, str | None]]:
    """The actor, action, subject and reason of each act, the first first."""
    acts = reversed(await read_audit(database, None))
    return [(one.origin.actor, one.action, one.subject, one.why) for one in acts]


async def test_who_came_in_and_went_out_is_in_the_trail_with_the_address(console: Console) -> None:
    signed, _ = await console.by_form("abida")
    await signed.post("/sign-out")
    signed, _ = await console.by_form("abida")
    await signed.post("/sign-out-everywhere")
    assert await trail(console.database) == [
        ("abida", "operator.signed_in", None, None),
        ("abida", "operator.signed_out", None, None),
        ("abida", "operator.signed_in", None, None),
        ("abida", "operator.signed_out_everywhere", None, None),
    ]
    assert {one.origin.address for one in await read_audit(console.database, None)} == {"127.0.0.1"}
    assert await read_audit(console.database, ["shop", "other"]) == [], "only who sees all merchants sees sign-ins"


async def test_a_failure_is_in_the_trail_by_its_reason_and_without_what_was_typed(console: Console) -> None:
    await console.by_form("my secret passphrase")
    await console.by_form("abida", "wrong")
    await console.by_form("abida", code="000000")
    signed = await console.signed_in("abida")
    await signed.post("/held/pay_00000000000000000000000000", {"confirm": "wrong"})
    assert await trail(console.database) == [
        (NOBODY, "operator.refused", None, "unknown_name"),
        (NOBODY, "operator.refused", "abida", "wrong_password"),
        (NOBODY, "operator.refused", "abida", "wrong_code"),
        (NOBODY, "operator.refused", "abida", "wrong_confirmation"),
    ]


async def test_who_has_to_wait_is_in_the_trail_and_counted(console: Console) -> None:
    for _ in range(5):
        await console.by_form("vera", "guessed")
    assert [why for *_, why in await trail(console.database)] == ["wrong_password"] * 4 + ["slowed"]


async def test_a_guesser_cannot_fill_the_trail_and_what_was_left_out_is_counted(database: Database) -> None:
    counted = Counter[str]()
    record = SignInRecord(database, lambda outcome: counted.update([outcome.value]))
    for number in range(MOST_FAILURES + 30):
        await record.failed(SignInOutcome.UNKNOWN_NAME, None, f"10.0.{number}.1")
    assert len(await trail(database)) == min(MOST_FAILURES, 100)
    (rows,) = await database.fetch("SELECT count(*) AS n FROM audit")
    assert (rows["n"], counted["unknown_name"]) == (MOST_FAILURES, MOST_FAILURES + 30)
    assert record._since is not None
    record._since -= timedelta(hours=1)
    await record.failed(SignInOutcome.WRONG_CODE, None, "10.1.1.1")
    (newest, *_) = await read_audit(database, None)
    assert (newest.why, newest.detail) == ("wrong_code", {"left_out": {"unknown_name": 30}})


async def test_every_outcome_is_counted_for_prometheus(database: Database) -> None:
    counted: list[str] = []
    async with running_console(database, count_sign_in=lambda outcome: counted.append(outcome.value)) as console:
        await console.by_form("vera", "guessed")
        await console.by_form("vera", PASSWORD)
    assert counted == ["wrong_password", "succeeded"]
