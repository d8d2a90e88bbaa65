"""Within one question Execute is sent again only where its first reply says nothing but that the token is bad.

A code of refusal does not undo the other fields of the reply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from consumers.ports.effects import HttpReply, TokenWanted
from consumers.providers.onepaybd import OnePayBD, Paths
from schemas.answers import Expected, Question
from schemas.secret import Secret
from schemas.words import QuestionKind

EXPECTED = Expected(payment_id="p", reference="Inv1", amount=Decimal("10.00"), currency="BDT", session_id="TR1")
REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "2079": (200, {"statusCode": "2079", "statusMessage": "Invalid app token"}),
    "401 as a code": (200, {"statusCode": "401"}),
    "401 as a number": (400, {"statusCode": 401}),
    "403 beside": (200, {"errorCode": "403", "errorMessage": "Forbidden"}),
    "third envelope": (400, {"internalCode": "bad_token", "externalCode": "2079"}),
    "HTTP 401": (401, {"message": "Unauthorized"}),
    "HTTP 403": (403, {"message": "Forbidden"}),
    "HTTP 403 with a code": (403, {"statusCode": "403"}),
}
OF_A_PAYMENT: dict[str, Any] = {
    "paymentID": "TR1",
    "trxID": "6H7801QFYM",
    "transactionStatus": "Completed",
    "paymentExecuteTime": "2025-04-23T13:23:41:120 GMT+0600",
    "amount": "10",
    "merchantInvoiceNumber": "Inv1",
    "trx_id": "6H7801QFYM",
    "TransactionId": "6H7801QFYM",
}
OTHER_CODES = {"errorCode": "0000", "statusCode": "0000", "externalCode": "2062"}


def executions(status: int, body: bytes) -> int:
    """How often Execute is sent when that is the reply to everything."""
    provider = OnePayBD(base_url="https://api.example", api_key=Secret("k"))
    running, sent = provider.ask(Question(kind=QuestionKind.EXECUTE), EXPECTED), 0
    try:
        effect = next(running)
        while True:
            if isinstance(effect, TokenWanted):
                effect = running.send("token")
            else:
                sent += effect.takes_money
                effect = running.send(HttpReply(status=status, headers={}, body=body))
    except StopIteration:
        return sent


def carrying(body: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The body with a payment's body in it: beside the code, deeper, in another case, and as a text of JSON."""
    one = {name: OF_A_PAYMENT[name]}
    yield body | one
    yield body | {name.lower(): one[name]}
    yield body | {"data": [one]}
    yield body | {"body": json.dumps(one)}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_token_is_renewed_once(refusal: str) -> None:
    status, body = REFUSALS[refusal]
    assert executions(status, json.dumps(body).encode()) == 2


@pytest.mark.parametrize("name", OF_A_PAYMENT)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_reply_that_carries_anything_of_a_payment_is_no_refusal(refusal: str, name: str) -> None:
    status, body = REFUSALS[refusal]
    for told in carrying(body, name):
        assert executions(status, json.dumps(told).encode()) == 1, told


@pytest.mark.parametrize("name", OTHER_CODES)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_reply_that_has_another_code_is_no_refusal(refusal: str, name: str) -> None:
    status, body = REFUSALS[refusal]
    if name not in body:
        assert executions(status, json.dumps(body | {name: OTHER_CODES[name]}).encode()) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 302])
def test_trouble_on_the_way_is_no_refusal_whatever_it_says(status: int) -> None:
    assert executions(status, b'{"statusCode": "2079"}') == 1


@pytest.mark.parametrize("name", ["grant", "create", "status"])
def test_no_other_call_shares_the_path_of_execute(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="execute is the path of another call"):
        msgspec.convert({name: "/pay", "execute": "/pay"}, Paths)
