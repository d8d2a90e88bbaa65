"""One account's gateway: it is asked about a payment that does not exist, and its clock is compared with ours.

A gateway may count how often it grants a token, so the shared token is used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

import aiohttp

from consumers.account import Account
from consumers.checks.candidates import question_about
from consumers.providers.kit.replies import UNDOCUMENTED_404
from schemas.answers import Expected, ForeignTransaction, Inconclusive, Question, QuestionOutcome, Trouble
from worker.ops.doctor.findings import Finding, Mark
from worker.verify.gateways import Gateways

NOBODYS_PAYMENT = "payproof-doctor"
CLOCK_SECONDS = 10.0
MOST_SKEW_SECONDS = 120


async def ask(asking: Gateways, account: Account, now: Callable[[], datetime]) -> list[Finding]:
    """Findings about the gateway's answer, and about its clock where that differs from ours.

    A gateway without a status API is not asked. The clock of an unreachable gateway is not looked at.
    """
    base_url, capabilities = account.provider.base_url, account.provider.capabilities
    if not capabilities.asked_by:
        words = "this gateway has no status API: payments claimed as paid are held for a person"
        return [_finding(account, "ok", words)]
    question = Question() if capabilities.candidates is None else question_about(NOBODYS_PAYMENT, capabilities)
    expected = Expected(
        payment_id=NOBODYS_PAYMENT,
        reference=NOBODYS_PAYMENT,
        session_id=NOBODYS_PAYMENT,
        amount=Decimal("10.00"),
        currency="BDT",
    )
    outcome = await asking.ask(account, question, expected)
    said = _verdict(account, outcome, base_url)
    if isinstance(outcome, Inconclusive) and outcome.trouble is Trouble.NO_REPLY:
        return [said]
    skew = await clock_skew(base_url, now)
    if skew is None or abs(skew) <= MOST_SKEW_SECONDS:
        return [said]
    words = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    to_do = "set this machine's and the database's clock by NTP; signed webhooks count for five minutes only"
    return [said, _finding(account, "no", words, to_do)]


async def clock_skew(base_url: str, now: Callable[[], datetime]) -> float | None:
    """By how many seconds the Date of a reply to HEAD is ahead of `now`; None where there is no reply or no Date."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CLOCK_SECONDS)) as session,
            session.head(base_url, allow_redirects=False) as response,
        ):
            told = parsedate_to_datetime(response.headers["Date"])
            ours = now()
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError):
        return None
    return ((told if told.tzinfo else told.replace(tzinfo=UTC)) - ours).total_seconds()


def _verdict(account: Account, outcome: QuestionOutcome, base_url: str) -> Finding:
    match outcome:
        case ForeignTransaction() | Inconclusive(trouble=Trouble.NOT_FOUND):
            return _finding(account, "ok", "reachable, and it accepts the key")
        case Inconclusive(trouble=Trouble.KEY_REFUSED, detail=detail):
            to_do = f"compare the keys of {account.id} with those in the gateway's panel: sandbox or live, renewed?"
            return _finding(account, "no", f"it refuses the key or password ({detail})", to_do)
        case Inconclusive(trouble=Trouble.NO_REPLY, detail=detail):
            return _finding(account, "no", f"{base_url} cannot be reached ({detail})", _reach(detail))
        case Inconclusive(detail=detail) if detail == UNDOCUMENTED_404:
            # The made-up payment is unknown there, in undocumented words. A refused key would have come first.
            return _finding(account, "ok", "reachable, and it accepts the key")
        case Inconclusive(trouble=Trouble.UNREADABLE, detail=detail):
            words = f"it answers, but not as this gateway should ({detail})"
            to_do = f"is base_url right, and the path of status_check if it has one? base_url is {base_url}"
            return _finding(account, "no", words, to_do)
        case Inconclusive(detail=detail):
            return _finding(account, "no", f"it is in trouble just now ({detail})", "try again in some minutes")
        case _:
            return _finding(account, "ok", "reachable, and it accepts the key")


def _reach(detail: str) -> str:
    if "host name" in detail:
        return "check base_url for a slip, and this machine's DNS"
    if "TLS" in detail:
        return "check base_url, this machine's clock and its certificates (ca-certificates)"
    if "refused" in detail:
        return "check base_url's port, and whether a firewall or the gateway's list of addresses keeps us out"
    return "check base_url and this machine's way out to the internet"


def _finding(account: Account, mark: Mark, words: str, to_do: str = "") -> Finding:
    return Finding(mark, f"account {account.id}", words, to_do)
