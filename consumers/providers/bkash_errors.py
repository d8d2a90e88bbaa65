"""The errors of bKash, and of OnePayBD, which passes them on: codes in four envelopes, and which refuse the token.

Execute must not run twice. A token may be renewed after any refusal, but Execute is sent again only where the gateway
itself says that the call did not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.ports.effects import HttpReply
from consumers.providers.kit.callback_fields import text_or_none
from consumers.providers.kit.replies import json_object, trouble
from consumers.providers.kit.reply_fields import printable
from schemas.answers import Inconclusive, Trouble
from schemas.wire import Told, Unreadable

SUCCESSFUL = "0000"

# Codes that say nothing about this payment.
TROUBLE_OF_CODE: Mapping[str, Trouble] = {
    "503": Trouble.SERVER_ERROR,  # maintenance
    "2003": Trouble.SERVER_ERROR,  # process failed
    "2020": Trouble.SERVER_ERROR,  # exception
    "2024": Trouble.SERVER_ERROR,  # exception
    "2001": Trouble.KEY_REFUSED,  # invalid app key
    "2079": Trouble.KEY_REFUSED,  # invalid app token
    "401": Trouble.KEY_REFUSED,
    "403": Trouble.KEY_REFUSED,
}

# Codes that say that the token was refused and the call did not run, in any envelope, also with HTTP 200. The list of
# codes that we found ends before bKash's 2079. 401 and 403 are HTTP's, passed on under a 200.
_TOKEN_REFUSED = ("2079", "401", "403")

_UNKNOWN_PAYMENT: Mapping[str, Trouble] = {
    "2002": Trouble.NOT_FOUND,  # invalid payment ID
    "2033": Trouble.NOT_FOUND,  # transaction not found
}

# Four error envelopes (paykit-bd): statusCode and statusMessage with HTTP 200; errorCode and errorMessage;
# internalCode, externalCode and errorMessageEn; and the bare message of the AWS API Gateway in front, without a code.
_CODES = ("errorCode", "externalCode", "internalCode", "statusCode")
WORDS = ("errorMessage", "errorMessageEn", "statusMessage", "message")

# Words in a reply about a payment, in any case and place. They are searched in the bytes, because the envelope that
# OnePayBD puts around bKash's reply to Execute is UNKNOWN.
_OF_A_PAYMENT = (b"payment", b"trx", b"transaction", b"amount", b"invoice", b"completed")


def codes(body: Mapping[str, Any]) -> list[str]:
    """Every code in the body, "0000" as well. `internalCode` is left out where `externalCode` says the same by number.

    Raises Unreadable for a code that is neither text nor number.
    """
    told = {name: body.get(name) for name in _CODES}
    for name, code in told.items():
        if code is not None and not isinstance(code, str):
            raise Unreadable(f"{name} is no code")
    if told["externalCode"] not in (None, "", SUCCESSFUL):
        told["internalCode"] = None
    return [str(code) for code in told.values() if code]


def error_code(body: Mapping[str, Any]) -> str | None:
    """The error's code, in any envelope; None where there is none but "0000". An error beside "0000" counts."""
    return next((code for code in codes(body) if code != SUCCESSFUL), None)


def troubled(code: str) -> Inconclusive:
    trouble = TROUBLE_OF_CODE.get(code) or _UNKNOWN_PAYMENT.get(code) or Trouble.UNREADABLE
    return Inconclusive(trouble=trouble, detail=f"error {printable(code)[:20]}")


def token_refused(reply: HttpReply) -> bool:
    """Whether a new token may help, by the HTTP status, which may have another reason, or by a code."""
    return reply.status in (401, 403) or reply_code(reply) in _TOKEN_REFUSED


def surely_refused(reply: HttpReply) -> bool:
    """Whether the gateway says that the token was refused, and nothing else, so that the call certainly did not run.

    A page or an empty body with 401 or 403 may be a proxy's, which let the call pass and not its reply. A reply that
    names a payment, or has another code as well, may come from a call that ran.
    """
    body = _spoken(reply)
    if body is None or any(name in reply.body.lower() for name in _OF_A_PAYMENT):
        return False
    try:
        told = codes(body)
    except Unreadable:
        return False
    bare = reply.status in (401, 403) and not any(name in body for name in _CODES)
    return (bare and text_or_none(body, "message") is not None) or (
        bool(told) and all(code in _TOKEN_REFUSED for code in told)
    )


def reply_code(reply: HttpReply) -> str | None:
    """The error's code of a reply; None without one. "" where it is unreadable, so that it equals no known code."""
    body = _spoken(reply)
    try:
        return None if body is None else error_code(body)
    except Unreadable:
        return ""


def _spoken(reply: HttpReply) -> Told | None:
    """The JSON body of a reply of 2xx or 4xx; None for 408, 429, any other status, or another body."""
    body, found = json_object(reply), trouble(reply)
    if isinstance(body, Inconclusive) or (found is not None and found.trouble is not Trouble.KEY_REFUSED):
        return None
    return body
