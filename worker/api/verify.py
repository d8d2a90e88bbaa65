"""POST verify and resolve: ask the gateway at once, and record a person's decision on a held payment."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from msgspec.structs import replace

from consumers.commands.resolve import ResolutionRefused, ResolutionRequest
from consumers.commands.two_people import key_actor
from schemas.audit import AuditRecord
from schemas.payments import Payment
from schemas.proposals import Origin, Proposal
from schemas.requests import RESOLUTION
from schemas.responses import ProposalView
from schemas.shown import view
from schemas.words import Source, Status
from worker.api.auth import caller_of
from worker.api.bodies import read_fields
from worker.api.context import Api
from worker.api.idempotency import once
from worker.api.problems import ApiReply, Problem, json_reply
from worker.api.read import payment_of_path
from worker.postgres.audit_rows import note_act
from worker.postgres.deciding import decide
from worker.verify.own_claims import own_claim


class Asking:
    """The two handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def verify(self, request: web.Request) -> web.Response:
        """Publish a claim, durably, and answer with the payment as it was before the question."""
        payment = await self._payment(request)
        now = self._api.database.clock.now()
        key = caller_of(request).key.name
        origin = Origin(actor=key_actor(key, "no name given"), via="api", address=self._api.address(request), key=key)
        asked = AuditRecord(origin=origin, action="payment.verified", merchant=payment.merchant, payment_id=payment.id)
        await note_act(self._api.database, asked)
        claim = own_claim(Source.OPERATOR, payment.id, payment.account, payment.provider, now)
        await self._api.bus.publish([claim])
        return json_reply(202, view(payment)).response()

    async def resolve(self, request: web.Request) -> web.Response:
        """Resolve the payment. Where a second person has to approve it, answer 202 with the proposal.

        It honours Idempotency-Key.
        """
        payment = await self._payment(request)

        async def work(_: str, body: Any) -> ApiReply:
            return await self._resolve(request, payment, body)

        return await once(self._api, request, work)

    async def _resolve(self, request: web.Request, payment: Payment, body: Any) -> ApiReply:
        found = read_fields(RESOLUTION, body)
        wanted = ResolutionRequest(**{**found, "status": Status(found["status"])})
        try:
            api, key = self._api, caller_of(request).key.name
            actor = key_actor(key, wanted.actor)
            if api.config.console.operators or api.rules.second_person_from is not None:
                # The console alone proves an operator's name. The same resolution again is known by its actor.
                wanted = replace(wanted, actor=actor)
            origin = Origin(actor=actor, via="api", address=api.address(request), key=key)
            decided = await decide(api.database, api.ledger, api.rules, payment.id, wanted, origin)
        except ResolutionRefused as refused:
            raise resolution_problem(refused) from None
        if isinstance(decided, Proposal):
            return json_reply(202, ProposalView.of(decided))
        return json_reply(200, view(decided))

    async def _payment(self, request: web.Request) -> Payment:
        """The payment of the path. Raises Problem where the merchant has none, or its account is not configured."""
        payment = await payment_of_path(self._api.database, request)
        if payment.account not in self._api.rules.accounts:
            raise Problem(409, "account_not_configured", "the account of this payment is no longer configured")
        return payment


def resolution_problem(refused: ResolutionRefused) -> Problem:
    return Problem(409, refused.code, str(refused), field=refused.field)
