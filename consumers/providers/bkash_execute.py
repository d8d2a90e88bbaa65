"""The outcome of an Execute of bKash or OnePayBD, which is the call that takes the money.

A reply that may hide taken money must not count as done or refused. Every unclear reply is `unread`, and the Execute
stays in doubt until Query ends that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consumers.providers import kit
from consumers.providers.bkash_errors import SUCCESSFUL, codes, reply_code, surely_refused, troubled

# The outcome by code. Every other code is "other".
_EXECUTED: Mapping[str, kit.ExecuteReply] = {
    SUCCESSFUL: "completed",  # with `transactionStatus` "Completed" only
    "2056": "refused",  # invalid payment state: the buyer has not approved yet
    "2060": "refused",  # execution pre-requisite not met
    "2062": "settled",  # payment already completed
    "2068": "settled",  # transaction already completed
    "2116": "settled",  # agreement execution done
    "2117": "settled",  # payment execution done
    "2119": "settled",  # authorized payment already processed
}

# After these it is not known whether it took the money.
_UNHEARD = (kit.Trouble.NO_REPLY, kit.Trouble.SERVER_ERROR, kit.Trouble.RATE_LIMITED)

Read = Callable[[kit.Received], kit.Answer | kit.Inconclusive]


def execute_outcome(
    sent: kit.HttpReply | kit.Inconclusive, read: Read, statuses: Mapping[str, kit.Status]
) -> tuple[kit.ExecuteReply, kit.Answer | kit.Inconclusive | None]:
    """The outcome of an Execute, and what its reply says of the payment; None where Query has to be asked for that.

    `sent`: the reply to Execute. `read` reads an answer from it, and `statuses` maps its status words.
    """
    received = kit.judge(sent)
    if isinstance(received, kit.Inconclusive) and received.trouble in _UNHEARD:
        return "none", received
    if isinstance(sent, kit.HttpReply) and surely_refused(sent):  # it did not run, and Query would be refused too
        return "other", received if isinstance(received, kit.Inconclusive) else troubled(reply_code(sent) or "401")
    if isinstance(received, kit.Inconclusive):
        return "unread", None
    try:
        return _meaning(received, read, statuses)
    except kit.Unreadable:
        return "unread", None


def _meaning(
    received: kit.Received, read: Read, statuses: Mapping[str, kit.Status]
) -> tuple[kit.ExecuteReply, kit.Answer | None]:
    """The same for a JSON reply. An error beside success, beside money, or beside another kind of error is `unread`."""
    meanings = {_EXECUTED.get(code, "other") for code in codes(received.body)}
    if meanings - {"completed"}:
        clear = len(meanings) == 1 and not _names_money(received.body, statuses)
        return (meanings.pop() if clear else "unread"), None
    answer = read(received)
    if isinstance(answer, kit.Inconclusive) or answer.unreadable:
        return "unread", None
    return ("completed", answer) if answer.status is kit.Status.COMPLETED else ("other", None)


def _names_money(body: kit.Told, statuses: Mapping[str, kit.Status]) -> bool:
    """Whether the body may tell of taken money, whatever its code: a transaction, a paid status or an unknown one."""
    if body.get("trxID") not in (None, ""):
        return True
    word = kit.optional_text(body, "transactionStatus")
    status = None if word is None else statuses.get(word)
    return word is not None and (status is None or status.paid)
