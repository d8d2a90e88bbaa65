"""Proposals at a real PostgreSQL: two people, the rule in SQL, applied once by the workers, and an append-only trail.

The console, the API and the workers use the logins of their own groups, so that a missing right fails here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from consumers.commands.basis import basis_of
from consumers.commands.preview import preview
from consumers.commands.resolve import ResolutionRefused, ResolutionRequest, resolve_payment
from consumers.commands.two_people import apply_proposal
from schemas.proposals import Origin, Person, Proposal, ProposalState
from schemas.words import OperatorRole, Status
from tests.integration.shops import CONFIG, RULES, Shops, serving
from tests.logins import as_user, make_logins
from tests.processes import until
from worker.config.console import Console, Operator
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database, connect
from worker.postgres.evidence_files import MOST_BYTES, FileRefused, evidence_file, read_file
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.proposal_reads import (
    approved_proposals,
    outcome_of,
    proposals_of,
    read_proposal,
    waiting_proposals,
)
from worker.postgres.proposal_rows import approve, lapse_stale, propose, reject, withdraw
from worker.postgres.reads.snapshots import read_for_decision
from worker.runtime.encryption import ArchiveCipher, NotDecrypted
from worker.verify.approvals import Approvals

TWO = replace(RULES, second_person_from=Decimal("0.00"))
WISH = {"status": "completed", "actor": "rahim", "reason": "seen in the panel"}
PNG = b"\x89PNG\r\n\x1a\n and the rest"


class Desk(Shops):
    """The API with two people who decide, and the databases of the console and of a worker."""

    console: Database
    worker: Database

    async def held(self, reference: str, amount: str = "15.00") -> str:
        payment = await self.opened(account="shop-ipay", reference=reference)
        await self.answered(payment, Status.COMPLETED, amount=Decimal(amount))
        return str(payment["payment_id"])

    async def proposed(self, payment_id: str, **changes: Any) -> Proposal:
        """A proposal as the console makes it, of what the preview showed."""
        read = await read_for_decision(self.console, payment_id)
        assert read is not None
        wanted = ResolutionRequest(**{**WISH, "status": Status.COMPLETED, **changes})
        case, others, now = read
        await preview(case, TWO, wanted, others, now)
        return await propose(self.console, case, wanted, by(wanted.actor).origin, basis=basis_of(case, others))

    def approvals(self) -> Approvals:
        return Approvals(self.worker, PostgresLedger(self.worker), TWO)

    async def hold_of(self, payment_id: str) -> str | None:
        hold: str | None = (await self.get(f"/v1/payments/{payment_id}")).body["hold"]
        return hold

    async def trail(self, payment_id: str) -> list[tuple[str, str]]:
        found = await read_audit(self.console, None, payment_id=payment_id)
        return [(one.origin.actor, one.action) for one in reversed(found)]


def by(name: str, **fields: Any) -> Person:
    origin = Origin(actor=name, via="console", address="10.0.0.7")
    return Person(**{"origin": origin, "proposes": True, "approves": True, **fields})


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    await make_logins(dsn)
    async with (
        connect(as_user(dsn, "app_ingress"), size=4) as ingress,
        connect(as_user(dsn, "app_console"), size=4) as console,
        connect(as_user(dsn, "app_worker"), size=6) as worker,
        connect(dsn, size=4) as owner,
        serving(ingress, rules=TWO) as shops,
    ):
        desk = Desk(shops.session, shops.url, shops.api, shops.checkout)
        desk.console, desk.worker = console, worker
        desk.api = replace(shops.api, ledger=PostgresLedger(owner))  # `answered` records as a worker does
        yield desk


async def refused(work: Any) -> str:
    with pytest.raises(ResolutionRefused) as error:
        await work
    return error.value.code


# -- the whole way -----------------------------------------------------------------------------------------------------


async def test_one_proposes_by_the_api_another_approves_and_the_event_is_written(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    got = await desk.post(f"/v1/payments/{payment_id}/resolve", WISH)
    assert (got.status, got.body["state"], got.body["version"]) == (202, "open", 2)
    again = await desk.post(f"/v1/payments/{payment_id}/resolve", WISH)
    assert (again.status, again.body) == (202, got.body), "the same proposal again is the first"
    assert await desk.hold_of(payment_id) == "amount_mismatch", "nothing is resolved yet"
    proposal_id = got.body["proposal_id"]
    assert [one.id for one in await waiting_proposals(desk.console, ["shop"])] == [proposal_id]
    assert await refused(approve(desk.console, proposal_id, by("Rahim"))) == "own_proposal"
    await approve(desk.console, proposal_id, by("karima"), "the panel shows it")
    await desk.approvals().apply_all()
    ended = await outcome_of(desk.console, proposal_id)
    assert ended is not None
    assert (ended.state, ended.decided_by, ended.decided_from) == ("applied", "karima", "10.0.0.7")
    payment = (await desk.get(f"/v1/payments/{payment_id}")).body
    assert (payment["status"], payment["hold"], payment["version"]) == ("completed", None, 3)
    entries = (await desk.get(f"/v1/payments/{payment_id}/timeline")).body["entries"]
    (resolution,) = [one for one in entries if one["kind"] == "resolution"]
    assert (resolution["actor"], resolution["approved_by"]) == ("key:all (rahim)", "karima")
    assert await desk.trail(payment_id) == [
        ("key:all (rahim)", "proposal.made"),
        ("karima", "proposal.approved"),
        ("payproof", "proposal.applied"),
    ]


async def test_what_was_rejected_does_not_come_back_by_a_retry(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    path = f"/v1/payments/{payment_id}/resolve"
    made = (await desk.post(path, WISH)).body["proposal_id"]
    await reject(desk.console, made, by("karima"), "the panel shows nothing")
    again = await desk.post(path, WISH)
    assert (again.status, again.body["code"]) == (409, "proposal_rejected")
    assert again.body["detail"] == f"karima rejected it ({made}): the panel shows nothing"
    other = await desk.post(path, {**WISH, "reason": "the bank confirmed it"})
    assert other.status == 202, "another reason is another proposal"
    await reject(desk.console, other.body["proposal_id"], by("karima"))
    await desk.answered((await desk.get(f"/v1/payments/{payment_id}")).body, Status.COMPLETED, amount=Decimal("1.00"))
    assert (await desk.post(path, WISH)).status == 202, "on other facts it may be asked again"


async def test_with_operators_a_key_acts_as_itself_though_one_person_decides(dsn: str) -> None:
    """An operator's name that a caller writes proves nothing, whatever the limit."""
    console = Console(second_person_from="never", operators=(Operator(name="karima", role=OperatorRole.APPROVER),))
    async with connect(dsn, size=4) as database, serving(database, config=replace(CONFIG, console=console)) as shops:
        desk = Desk(shops.session, shops.url, shops.api, shops.checkout)
        payment_id = await desk.held("order-1")
        got = await desk.post(f"/v1/payments/{payment_id}/resolve", {**WISH, "actor": "karima"})
        assert got.status == 200
        entries = (await desk.get(f"/v1/payments/{payment_id}/timeline")).body["entries"]
        (resolution,) = [one for one in entries if one["kind"] == "resolution"]
        assert resolution["actor"] == "key:all (karima)"


async def test_a_resolution_with_an_idempotency_key_is_proposed_once(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    path, key = f"/v1/payments/{payment_id}/resolve", "decide-1"
    first = await desk.post(path, WISH, key=key)
    await reject(desk.console, first.body["proposal_id"], by("karima"))
    assert (await desk.post(path, WISH, key=key)).body == first.body
    other = await desk.post(path, {**WISH, "reason": "another"}, key=key)
    assert (other.status, other.body["code"]) == (409, "idempotency_conflict")


async def test_an_approval_wakes_the_worker_and_is_applied_within_the_wait_of_a_page(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    proposal = await desk.proposed(payment_id)
    approvals = desk.approvals()
    listening = asyncio.create_task(desk.worker.listen(approvals.on_wakeup, connected=_nothing))
    running = asyncio.create_task(approvals.run())
    try:
        await until(lambda: _listens(desk.worker), what="the worker to listen")
        await approve(desk.console, proposal.id, by("karima"))
        ended = await outcome_of(desk.console, proposal.id)
        assert ended is not None
        assert ended.state is ProposalState.APPLIED
    finally:
        approvals.stop()
        await running
        listening.cancel()


async def test_below_the_limit_one_person_decides_and_it_is_in_the_trail(desk: Desk) -> None:
    async with serving(desk.api.database, rules=replace(RULES, second_person_from=Decimal(5000))) as shops:
        payment_id = await desk.held("order-1")
        assert (await shops.post(f"/v1/payments/{payment_id}/resolve", WISH)).status == 200
    (record,) = await read_audit(desk.console, ["shop"], payment_id=payment_id)
    assert (record.origin.actor, record.action) == ("key:all (rahim)", "payment.resolved")
    assert record.why == WISH["reason"]
    assert record.origin.address == "127.0.0.1"
    assert record.detail == {"version": 2, "status": "completed"}
    assert await read_audit(desk.console, ["other"]) == [], "another merchant's operator sees nothing of it"


async def test_one_person_decides_in_the_console_below_the_limit_that_the_worker_knows(desk: Desk) -> None:
    for reference, limit, ends in (("order-1", "5000", "applied"), ("order-2", "0", "refused")):
        payment_id = await desk.held(reference)
        read = await read_for_decision(desk.console, payment_id)
        assert read is not None
        wanted = ResolutionRequest(status=Status.COMPLETED, actor="rahim", reason="seen")
        made = await propose(desk.console, read[0], wanted, by("rahim").origin, basis=basis_of(*read[:2]), alone=True)
        assert (made.state, made.decided_by) == (ProposalState.APPROVED, "rahim")
        rules = replace(RULES, second_person_from=Decimal(limit))
        await Approvals(desk.worker, PostgresLedger(desk.worker), rules).apply_all()
        ended = await outcome_of(desk.console, made.id)
        assert ended is not None
        assert ended.state == ends
        assert (await desk.hold_of(payment_id) is None) == (ends == "applied")


# -- races -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_", range(5))
async def test_of_many_who_decide_at_once_one_wins(desk: Desk, round_: int) -> None:
    payment_id = await desk.held(f"order-{round_}")
    proposal = await desk.proposed(payment_id)
    acts = [
        *(approve(desk.console, proposal.id, by(f"approver-{number}")) for number in range(3)),
        reject(desk.console, proposal.id, by("nobody-else")),
        withdraw(desk.console, proposal.id, by("rahim")),
    ]
    ended = await asyncio.gather(*acts, return_exceptions=True)
    won = [one for one in ended if isinstance(one, Proposal)]
    assert len(won) == 1, ended
    assert {one.code for one in ended if isinstance(one, ResolutionRefused)} == {"already_decided"}
    assert len(await desk.trail(payment_id)) == 2


async def test_workers_at_once_apply_an_approval_once(desk: Desk) -> None:
    ids = [await desk.held(f"order-{number}") for number in range(3)]
    for payment_id in ids:
        await approve(desk.console, (await desk.proposed(payment_id)).id, by("karima"))
    await asyncio.gather(*(desk.approvals().apply_all() for _ in range(4)))
    for payment_id in ids:
        (only,) = await proposals_of(desk.console, payment_id)
        assert only.state is ProposalState.APPLIED
        rows = await desk.console.fetch("SELECT type FROM events WHERE payment_id = $1 ORDER BY version", payment_id)
        assert [row["type"] for row in rows] == ["payment.opened", "payment.held", "payment.completed"]
        rows = await desk.console.fetch("SELECT id FROM resolutions WHERE payment_id = $1", payment_id)
        assert len(rows) == 1


async def test_a_worker_that_dies_before_its_commit_leaves_the_approval_to_the_next(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    proposal = await desk.proposed(payment_id)
    await approve(desk.console, proposal.id, by("karima"))
    with pytest.raises(Died):
        await apply_proposal(DyingLedger(desk.worker), TWO, (await approved_proposals(desk.worker))[0])
    assert await desk.hold_of(payment_id) == "amount_mismatch"
    assert [one.id for one in await approved_proposals(desk.worker)] == [proposal.id]
    await desk.approvals().apply_all()
    assert await desk.hold_of(payment_id) is None


async def test_an_answer_between_proposal_and_approval_makes_it_stale(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    proposal = await desk.proposed(payment_id)
    payment = (await desk.get(f"/v1/payments/{payment_id}")).body
    await desk.answered(payment, Status.COMPLETED, amount=Decimal("1.00"))
    assert await refused(approve(desk.console, proposal.id, by("karima"))) == "version_conflict"
    newer = await desk.proposed(payment_id, reason="looked again")
    assert newer.id != proposal.id
    first = await read_proposal(desk.console, proposal.id)
    assert first is not None
    assert first.state is ProposalState.LAPSED, "a proposal for what was before makes room"


async def test_an_answer_between_approval_and_its_application_refuses_it_in_words(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    proposal = await desk.proposed(payment_id)
    await approve(desk.console, proposal.id, by("karima"))
    payment = (await desk.get(f"/v1/payments/{payment_id}")).body
    await desk.answered(payment, Status.COMPLETED, amount=Decimal("1.00"))
    await desk.approvals().apply_all()
    ended = await outcome_of(desk.console, proposal.id)
    assert ended is not None
    assert (ended.state, ended.refusal_code) == (ProposalState.REFUSED, "version_conflict")
    assert "look at it again" in (ended.refusal or "")
    assert await desk.hold_of(payment_id) == "amount_mismatch"
    assert (await desk.trail(payment_id))[-1] == ("payproof", "proposal.refused")


async def test_a_proposal_about_a_payment_that_is_no_longer_held_lapses(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    proposal = await desk.proposed(payment_id)
    assert await lapse_stale(desk.worker) == 0
    wish = ResolutionRequest(status=Status.FAILED, actor="owner", reason="before there were two")
    await resolve_payment(desk.api.ledger, RULES, payment_id, wish)
    assert await lapse_stale(desk.worker) == 1
    lapsed = await read_proposal(desk.console, proposal.id)
    assert lapsed is not None
    assert lapsed.state is ProposalState.LAPSED
    assert await refused(approve(desk.console, proposal.id, by("karima"))) == "already_decided"


async def test_one_proposal_of_a_payment_waits_at_a_time(desk: Desk) -> None:
    payment_id = await desk.held("order-1")
    first = await desk.proposed(payment_id)
    assert (await desk.proposed(payment_id)).id == first.id
    assert await refused(desk.proposed(payment_id, status=Status.FAILED)) == "proposal_open"
    got = await desk.post(f"/v1/payments/{payment_id}/resolve", {**WISH, "actor": "selim"})
    assert got.problem == (409, "proposal_open", None)
    assert "rahim proposed" in got.body["detail"]
    await withdraw(desk.console, first.id, by("rahim"))
    assert (await desk.proposed(payment_id, status=Status.FAILED)).id != first.id


async def test_a_fault_of_ours_keeps_no_other_waiting_and_ends_after_a_few_tries(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await desk.held("order-1"), await desk.held("order-2")
    for payment_id in (bad, good):
        await approve(desk.console, (await desk.proposed(payment_id)).id, by("karima"))
    approvals = Approvals(desk.worker, FailingLedger(desk.worker, bad), TWO)
    await approvals.apply_all()
    assert (await desk.hold_of(good), await desk.hold_of(bad)) == (None, "amount_mismatch")
    for _ in range(4):
        await approvals.apply_all()
    (ended,) = await proposals_of(desk.console, bad)
    assert (ended.state, ended.refusal_code) == (ProposalState.REFUSED, "failed")


async def test_a_locked_payment_keeps_no_other_waiting(desk: Desk, dsn: str) -> None:
    locked, free = await desk.held("order-1"), await desk.held("order-2")
    for payment_id in (locked, free):
        await approve(desk.console, (await desk.proposed(payment_id)).id, by("karima"))
    holding = await asyncpg.connect(dsn)
    try:
        async with holding.transaction():
            await holding.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", locked)
            await desk.approvals().apply_all()
            assert (await desk.hold_of(free), await desk.hold_of(locked)) == (None, "amount_mismatch")
    finally:
        await holding.close()
    await desk.approvals().apply_all()
    assert await desk.hold_of(locked) is None


@pytest.mark.parametrize("alone", [True, False])
async def test_a_payment_that_changes_while_it_is_decided_about_is_told_in_words(desk: Desk, alone: bool) -> None:
    """The payment is another once it was read, and before the decision is written."""
    payment = await desk.opened(account="shop-ipay", reference="order-1")
    await desk.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
    read = await read_for_decision(desk.console, payment["payment_id"])
    assert read is not None
    await desk.answered(payment, Status.FAILED)
    wanted = ResolutionRequest(**{**WISH, "status": Status.COMPLETED})
    work = propose(desk.console, read[0], wanted, by("rahim").origin, basis=basis_of(*read[:2]), alone=alone)
    if alone:
        assert await refused(work) == "version_conflict"
    else:
        assert await refused(approve(desk.console, (await work).id, by("karima"))) == "version_conflict"
    assert (await desk.get(f"/v1/payments/{payment['payment_id']}")).body["status"] == "failed"


# -- SQL ---------------------------------------------------------------------------------------------------------------

MADE = "id, payment_id, merchant, version, basis, status, reason, proposed_by, proposed_via, proposed_key"
FOREIGN = "'other'"
OTHER = "'prop_2', payment_id, merchant, version, '', 'failed', 'x', 'karima'"

FORGED = [
    "UPDATE proposals SET state = 'approved', decided_by = 'rahim', decided_at = now()",
    "UPDATE proposals SET state = 'approved', decided_by = ' Rahim', decided_at = now()",
    "UPDATE proposals SET state = 'approved'",
    "UPDATE proposals SET state = 'applied', decided_by = 'karima', decided_at = now(), ended_at = now()",
    "UPDATE proposals SET alone = true, state = 'approved', decided_by = 'rahim', decided_at = now()",
    "UPDATE proposals SET status = 'failed'",
    "UPDATE proposals SET proposed_by = 'another'",
    "UPDATE proposals SET version = 9",
    "DELETE FROM proposals",
    "TRUNCATE proposals CASCADE",
    (
        "INSERT INTO proposals (id, payment_id, merchant, version, basis, status, reason, proposed_by, proposed_via,"
        " state, decided_by, decided_at) VALUES ('prop_2', 'pay_2', 'shop', 1, '', 'completed', 'x', 'a', 'api',"
        " 'approved', 'b', now())"
    ),
    (
        "INSERT INTO proposals (id, payment_id, merchant, version, basis, status, reason, proposed_by, proposed_via)"
        " SELECT 'prop_2', payment_id, 'shop', 1, '', 'completed', 'x', 'a', 'api' FROM proposals"
    ),
    "UPDATE audit SET actor = 'another'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "UPDATE proposals SET state = 'approved', decided_by = 'r\u0430him', decided_at = now()",
    "UPDATE proposals SET state = 'approved', decided_by = 'rahim\u200b', decided_at = now()",
    "UPDATE proposals SET state = 'approved', decided_by = 'key:shop', decided_at = now()",
    f"INSERT INTO proposals ({MADE}) SELECT {OTHER}, 'api', NULL FROM proposals",
    f"INSERT INTO proposals ({MADE}) SELECT {OTHER}, 'api', 'shop' FROM proposals",
    f"INSERT INTO proposals ({MADE}) SELECT {OTHER.replace('merchant', FOREIGN)}, 'command', NULL FROM proposals",
    "INSERT INTO audit (actor, via, action) VALUES ('karima', 'api', 'payment.resolved')",
    "INSERT INTO audit (actor, via, key, action) VALUES ('karima', 'api', 'shop', 'payment.resolved')",
    "INSERT INTO audit (actor, via, action) VALUES ('karima', 'worker', 'proposal.applied')",
    "INSERT INTO audit (actor, via, action) VALUES ('karima', 'command', 'proposal.approved')",
    (
        "INSERT INTO resolutions (payment_id, at, resolution) SELECT payment_id, now(), jsonb_build_object('status',"
        " 'completed', 'actor', 'rahim', 'reason', 'x', 'approved_by', 'karima') FROM proposals"
    ),
    (
        "INSERT INTO resolutions (payment_id, at, resolution) SELECT payment_id, now(), jsonb_build_object('status',"
        " 'completed', 'actor', 'rahim', 'approved_by', 'karima', 'proposal_id', id) FROM proposals"
    ),
]


@pytest.mark.parametrize("statement", FORGED)
async def test_not_even_the_owner_of_the_tables_forges_a_decision(desk: Desk, dsn: str, statement: str) -> None:
    await desk.proposed(await desk.held("order-1"))
    owner = await asyncpg.connect(dsn)
    try:
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError)):
            await owner.execute(statement)
    finally:
        await owner.close()


DECIDED_ONCE = [
    "UPDATE proposals SET decided_by = 'another'",
    "UPDATE proposals SET state = 'open', decided_by = NULL, decided_at = NULL",
    "UPDATE proposals SET state = 'rejected', ended_at = now()",
    "UPDATE proposals SET decided_at = now() - interval '1 day'",
]


@pytest.mark.parametrize("statement", DECIDED_ONCE)
async def test_what_is_decided_stays_decided(desk: Desk, dsn: str, statement: str) -> None:
    proposal = await desk.proposed(await desk.held("order-1"))
    await approve(desk.console, proposal.id, by("karima"))
    owner = await asyncpg.connect(dsn)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(statement)
    finally:
        await owner.close()


NOT_THEIRS = {
    "ingress": [
        "UPDATE proposals SET state = 'approved', decided_by = 'karima', decided_at = now()",
        "SELECT actor FROM audit",
        "SELECT body FROM evidence",
        f"INSERT INTO proposals ({MADE}) SELECT {OTHER}, 'console', NULL FROM proposals",
        "UPDATE proposals SET state = 'withdrawn', ended_at = now()",
        "INSERT INTO audit (actor, via, action) VALUES ('karima', 'console', 'proposal.approved')",
        "INSERT INTO audit (actor, via, action) VALUES ('payproof', 'worker', 'proposal.applied')",
        "INSERT INTO audit (id, actor, via, action) OVERRIDING SYSTEM VALUE VALUES (1, 'payproof', 'worker', 'a')",
        "UPDATE audit SET actor = 'karima'",
        "DELETE FROM audit",
    ],
    "worker": [
        "UPDATE proposals SET state = 'approved', decided_by = 'karima', decided_at = now()",
        "INSERT INTO proposals (id) VALUES ('a')",
        "INSERT INTO resolutions (payment_id, at, resolution) VALUES ('a', now(), '{}')",
        "SELECT body FROM evidence",
        "INSERT INTO audit (actor, via, action) VALUES ('karima', 'console', 'proposal.approved')",
        "INSERT INTO audit (actor, via, action) VALUES ('karima', 'command', 'payment.resolved')",
        "INSERT INTO audit (actor, via, key, action) VALUES ('key:shop (a)', 'api', 'shop', 'payment.resolved')",
        "UPDATE audit SET actor = 'karima'",
        "UPDATE proposals SET state = 'withdrawn', ended_at = now()",
    ],
    "console": [
        "INSERT INTO resolutions (payment_id, at, resolution) VALUES ('a', now(), '{}')",
        "UPDATE payments SET status = 'completed'",
        "UPDATE proposals SET proposed_by = 'another'",
        "UPDATE evidence SET body = ''",
        "DELETE FROM evidence",
        "DELETE FROM audit",
        "UPDATE proposals SET state = 'applied', ended_at = now()",
        f"INSERT INTO proposals ({MADE}) SELECT {OTHER.replace('karima', 'key:a (b)')}, 'api', 'a' FROM proposals",
        "INSERT INTO audit (actor, via, key, action) VALUES ('key:shop (a)', 'api', 'shop', 'payment.resolved')",
    ],
    "reader": ["INSERT INTO audit (actor, via, action) VALUES ('a', 'b', 'c')", "SELECT body FROM evidence"],
}


def forged_again(proposal: Proposal) -> str:
    return (
        "INSERT INTO resolutions (payment_id, at, resolution) SELECT payment_id, now(), jsonb_build_object("
        "'status', status, 'actor', proposed_by, 'reason', reason, 'approved_by', decided_by, 'proposal_id', id)"
        f" FROM proposals WHERE id = '{proposal.id}'"
    )


@pytest.mark.parametrize("group", ["ingress", "worker"])
async def test_what_was_approved_is_applied_once_and_by_a_worker(desk: Desk, dsn: str, group: str) -> None:
    proposal = await desk.proposed(await desk.held("order-1"))
    await approve(desk.console, proposal.id, by("karima"))
    session = await asyncpg.connect(as_user(dsn, f"app_{group}"))
    try:
        if group == "ingress":
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="applies no proposal"):
                await session.execute(forged_again(proposal))
            return
        with pytest.raises(asyncpg.CheckViolationError, match="not what was approved"):
            await session.execute(forged_again(proposal).replace("reason, 'app", "'other', 'app"))
        await session.execute(forged_again(proposal))
        with pytest.raises(asyncpg.CheckViolationError, match="applied already"):
            await session.execute(forged_again(proposal))
    finally:
        await session.close()


async def test_a_stale_proposal_is_not_approved_in_sql_either(desk: Desk, dsn: str) -> None:
    payment_id = await desk.held("order-1")
    await desk.proposed(payment_id)
    await resolve_payment(
        desk.api.ledger, RULES, payment_id, ResolutionRequest(status=Status.FAILED, actor="owner", reason="x")
    )
    session = await asyncpg.connect(as_user(dsn, "app_console"))
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="is stale"):
            await session.execute("UPDATE proposals SET state = 'approved', decided_by = 'karima', decided_at = now()")
    finally:
        await session.close()


@pytest.mark.parametrize("name", ["RAHIM", " rahim ", "\uff52ahim", "all"])
async def test_who_asked_by_the_api_does_not_approve_under_another_spelling(desk: Desk, name: str) -> None:
    payment_id = await desk.held("order-1")
    got = await desk.post(f"/v1/payments/{payment_id}/resolve", WISH)
    assert got.body["proposed_by"] == "key:all (rahim)", "no person is named as if they had signed in"
    assert await refused(approve(desk.console, got.body["proposal_id"], by(name))) == "own_proposal"


@pytest.mark.parametrize("group", NOT_THEIRS)
async def test_no_login_does_what_is_not_its_part_of_a_decision(desk: Desk, dsn: str, group: str) -> None:
    await desk.proposed(await desk.held("order-1"))
    session = await asyncpg.connect(as_user(dsn, f"app_{group}"))
    try:
        for statement in NOT_THEIRS[group]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(statement)
    finally:
        await session.close()


# -- evidence ----------------------------------------------------------------------------------------------------------


async def test_a_file_is_encrypted_and_the_resolution_names_its_digest(desk: Desk) -> None:
    payment_id, cipher, file = await desk.held("order-1"), ArchiveCipher([b"k" * 32]), evidence_file("a/b/c.png", PNG)
    read = await read_for_decision(desk.console, payment_id)
    assert read is not None
    wanted = ResolutionRequest(status=Status.COMPLETED, actor="rahim", reason="seen", evidence="page 3")
    made = await propose(
        desk.console, read[0], wanted, by("rahim").origin, basis=basis_of(*read[:2]), file=file, cipher=cipher
    )
    assert made.evidence == f"page 3; file SHA-256 {file.digest.hex()}"
    stored = await desk.console.fetch("SELECT body, key_id FROM evidence")
    assert PNG not in stored[0]["body"]
    assert await read_file(desk.console, made.id, cipher) == file
    with pytest.raises(NotDecrypted):
        await read_file(desk.console, made.id, ArchiveCipher([b"x" * 32]))
    await approve(desk.console, made.id, by("karima"))
    await desk.approvals().apply_all()
    entries = (await desk.get(f"/v1/payments/{payment_id}/timeline")).body["entries"]
    assert [one["evidence"] for one in entries if one["kind"] == "resolution"] == [made.evidence]


@pytest.mark.parametrize("body", [b"", b"\x00\x01", b"MZ program", "<svg/>".encode("utf-16"), b"%" * (MOST_BYTES + 1)])
def test_a_file_that_is_none_of_ours_is_refused_in_words(body: bytes) -> None:
    if body == b"MZ program":
        body += b"\x90\x00"
    with pytest.raises(FileRefused):
        evidence_file("x", body)


async def test_what_people_wrote_goes_with_the_payment_and_the_trail_stays(desk: Desk, dsn: str) -> None:
    payment_id = await desk.held("order-1")
    read = await read_for_decision(desk.console, payment_id)
    assert read is not None
    wanted = ResolutionRequest(status=Status.FAILED, actor="rahim", reason="not there")
    made = await propose(
        desk.console, read[0], wanted, by("rahim").origin, basis=basis_of(*read[:2]), file=evidence_file("c.png", PNG)
    )
    await approve(desk.console, made.id, by("karima"))
    await desk.approvals().apply_all()
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute("SET session_replication_role = replica")  # 400 days ago, for a row that only moves on
        for table, column in (("payments", "opened_at"), ("events", "time"), ("resolutions", "at")):
            await owner.execute(f"UPDATE {table} SET {column} = {column} - interval '400 days'")
        await owner.execute(
            "UPDATE payments SET asked_at = NULL, checked_at = NULL, completed_at = NULL, next_check_at = NULL"
        )
        await owner.execute("UPDATE events SET place = version")
        await owner.execute("INSERT INTO relays (name, place) VALUES ('retention', 100) ON CONFLICT DO NOTHING")
        await owner.execute("SET session_replication_role = origin")
        row = await owner.fetchrow(
            "SELECT * FROM delete_old_payments('shop', $1, 100, '-infinity', '')", timedelta(days=370)
        )
        assert row is not None
        assert row["deleted"] == 1
    finally:
        await owner.close()
    assert await proposals_of(desk.console, payment_id) == []
    assert await desk.console.fetch("SELECT proposal_id FROM evidence") == []
    assert [action for _, action in await desk.trail(payment_id)][-1] == "proposal.applied"


# -- helpers -----------------------------------------------------------------------------------------------------------


class Died(Exception):
    """The process ended here."""


class DyingLedger(PostgresLedger):
    """A ledger whose process dies before each commit."""

    def batch(self, payment_ids: Any) -> Any:
        return _Dying(super().batch(payment_ids))


class _Dying:
    def __init__(self, batch: Any) -> None:
        self._batch = batch

    async def __aenter__(self) -> Any:
        opened = await self._batch.__aenter__()

        async def commit() -> None:
            raise Died

        opened.commit = commit
        return opened

    async def __aexit__(self, *error: object) -> Any:
        return await self._batch.__aexit__(*error)


class FailingLedger(PostgresLedger):
    """A ledger that fails for one payment."""

    def __init__(self, database: Database, payment_id: str) -> None:
        super().__init__(database)
        self._bad = payment_id

    def batch(self, payment_ids: Any) -> Any:
        if self._bad in payment_ids:
            raise RuntimeError("a fault of ours")
        return super().batch(payment_ids)


async def _nothing() -> None:
    pass


async def _listens(database: Database) -> bool | None:
    session = "SELECT pid FROM pg_stat_activity WHERE query ILIKE 'LISTEN %' AND datname = current_database()"
    return bool(await database.fetch(session)) or None
