"""Requests with an account's shared token, and reading a granted token.

A request that may have run must not be sent twice, because it may take money. So the gateway's `refused` has to decide
whether a reply proves that it did not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from consumers.ports.effects import Exchange, HttpReply, HttpRequest, NoReply, Token, TokenWanted
from consumers.providers.kit.replies import no_reply
from schemas.answers import Inconclusive
from schemas.numbers import whole
from schemas.wire import Unreadable

USUAL_SECONDS = 3600
SHORTEST_SECONDS, LONGEST_SECONDS = 60, 86_400
"""The bounds of a token's life. A token that ends earlier is renewed when the gateway refuses it."""


def send_with_token(
    request: Callable[[str], HttpRequest], refused: Callable[[HttpReply], bool]
) -> Exchange[HttpReply | Inconclusive]:
    """Send the request made with the shared token. If its reply is `refused`, renew the token and send it once more."""
    try:
        token = yield TokenWanted()
        assert isinstance(token, str)
        reply = yield request(token)
        if isinstance(reply, HttpReply) and refused(reply):
            token = yield TokenWanted(stale=token)
            assert isinstance(token, str)
            reply = yield request(token)
    except NoReply as error:
        return no_reply(error)
    assert isinstance(reply, HttpReply)
    return reply


def read_token(token: object, expires_in: object) -> Token | None:
    """A granted token with its life; None where it is no printable ASCII text that a header can carry."""
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,8000}", token):
        return None
    return Token(text=str(token), seconds=_life(expires_in))


def _life(expires_in: object) -> int:
    """The life in seconds, from a number or a string; an hour where it is absent, unreadable, or not above zero."""
    try:
        seconds = whole(expires_in)
    except Unreadable:
        return USUAL_SECONDS
    return max(SHORTEST_SECONDS, min(seconds, LONGEST_SECONDS)) if seconds > 0 else USUAL_SECONDS
