"""An installation with operators: the command and the API propose, a second person approves, and the shop is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from schemas.proposals import Origin, Person
from tests.consoles import OPERATORS
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.conftest import SETTINGS
from tests.harness import System
from tests.processes import running
from worker.postgres.database import connect
from worker.postgres.proposal_reads import outcome_of
from worker.postgres.proposal_rows import approve
from worker.postgres.server.embedded import embedded

OF_OPERATORS = "".join(
    f'\n[[console.operators]]\nname = "{one.name}"\nrole = "{one.role}"\n'
    f'password = "{one.password.reveal()}"\ntotp = "{one.totp.reveal()}"\n'
    for one in OPERATORS
    if one.merchants is None and one.password is not None and one.totp is not None
)
ANIS = Person(origin=Origin(actor="anis", via="console"), proposes=True, approves=True)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running(settings=SETTINGS + OF_OPERATORS, secret=WEBHOOK_SECRET) as system:
        yield system


async def held(payproof: Payproof) -> str:
    """A payment that was claimed as paid, at a gateway that cannot be asked."""
    buyer = await payproof.opened("blind")
    await buyer.returns(await buyer.at_gateway("pay"))
    payment_id: str = buyer.payment["payment_id"]
    await payproof.settled(payment_id, "pending", "unverifiable")
    return payment_id


async def test_the_command_proposes_and_the_running_service_applies_what_another_approves(payproof: Payproof) -> None:
    payment_id = await held(payproof)
    words = ("payments", "resolve", payment_id, "--status", "completed", "--reason", "in the panel", "--actor", "abida")
    ended = await payproof_says(payproof, *words, "--yes")
    assert ended.code == 0, ended
    assert [line.startswith("What differs: The last claim of success came at ") for line in ended.lines].count(
        True
    ) == 1
    assert "payment.completed, version 3, will be delivered to the shop." in ended.lines
    assert ended.lines[-2].startswith("Two people decide about this amount: this proposes it")
    assert ended.lines[-1].startswith(f"{payment_id} stays held: proposed as prop_")
    (waiting,) = [json.loads(line) for line in (await payproof_says(payproof, "payments", "proposals", "--json")).lines]
    assert (waiting["payment_id"], waiting["proposed_by"], waiting["state"]) == (payment_id, "abida", "open")
    assert "abida proposed at" in (await payproof_says(payproof, "payments", "proposals")).out
    (listed,) = [json.loads(line) for line in (await payproof_says(payproof, "held", "--json")).lines]
    has = ("proposal_id", "proposed_status", "proposed_by", "approved_by")
    assert [listed[name] for name in has] == [waiting["id"], "completed", "abida", None]
    assert "abida proposed completed" in (await payproof_says(payproof, "payments", "list", "--hold", "any")).out
    await payproof.settled(payment_id, "pending", "unverifiable")
    async with embedded(payproof.system.place / "data") as url, connect(url, size=2) as database:
        await approve(database, waiting["id"], ANIS)
        outcome = await outcome_of(database, waiting["id"])
    assert outcome is not None
    assert outcome.state == "applied"
    assert (await payproof.settled(payment_id, "completed"))["version"] == 3
    assert (await payproof_says(payproof, "payments", "proposals")).out == "no proposal waits for a second person\n"
    told = (await payproof_says(payproof, "explain", payment_id)).out
    assert "abida resolved it as completed: in the panel, approved by anis." in told
