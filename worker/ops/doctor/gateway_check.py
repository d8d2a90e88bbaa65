"""One account's gateway: whether the account's credentials work, and its clock compared with ours.

Tokens are to be `NewTokens`: the shared token may have been granted to former credentials.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from consumers.account import Account
from consumers.ports.effects import Token
from consumers.ports.gateway import Proof
from schemas.answers import Inconclusive, Trouble
from worker.ops.doctor.findings import Finding, Mark
from worker.verify.gateways import Gateways

CLOCK_SECONDS = 10.0
MOST_SKEW_SECONDS = 120


class NewTokens:
    """Asks the gateway for a new token, and stores none; see worker.verify.gateways.Tokens."""

    async def get(self, account: str, stale: str | None, grant: Callable[[], Awaitable[Token]]) -> str:  # noqa: ARG002 - as the port has it
        return (await grant()).text


async def examine_gateway(asking: Gateways, account: Account, now: Callable[[], datetime]) -> list[Finding]:
    """Findings about the account's credentials, its configuration, and the gateway's clock where it is not ours.

    A gateway without a status API is not asked. The clock of an unreachable gateway is not looked at.
    """
    base_url = account.provider.base_url
    if not account.provider.capabilities.asked_by:
        words = (
            "this gateway has no status API: payments claimed as paid are held for a person, and nothing proves its key"
        )
        return [_finding(account, "ok", words)]
    proof = await asking.prove(account)
    remarks = [_finding(account, "ok", words) for words in getattr(account.provider, "remarks", ())]
    said = [_verdict(account, proof, base_url), *remarks]
    if isinstance(proof, Inconclusive) and proof.trouble is Trouble.NO_REPLY:
        return said
    skew = await clock_skew(base_url, now)
    if skew is None or abs(skew) <= MOST_SKEW_SECONDS:
        return said
    words = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    to_do = "set this machine's and the database's clock by NTP; signed webhooks count for five minutes only"
    return [*said, _finding(account, "no", words, to_do)]


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


def _verdict(account: Account, proof: Proof | Inconclusive, base_url: str) -> Finding:
    match proof:
        case Proof(verdict="works", words=words):
            return _finding(account, "ok", f"reachable, and {words}")
        case Proof(verdict="refused", words=words) | Inconclusive(trouble=Trouble.KEY_REFUSED, detail=words):
            to_do = f"compare the keys of {account.id} with those in the gateway's panel: sandbox or live, renewed?"
            return _finding(account, "no", f"it refuses the key or password ({words})", to_do)
        case Proof(words=words):
            to_do = "open a payment and pay it once, before buyers do"
            return _finding(account, "!!", f"reachable, and nobody can tell whether its keys work: {words}", to_do)
        case Inconclusive(trouble=Trouble.NO_REPLY, detail=detail):
            return _finding(account, "no", f"{base_url} cannot be reached ({detail})", _reach(detail))
        case Inconclusive(trouble=Trouble.UNREADABLE, detail=detail):
            words = f"it answers, but not as this gateway should ({detail})"
            to_do = f"is base_url right, and the path of its status table if it has one? base_url is {base_url}"
            return _finding(account, "no", words, to_do)
        case Inconclusive(detail=detail):
            return _finding(account, "no", f"it is in trouble just now ({detail})", "try again in some minutes")


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
