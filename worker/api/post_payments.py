"""POST /v1/payments and /v1/payments/track: a checkout is opened, or one that the shop opened itself is taken on.

A payment that is opened again keeps its own id. So the callback URLs are made from the row that was committed, never
from the proposed id: a callback on another id would be about no payment.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from consumers.account import Account
from consumers.commands.open_payment import OpeningFailed, open_payment
from consumers.ports.openings import OpeningOutcome
from schemas.payments import Payment
from schemas.requests import NEW_PAYMENT
from schemas.shown import view
from worker.api.auth import merchant_of
from worker.api.context import Api
from worker.api.idempotency import once
from worker.api.problems import ApiReply, Problem, invalid, json_reply
from worker.config import Config, Merchant
from worker.config.url_parts import is_loopback, split_url
from worker.postgres.reads.reading import read_payment
from worker.requests.payment_request import (
    TO_BLAME,
    InvalidRequest,
    kept,
    opening_of,
    payment_row,
    read_payment_request,
    reject,
    track,
)

_STATUS = {"gateway_refused": 422, "gateway_unavailable": 502, "gateway_timeout": 504}


class OpenPayments:
    """The two handlers, both of which honour Idempotency-Key."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def open(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request)

        async def work(payment_id: str, body: Any) -> ApiReply:
            try:
                return await self._open(merchant, payment_id, body)
            except InvalidRequest as refused:
                raise invalid(refused.wrong) from None

        return await once(self._api, request, work)

    async def track(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request)

        async def work(payment_id: str, body: Any) -> ApiReply:
            try:
                return await self._track(merchant, payment_id, body)
            except InvalidRequest as refused:
                raise invalid(refused.wrong) from None

        return await once(self._api, request, work)

    async def _open(self, merchant: Merchant, payment_id: str, body: Any) -> ApiReply:
        rules = self._api.rules
        account, wanted = read_payment_request(NEW_PAYMENT, merchant, body)
        reject(account.provider.check(opening_of(payment_id, account, wanted, rules.public_url)))
        _check_public_url(account, self._api.config, rules.public_url)

        async def call(row: Payment) -> OpeningOutcome:
            return await self._api.open_checkout(account, opening_of(row.id, account, wanted, rules.public_url))

        row = payment_row(payment_id, account, wanted, self._api.database.clock.now())
        try:
            payment = await open_payment(self._api.ledger, rules, row, kept(body), call)
        except OpeningFailed as failed:
            payment = await self._ours(merchant, payment_id, failed)
        return json_reply(201, view(payment))

    async def _track(self, merchant: Merchant, payment_id: str, body: Any) -> ApiReply:
        ledger, now = self._api.ledger, self._api.database.clock.now()
        try:
            payment = await track(ledger, self._api.rules, merchant, body, payment_id=payment_id, now=now)
        except OpeningFailed as failed:
            payment = await self._ours(merchant, payment_id, failed)
        return json_reply(201, view(payment))

    async def _ours(self, merchant: Merchant, payment_id: str, failed: OpeningFailed) -> Payment:
        """The payment that is in the way, where an earlier try of this very request made it. Otherwise raises Problem.

        Without a checkout it may have been paid all the same: the gateway had opened one, and its answer was lost.
        """
        if failed.code == "reference_used" and failed.payment_id == payment_id:
            made = await read_payment(self._api.database, merchant.id, payment_id)
            if made is not None and (made.opened or made.version > 0):
                return made
        raise opening_problem(failed) from None


def opening_problem(failed: OpeningFailed) -> Problem:
    return Problem(
        _STATUS.get(failed.code, 409),
        failed.code,
        str(failed) or "the gateway could not be understood",
        field=TO_BLAME.get(failed.code),
        payment_id=failed.payment_id,
        retry_after=failed.retry_after,
    )


def _check_public_url(account: Account, config: Config, public_url: str) -> None:
    """A real gateway is given no http address to send buyers to. Raises Problem."""
    _, host = split_url(account.provider.base_url)
    near = is_loopback(host) or host in config.allow_http_hosts
    if not near and not public_url.startswith("https://"):
        detail = "this gateway must be given https addresses: PAYPROOF_PUBLIC_URL has to begin with https://"
        raise Problem(422, "callback_url_not_https", detail)
