"""OnePayBD's errors: bKash's codes in four envelopes, and by which of them a call was not let in.

The one thing to get wrong: sending Execute twice. A token may be renewed for any refusal, but Execute is sent again
only where the gateway itself says that it let nothing in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.ports.gateway import HttpReply
from consumers.providers.kit import callback_fields as callbacks
from consumers.providers.kit.replies import json_object, printable, trouble
from schemas.answers import Inconclusive, Trouble
from schemas.wire import Told, Unreadable

SUCCESSFUL = "0000"

# Codes that say nothing of this payment.
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

# Codes by which the token was refused, in whichever envelope and with HTTP 200 as well: the call was not let in. The
# list that was found ends before bKash's 2079; the two others are HTTP's, passed on under a 200.
_TOKEN_REFUSED = ("2079", "401", "403")

_UNKNOWN_PAYMENT: Mapping[str, Trouble] = {
    "2002": Trouble.NOT_FOUND,  # invalid payment ID
    "2033": Trouble.NOT_FOUND,  # transaction not found
}

# Four error envelopes (paykit-bd): statusCode and statusMessage with HTTP 200; errorCode and errorMessage;
# internalCode, externalCode and errorMessageEn; and the bare message of the AWS API Gateway in front, without a code.
_CODES = ("errorCode", "externalCode", "internalCode", "statusCode")
WORDS = ("errorMessage", "errorMessageEn", "statusMessage", "message")

# What a reply about a payment speaks of, in whatever spelling, case and place. Names are looked for in the bytes, since
# what OnePayBD wraps around bKash's reply to Execute is UNKNOWN.
_OF_A_PAYMENT = (b"payment", b"trx", b"transaction", b"amount", b"invoice", b"completed")


def codes(body: Mapping[str, Any]) -> list[str]:
    """Every code that the body tells, "0000" as well. `internalCode` is a name for what `externalCode` numbers.

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
    """The error's code in whichever envelope; None where no code but "0000" is. An error beside "0000" counts."""
    return next((code for code in codes(body) if code != SUCCESSFUL), None)


def troubled(code: str) -> Inconclusive:
    trouble = TROUBLE_OF_CODE.get(code) or _UNKNOWN_PAYMENT.get(code) or Trouble.UNREADABLE
    return Inconclusive(trouble=trouble, detail=f"error {printable(code)[:20]}")


def token_refused(reply: HttpReply) -> bool:
    """Whether a new token may help: by the HTTP status, which may be about something else as well, or by a code."""
    return reply.status in (401, 403) or reply_code(reply) in _TOKEN_REFUSED


def surely_refused(reply: HttpReply) -> bool:
    """Whether the token was refused, and so nothing ran: in the gateway's own words, and nothing else beside them.

    A page or an empty body with 401 or 403 is anybody's on the way, who may have let the call pass and not its reply.
    A reply that speaks of a payment, or has another code as well, may be that of a call that ran.
    """
    body = _spoken(reply)
    if body is None or any(name in reply.body.lower() for name in _OF_A_PAYMENT):
        return False
    try:
        told = codes(body)
    except Unreadable:
        return False
    bare = reply.status in (401, 403) and not any(name in body for name in _CODES)
    return (bare and callbacks.text_or_none(body, "message") is not None) or (
        bool(told) and all(code in _TOKEN_REFUSED for code in told)
    )


def reply_code(reply: HttpReply) -> str | None:
    """The error's code of a reply that can be read; "" where it is spoilt, so that it stands for no known one."""
    body = _spoken(reply)
    try:
        return None if body is None else error_code(body)
    except Unreadable:
        return ""


def _spoken(reply: HttpReply) -> Told | None:
    """The body of a reply whose HTTP status lets it have a code; None where it has none, or cannot be read."""
    body, found = json_object(reply), trouble(reply)
    if isinstance(body, Inconclusive) or (found is not None and found.trouble is not Trouble.KEY_REFUSED):
        return None
    return body
