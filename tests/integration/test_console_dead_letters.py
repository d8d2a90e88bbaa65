"""The console's page of dead letters: masked for everybody, replayed by operators, dropped by approvers who say why."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Source
from tests.consoles import PASSWORD, Console, running_console
from tests.logins import LOGINS, as_user, make_logins
from worker.console.pages import dead_letters_page
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database, connect
from worker.postgres.queue.claim_queue import PostgresBus

PHONE = "01711111111"
REASON = "it failed five times"


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console


def claim_about(database: Database, account: str) -> Claim:
    now = database.clock.now()
    callback = Callback(
        source=Source.IPN,
        account=account,
        method="POST",
        query=(),
        headers=(),
        body=f"phone={PHONE}".encode(),
        received_at=now,
    )
    return Claim(
        id=f"claim-about-{account}",
        account=account,
        provider="ipay",
        source=Source.IPN,
        authenticity=Authenticity.UNSIGNED,
        received_at=now,
        callback=callback,
    )


async def dies(database: Database, account: str, body: bytes | None = None) -> str:
    """Put a claim about this account among the dead letters. Returns the path of its page."""
    claim = claim_about(database, account)
    await PostgresBus(database).dead_letter_raw(claim.id, "ipay", body or msgspec.json.encode(claim), REASON)
    (row,) = await database.fetch("SELECT max(id) AS id FROM dead")
    return f"/dead-letters/{row['id']}"


async def test_a_letter_is_listed_and_shown_without_personal_data(console: Console, database: Database) -> None:
    signed = await console.signed_in("vera")
    assert "No dead letters" in (await signed.get("/dead-letters")).text
    path = await dies(database, "shop-ipay")
    listed = (await signed.get("/dead-letters")).text
    assert f'href="{path}"' in listed
    assert REASON in listed
    shown = (await signed.get(path)).text
    assert "claim-about-shop-ipay" in shown
    assert PHONE not in shown + listed
    assert "Replay it" not in shown
    assert "Drop it" not in shown


async def test_an_operator_replays_a_claim_which_is_then_in_the_queue(console: Console, database: Database) -> None:
    path = await dies(database, "shop-ipay")
    operator = await console.signed_in("omar")
    shown = (await operator.get(path)).text
    assert "Replay it" in shown
    assert "Drop it" not in shown
    assert (await operator.post(f"{path}/replay")).location == "/dead-letters"
    assert [row["claim_id"] for row in await database.fetch("SELECT claim_id FROM queue")] == ["claim-about-shop-ipay"]
    assert await database.fetch("SELECT FROM dead") == []
    assert (await operator.post(f"{path}/replay")).status == 404, "twice does nothing"
    (act,) = await read_audit(database, ["shop"])
    assert (act.origin.actor, act.action, act.subject) == ("omar", "dead_letter.replayed", "claim-about-shop-ipay")


async def test_an_approver_drops_a_letter_with_a_reason_and_a_password(console: Console, database: Database) -> None:
    path = await dies(database, "shop-ipay")
    approver = await console.signed_in("abida")
    assert "Drop it" in (await approver.get(path)).text
    why = {"why": "a test of the gateway"}
    assert (await (await console.signed_in("omar")).post(f"{path}/drop", why | {"confirm": PASSWORD})).status == 403
    assert (await approver.post(f"{path}/drop", why | {"confirm": "wrong"})).status == 403
    assert (await approver.post(f"{path}/drop", {"confirm": PASSWORD})).status == 422
    assert len(await database.fetch("SELECT FROM dead")) == 1
    assert (await approver.post(f"{path}/drop", why | {"confirm": PASSWORD})).location == "/dead-letters"
    assert await database.fetch("SELECT FROM dead") == []
    (act,) = await read_audit(database, ["shop"])
    assert (act.origin.actor, act.action, act.why) == ("abida", "dead_letter.dropped", "a test of the gateway")


async def test_a_letter_that_cannot_be_replayed_says_why(console: Console, database: Database) -> None:
    path = await dies(database, "shop-ipay", b"no JSON")
    operator = await console.signed_in("omar")
    shown = (await operator.get(path)).text
    assert "It cannot be replayed here" in shown
    assert "Replay it" not in shown
    assert (await operator.post(f"{path}/replay")).status == 409
    assert len(await database.fetch("SELECT FROM dead")) == 1


async def test_a_letter_of_another_merchant_and_one_that_names_none_are_not_for_everybody(
    console: Console, database: Database
) -> None:
    other = await console.signed_in("onlyother")
    for path in (await dies(database, "shop-ipay"), await dies(database, "shop-ipay", b"no JSON")):
        assert path not in (await other.get("/dead-letters")).text
        assert (await other.get(path)).status == 404
        assert (await other.post(f"{path}/replay")).status == 404
        assert (await other.post(f"{path}/drop", {"why": "x", "confirm": PASSWORD})).status == 404
    own = await dies(database, "other-one")
    assert own in (await other.get("/dead-letters")).text
    assert (await other.get(own)).status == 200


async def test_letters_of_others_are_looked_at_up_to_a_number_and_the_page_says_so(
    console: Console, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters_page, "MOST_LOOKED_AT", 3)
    other = await console.signed_in("onlyother")
    for number in range(4):
        await dies(database, "shop-ipay")
        text = (await other.get("/dead-letters")).text
        assert ("looked at" in text, "No dead letters" in text) == (number == 3, number < 3)


async def test_the_consoles_login_may_do_all_of_it(database: Database, dsn: str) -> None:
    await make_logins(dsn)
    async with connect(as_user(dsn, LOGINS["console"])) as own, running_console(own) as console:
        approver = await console.signed_in("abida")
        path = await dies(database, "shop-ipay")
        assert (await approver.get("/dead-letters")).status == 200
        assert (await approver.post(f"{path}/replay")).status == 303
        path = await dies(database, "shop-ipay")
        assert (await approver.post(f"{path}/drop", {"why": "x", "confirm": PASSWORD})).status == 303
