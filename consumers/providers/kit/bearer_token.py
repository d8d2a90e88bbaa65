"""Calls with the token that all processes of an account share, and what a grant of one says.

The one thing to get wrong: sending a request twice that may have run. `refused` decides that a reply shows it did not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from consumers.ports.gateway import Exchange, HttpReply, HttpRequest, NoReply, Token, TokenWanted
from consumers.providers.kit.replies import no_reply
from schemas.answers import Inconclusive
from schemas.wire import Unreadable, whole

USUAL_SECONDS = 3600
SHORTEST_SECONDS, LONGEST_SECONDS = 60, 86_400
"""Whatever a gateway says; a token that ended before is renewed when it is refused."""


def send_with_token(
    request: Callable[[str], HttpRequest], refused: Callable[[HttpReply], bool]
) -> Exchange[HttpReply | Inconclusive]:
    """Send the request that is made with the token; where that was `refused`, renew it and send again, once."""
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
    """A granted token with its life; None where it is no text that a header can carry."""
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,8000}", token):
        return None
    return Token(text=str(token), seconds=_life(expires_in))


def _life(expires_in: object) -> int:
    """Seconds as a number or a string; an hour where that is absent, cannot be read, or is over already."""
    try:
        seconds = whole(expires_in)
    except Unreadable:
        return USUAL_SECONDS
    return max(SHORTEST_SECONDS, min(seconds, LONGEST_SECONDS)) if seconds > 0 else USUAL_SECONDS
