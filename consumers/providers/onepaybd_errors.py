"""OnePayBD's errors: bKash's codes in four envelopes, and by which of them a call was not let in.

The one thing to get wrong: sending Execute twice. A token may be renewed for any refusal, but Execute is sent again
only where the gateway itself says that it let nothing in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers import callbacks
from consumers.gateway import HttpReply
from consumers.providers.replies import json_object, printable, trouble
from schemas.answers import Inconclusive, Trouble
from schemas.wire import Told, Unreadable

SUCCESSFUL = "0000"

# Codes that say nothing of this payment.
TROUBLES: Mapping[str, Trouble] = {
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


def error_code(body: Mapping[str, Any]) -> str | None:
    """The error's code in whichever envelope; None where no code but "0000" is. An error beside "0000" counts."""
    found = [body.get(name) for name in _CODES]
    return next((str(code) for code in found if isinstance(code, str) and code not in ("", SUCCESSFUL)), None)


def troubled(code: str) -> Inconclusive:
    trouble = TROUBLES.get(code) or _UNKNOWN_PAYMENT.get(code) or Trouble.UNREADABLE
    return Inconclusive(trouble=trouble, detail=f"error {printable(code)[:20]}")


def token_refused(reply: HttpReply) -> bool:
    """Whether a new token may help: by the HTTP status, which may be about something else as well, or by a code."""
    return reply.status in (401, 403) or reply_code(reply) in _TOKEN_REFUSED


def surely_refused(reply: HttpReply) -> bool:
    """Whether the token was refused, and so nothing ran: the gateway says it in its own format, and names no payment.

    A page or an empty body with 401 or 403 may come from something on the way, which let the call pass, not its reply.
    """
    code = reply_code(reply)
    if reply.status not in (401, 403):
        return code in _TOKEN_REFUSED
    body = json_object(reply)
    if not isinstance(body, Told) or any(name in body for name in ("transactionStatus", "trxID")):
        return False
    bare = code is None and "statusCode" not in body and callbacks.text(body, "message") is not None
    return bare or code in _TOKEN_REFUSED


def reply_code(reply: HttpReply) -> str | None:
    """The error's code, None where a reply has none or cannot be read; "", which is no code, where it is spoilt."""
    body = json_object(reply)
    found = trouble(reply)
    if isinstance(body, Inconclusive) or (found is not None and found.trouble is not Trouble.KEY_REFUSED):
        return None
    try:
        return error_code(body)
    except Unreadable:
        return ""
