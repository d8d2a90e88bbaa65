"""The pages on which people decide, over HTTP: two people, one below the limit, and nobody of another merchant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from consumers.commands.basis import basis_of
from consumers.commands.resolve import ResolutionRequest
from consumers.commands.two_people import key_actor
from schemas.proposals import Origin, ProposalState
from schemas.words import Status
from tests.consoles import OPERATORS, PASSWORD, Answer, Console, Signed, running_console
from tests.integration.shops import CONFIG, RULES, Shops
from worker.config import console as config_console
from worker.console.pages import approvals_page, held_page
from worker.console.visit import form_token
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.proposal_reads import proposals_of, read_proposal
from worker.postgres.proposal_rows import propose
from worker.postgres.reads.snapshots import read_for_decision
from worker.runtime import idle_roles
from worker.verify.approvals import Approvals

CHOICE = {"status": "completed", "reason": "The panel shows it", "evidence": "page 3"}
PNG = b"\x89PNG\r\n\x1a\n a page of the statement"


class Office:
    """A console, the API behind it, and a worker that applies what is approved, with the console's limit."""

    def __init__(self, console: Console, shops: Shops, limit: Decimal | None) -> None:
        self.console, self.shops = console, shops
        rules = replace(RULES, second_person_from=limit)
        self.approvals = Approvals(shops.database, PostgresLedger(shops.database), rules)

    async def held(self, reference: str = "order-1") -> str:
        payment = await self.shops.opened(account="shop-ipay", reference=reference)
        await self.shops.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
        return str(payment["payment_id"])

    async def chosen(self, signed: Signed, payment_id: str, **changes: str) -> dict[str, str]:
        """The fields of the second step's form, as the page has them."""
        answer = await signed.post(f"/held/{payment_id}/preview", CHOICE | changes)
        assert answer.status == 200, answer.text[-2000:]
        return hidden(answer.text)

    async def proposed(self, signed: Signed, payment_id: str, **changes: str) -> str:
        """The path of the proposal's page."""
        fields = await self.chosen(signed, payment_id, **changes)
        answer = await signed.post(f"/held/{payment_id}", {**fields, "confirm": PASSWORD})
        assert answer.status == 303, answer.text[-2000:]
        return answer.location or ""

    async def payment(self, payment_id: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.shops.get(f"/v1/payments/{payment_id}")).body
        return body


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: value for name, value in found if name != "token"}


@pytest.fixture(params=["0.00"])
async def office(request: pytest.FixtureRequest, database: Database, shops: Shops) -> AsyncIterator[Office]:
    settings = config_console.Console(operators=OPERATORS, second_person_from=request.param)
    async with running_console(database, config=CONFIG, console=settings) as console:
        office = Office(console, shops, settings.second_person_limit)
        running = asyncio.create_task(office.approvals.run())
        database._wakeups.on_wakeup = office.approvals.on_wakeup
        yield office
        office.approvals.stop()
        await running


async def test_one_proposes_cannot_approve_it_and_another_does(office: Office) -> None:
    payment_id = await office.held()
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    first = await abida.get(f"/held/{payment_id}")
    assert "15.00" in first.text
    assert "1,500.50" in first.text
    second = await abida.post(f"/held/{payment_id}/preview", CHOICE)
    assert "payment.completed, version 3" in second.text
    assert "Two people decide" in second.text
    assert (await office.payment(payment_id))["hold"] == "amount_mismatch"
    path = await office.proposed(abida, payment_id)
    own = await abida.get(path)
    assert "You proposed it" in own.text
    assert "/approve" not in own.text
    forced = await abida.post(f"{path}/approve", {"confirm": PASSWORD})
    assert (forced.status, "Nobody decides about their own proposal" in forced.text) == (409, True)
    assert (await office.payment(payment_id))["hold"] == "amount_mismatch"
    listed = await anis.get("/approvals")
    assert path in listed.text
    assert "payment.completed, version 3" in (await anis.get(path)).text
    approved = await anis.post(f"{path}/approve", {"confirm": PASSWORD, "why": "seen too"})
    assert (approved.status, approved.location) == (303, path)
    assert "It is applied: the payment is resolved." in (await anis.get(path)).text, "the page waited for the outcome"
    after = await office.payment(payment_id)
    assert (after["status"], after["hold"], after["version"]) == ("completed", None, 3)
    trail = (await (await office.console.signed_in("vera")).get("/audit")).text
    for act in ("proposed a resolution", "approved it", "applied it"):
        assert act in trail
    assert "127.0.0.1" in trail
    assert "seen too" in trail


async def test_what_nobody_applies_is_said_with_what_to_do(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.approvals.stop()
    payment_id = await office.held()
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    path = await office.proposed(abida, payment_id)
    assert (await anis.post(f"{path}/approve", {"confirm": PASSWORD})).status == 303
    waits = (await anis.get(path)).text
    assert "It is approved, and about to be applied." in waits
    assert "No process" not in waits
    monkeypatch.setattr(idle_roles, "PATIENCE", timedelta(seconds=1))  # the page has waited 2 s for the outcome
    assert "No process with the role consume has taken it for " in (await anis.get(path)).text


async def test_another_rejects_it_and_its_proposer_withdraws_another(office: Office) -> None:
    omar, abida = await office.console.signed_in("omar"), await office.console.signed_in("abida")
    one, two = await office.held("order-1"), await office.held("order-2")
    first, second = await office.proposed(omar, one), await office.proposed(omar, two)
    assert (await omar.post(f"{first}/reject", {"confirm": PASSWORD})).status == 403, "an operator decides nothing"
    assert (await abida.post(f"{first}/reject", {"confirm": PASSWORD, "why": "not there"})).status == 303
    assert (await abida.post(f"{second}/withdraw")).status == 409
    assert (await omar.post(f"{second}/withdraw")).status == 303
    states = [(await proposals_of(office.shops.database, payment_id))[0].state for payment_id in (one, two)]
    assert states == [ProposalState.REJECTED, ProposalState.WITHDRAWN]
    for payment_id in (one, two):
        assert (await office.payment(payment_id))["hold"] == "amount_mismatch"


@pytest.mark.parametrize("confirm", ["", "wrong"])
async def test_a_decision_needs_the_password_again(office: Office, confirm: str) -> None:
    payment_id = await office.held()
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    fields = await office.chosen(abida, payment_id)
    assert (await abida.post(f"/held/{payment_id}", {**fields, "confirm": confirm})).status == 403
    assert await proposals_of(office.shops.database, payment_id) == []
    path = await office.proposed(abida, payment_id)
    assert (await anis.post(f"{path}/approve", {"confirm": confirm})).status == 403
    assert (await proposals_of(office.shops.database, payment_id))[0].state is ProposalState.OPEN


async def test_what_changed_between_the_two_steps_is_not_decided(office: Office) -> None:
    payment_id = await office.held()
    abida = await office.console.signed_in("abida")
    fields = await office.chosen(abida, payment_id)
    await office.shops.answered(await office.payment(payment_id), Status.COMPLETED, amount=Decimal("1.00"))
    answer = await abida.post(f"/held/{payment_id}", {**fields, "confirm": PASSWORD})
    assert (answer.status, "The payment changed" in answer.text) == (409, True)
    assert await proposals_of(office.shops.database, payment_id) == []


async def test_a_stale_proposal_is_shown_as_one_and_refused(office: Office) -> None:
    payment_id = await office.held()
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    path = await office.proposed(abida, payment_id)
    await office.shops.answered(await office.payment(payment_id), Status.COMPLETED, amount=Decimal("1.00"))
    page = await anis.get(path)
    assert "The payment changed" in page.text
    assert f"{path}/approve" not in page.text
    assert (await anis.post(f"{path}/approve", {"confirm": PASSWORD})).status == 409


@pytest.mark.parametrize("office", ["5000.00", "never"], indirect=True)
async def test_below_the_limit_one_person_decides_and_sees_the_outcome(office: Office) -> None:
    payment_id = await office.held()
    omar = await office.console.signed_in("omar")
    page = await omar.post(f"/held/{payment_id}/preview", CHOICE)
    assert "You decide alone" in page.text
    path = await office.proposed(omar, payment_id)
    assert "It is applied: the payment is resolved." in (await omar.get(path)).text
    assert (await office.payment(payment_id))["hold"] is None
    acts = [one.action for one in await read_audit(office.shops.database, None, payment_id=payment_id)]
    assert acts == ["proposal.applied", "proposal.approved", "proposal.made"]


async def test_what_is_wrong_with_a_choice_is_said_and_the_rest_is_kept(office: Office) -> None:
    payment_id = await office.held()
    abida = await office.console.signed_in("abida")
    answer = await abida.post(
        f"/held/{payment_id}/preview", {"reason": "", "evidence": "kept words", "status": "completed"}
    )
    assert answer.status == 422
    assert "kept words" in answer.text
    lower = await abida.post(f"/held/{payment_id}/preview", CHOICE | {"transaction_id": "two words"})
    assert lower.status == 422


async def test_a_file_is_kept_with_the_proposal_and_given_out_to_be_saved(office: Office) -> None:
    payment_id = await office.held()
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    fields = await office.chosen(abida, payment_id)
    refused = await posted_file(abida, payment_id, fields, b"<svg/>\x00")
    assert (refused.status, await proposals_of(office.shops.database, payment_id)) == (422, [])
    made = await posted_file(abida, payment_id, fields, PNG)
    path = made.location or ""
    assert f"{path}/file" in (await anis.get(path)).text
    got = await anis.get(f"{path}/file")
    assert got.headers["Content-Type"] == "image/png"
    assert got.headers["Content-Disposition"].startswith("attachment; ")
    assert "a page of the statement" in got.text
    acts = [one.action for one in await read_audit(office.shops.database, None, payment_id=payment_id)]
    assert acts[0] == "evidence.read"
    vera, aziz = await office.console.signed_in("vera"), await office.console.signed_in("aziz")
    assert (await aziz.get(f"{path}/file")).status == 200
    assert (await vera.get(f"{path}/file")).status == 403, "it may hold a buyer's data"
    page = (await vera.get(path)).text
    assert f"{path}/file" not in page
    assert "for the roles operator, approver and auditor" in page


async def test_a_proposal_whose_account_left_the_configuration_is_shown_and_can_be_ended(office: Office) -> None:
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    paths = [await office.proposed(abida, await office.held(f"order-{number}")) for number in range(2)]
    merchants = [
        replace(one, accounts=tuple(each for each in one.accounts if each.id != "shop-ipay"))
        for one in CONFIG.merchants
    ]
    config = replace(CONFIG, merchants=tuple(merchants))
    settings = config_console.Console(operators=OPERATORS)
    async with running_console(office.shops.database, config=config, console=settings) as without:
        office.console.url = abida.url = anis.url = without.url
        page = await anis.get(paths[0])
        assert page.status == 200
        assert "no longer configured" in page.text
        assert f'action="{paths[0]}/reject"' in page.text
        assert f'action="{paths[0]}/approve"' not in page.text
        assert f'action="{paths[1]}/withdraw"' in (await abida.get(paths[1])).text
        assert (await anis.post(f"{paths[0]}/reject", {"confirm": PASSWORD})).status == 303
        assert (await abida.post(f"{paths[1]}/withdraw")).status == 303
        found = [await read_proposal(office.shops.database, path.removeprefix("/approvals/")) for path in paths]
        assert [one and one.state for one in found] == [ProposalState.REJECTED, ProposalState.WITHDRAWN]


@pytest.mark.parametrize(
    "typed", ["file SHA-256 3f", "File  sha\u2010256: 3f", "FILE_SHA256 3f", "ｆｉｌｅ SHA-256 3f"]
)
async def test_typed_words_pass_for_no_file(office: Office, typed: str) -> None:
    payment_id, abida = await office.held(), await office.console.signed_in("abida")
    answer = await abida.post(f"/held/{payment_id}/preview", CHOICE | {"evidence": f"page 3; {typed}"})
    assert answer.status == 422
    assert "payproof writes that for a file that it keeps" in answer.text
    wish = {"status": "completed", "actor": "rahim", "reason": "seen", "evidence": f"page 3; {typed}"}
    got = await office.shops.post(f"/v1/payments/{payment_id}/resolve", wish)
    assert got.problem == (422, "invalid_request", "evidence")
    assert await proposals_of(office.shops.database, payment_id) == []


async def test_a_file_is_shown_by_its_row_and_not_by_what_the_evidence_says(office: Office) -> None:
    payment_id, abida = await office.held(), await office.console.signed_in("abida")
    path = await office.proposed(abida, payment_id, evidence="page 3")
    await office.shops.database.execute("ALTER TABLE proposals DISABLE TRIGGER USER")
    await office.shops.database.execute("UPDATE proposals SET evidence = 'page 3; file SHA-256 3f'")
    assert f"{path}/file" not in (await abida.get(path)).text


async def test_approvals_go_on_to_their_end(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals_page, "MOST_SHOWN", 2)
    abida = await office.console.signed_in("abida")
    made = [await office.proposed(abida, await office.held(f"order-{number}")) for number in range(5)]
    seen, path = list[str](), "/approvals"
    for _ in range(4):
        text = (await abida.get(path)).text
        seen += re.findall(r'<a href="(/approvals/prop_[0-9a-f]+)"', text)
        onward = re.search(r'href="(/approvals\?after=[^"]+)">Further', text)
        if onward is None:
            break
        path = unescape(onward[1])
    assert seen == made
    for wrong in ("x", "0001-01-01T00:00:00%2B14:00 prop_", "2026-11-30T00:00:00%2B00:00 %00"):
        assert (await abida.get(f"/approvals?after={wrong}")).status == 200


async def test_held_says_who_has_a_payment_however_many_proposals_wait(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_page, "MOST_SHOWN", 1)
    abida = await office.console.signed_in("abida")
    await office.proposed(abida, await office.held("order-1"))
    assert "abida" in (await abida.get("/held")).text


async def test_approvals_say_which_way_a_proposal_came_and_when_nobody_can_approve_it(office: Office) -> None:
    ids = [await office.held(reference) for reference in ("order-1", "order-2")]
    abida, anis = await office.console.signed_in("abida"), await office.console.signed_in("anis")
    await office.proposed(abida, ids[0])
    read = await read_for_decision(office.shops.database, ids[1])
    assert read is not None
    wish = ResolutionRequest(status=Status.COMPLETED, actor="abida", reason="x")
    by = Origin(actor=key_actor("all", "abida"), via="api", key="all", address="10.0.0.1")
    made = await propose(office.shops.database, read[0], wish, by, basis=basis_of(*read[:2]))
    office.approvals.stop()  # a worker that runs lets it lapse within seconds
    text = (await anis.get("/approvals")).text
    assert "console, 127.0.0.1" in text
    assert "key:all (abida)" in text
    assert "API, key all" in text
    assert "nobody can approve it" not in text
    payment = (await office.shops.get(f"/v1/payments/{ids[1]}")).body
    await office.shops.answered(payment, Status.COMPLETED, amount=Decimal("1.00"), currency="USD")
    for there in ("/approvals", f"/approvals/{made.id}"):
        assert "nobody can approve it" in (await anis.get(there)).text, there


async def test_an_operator_of_another_merchant_sees_nothing_and_decides_nothing(office: Office) -> None:
    payment_id = await office.held()
    path = await office.proposed(await office.console.signed_in("abida"), payment_id)
    other = await office.console.signed_in("onlyother")
    for page in ("/held", "/approvals", "/audit"):
        text = (await other.get(page)).text
        assert payment_id not in text
        assert "order-1" not in text
    for there in (f"/held/{payment_id}", path, f"{path}/file"):
        assert (await other.get(there)).status == 404, there
    for there, fields in (
        (f"/held/{payment_id}/preview", CHOICE),
        (f"/held/{payment_id}", {**CHOICE, "basis": "x", "confirm": PASSWORD}),
        (f"{path}/approve", {"confirm": PASSWORD}),
        (f"{path}/reject", {"confirm": PASSWORD}),
        (f"{path}/withdraw", {}),
    ):
        assert (await other.post(there, fields)).status == 404, there


@pytest.mark.parametrize("path", ["/held/pay_x", "/held/%00", "/approvals/prop_x", "/approvals/%00", "/audit?before=x"])
async def test_an_id_that_there_is_not_is_a_page_in_words(office: Office, path: str) -> None:
    answer = await (await office.console.signed_in("vera")).get(path)
    assert answer.status == (200 if "audit" in path else 404)


async def test_held_tells_the_sum_what_differs_and_who_has_each(office: Office) -> None:
    vera, omar = await office.console.signed_in("vera"), await office.console.signed_in("omar")
    assert "Nothing is held" in (await vera.get("/held")).text
    one, two = await office.held("order-1"), await office.held("order-2")
    path = await office.proposed(omar, one)
    page = (await vera.get("/held")).text
    assert "2 payments are held, BDT 3,001.00 in all" in page
    assert "Amount 15.00, expected 1500.50" in page
    assert path in page
    assert "omar proposed: completed" in page
    assert "Your role only reads" in (await vera.get(f"/held/{two}")).text
    assert "আটকে" in (await vera.get("/held?lang=bn")).text


async def posted_file(signed: Signed, payment_id: str, fields: dict[str, str], body: bytes) -> Answer:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("confirm", PASSWORD)
    form.add_field("token", form_token(signed.token))
    form.add_field("file", body, filename="page.png", content_type="image/png")
    return await signed._request(
        "POST", f"/held/{payment_id}", {"Origin": signed.url, "Sec-Fetch-Site": "same-origin"}, form
    )
