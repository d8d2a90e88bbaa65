"""Dead letters: claims and replies that failed by themselves, and refused messages of shops that expect a payment.

A reader of the broker's dead letters holds all of them until its reading ends, and another reader would find none. So
readers take turns (worker.postgres.queue.dead_table.alone).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from schemas.audit import AuditRecord
from schemas.callbacks import Claim, read_claim
from schemas.letters import KeptReply, read_kept_reply
from schemas.own_json import NotOurs, read_own
from schemas.shown import is_payment_id
from worker.telemetry.redaction import masked_body, masked_callback, masked_expected

Place = Literal["postgres", "broker"]
LetterKind = Literal["claim", "expected", "reply"]
"""`expected`: a message that a shop published to `payproof.expected`; it holds no claim. `reply`: a gateway's reply
that could not be recorded; replaying it records it."""

NAMELESS = frozenset({"", "unknown"})
"""Values in the place of an id where a message had none."""

_Message = TypeVar("_Message", Claim, KeptReply)


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A dead letter without its body. `id` is the message's; `unreadable` says why its body cannot be read."""

    id: str
    place: Place
    provider: str
    payment_id: str | None
    reason: str
    since: datetime | None
    unreadable: str | None = None
    kind: LetterKind = "claim"


class CheckedOut(Struct, frozen=True, kw_only=True):
    """A letter in hand, with the body as it was published. `tag` is the store's own."""

    letter: DeadLetter
    body: bytes
    tag: object


class DeadLetterStore(Protocol):
    """A store of dead letters. Its methods raise BusUnavailable when the store cannot be reached."""

    place: Place

    def read(self) -> AsyncGenerator[CheckedOut, None]:
        """Yield each letter until the reader closes this.

        A letter that was not replayed or dropped by then stays in the store.
        """
        ...

    async def replay(self, opened: CheckedOut, record: AuditRecord) -> None:
        """Publish or record the letter again, durably, then remove it. Only while it is read. Raises NotReplayed.

        `record` is written with it, or before it where the store is no database.
        """
        ...

    async def drop(self, opened: CheckedOut, record: AuditRecord) -> None:
        """Remove the letter. Only while it is read. `record` as in `replay`."""
        ...


class NotReplayed(Exception):
    """The letter failed once more, and stays."""


class AmbiguousId(Exception):
    """The typed prefix matches no letter, or letters of several claims, whose ids are `ids`."""

    def __init__(self, typed: str, ids: Sequence[str]) -> None:
        super().__init__(typed)
        self.typed, self.ids = typed, ids


def claim_dead_letter(
    claim_id: str | None, place: Place, provider: str, reason: str, since: datetime | None, body: bytes
) -> DeadLetter:
    """Describe the letter of a claim, from its body and from the values that the store has beside it."""
    claim, unreadable = _read_or_why(body, read_claim, "claim")
    named = claim_id if claim_id is not None and claim_id not in NAMELESS else None
    return DeadLetter(
        id=named or (claim.id if claim else _nameless(body)),
        place=place,
        provider=claim.provider if claim else provider,
        payment_id=claim.payment_id if claim else _payment_id(body),
        reason=reason,
        since=since or (claim.received_at if claim else None),
        unreadable=unreadable,
    )


def expected_dead_letter(
    message_id: str | None, place: Place, reason: str, since: datetime | None, body: bytes
) -> DeadLetter:
    """Returns the dead letter of a message that registers an expected payment.

    Only the configuration knows the gateway of its account, so `provider` is `unknown`. Without a message id, the
    letter's id is made from the body.
    """
    return DeadLetter(
        id=message_id if message_id is not None and message_id not in NAMELESS else _nameless(body),
        place=place,
        provider="unknown",
        payment_id=None,
        reason=reason,
        since=since,
        kind="expected",
    )


def reply_dead_letter(
    letter_id: str, place: Place, provider: str, reason: str, since: datetime, body: bytes
) -> DeadLetter:
    """Describe the letter of a gateway's reply."""
    kept, unreadable = _read_or_why(body, read_kept_reply, "reply")
    return DeadLetter(
        id=letter_id,
        place=place,
        provider=provider,
        payment_id=kept.payment_id if kept else _payment_id(body),
        reason=reason,
        since=since,
        unreadable=unreadable,
        kind="reply",
    )


async def list_all(place: DeadLetterStore) -> list[DeadLetter]:
    """All letters of the store, without their bodies. Raises BusUnavailable."""
    async with aclosing(place.read()) as reading:
        return [opened.letter async for opened in reading]


def oldest_first(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: letter.since or datetime.min.replace(tzinfo=UTC))


def match_prefix(letters: Iterable[DeadLetter], typed: str) -> list[DeadLetter]:
    """The letters of the claim with this id, or of the only claim whose id begins so. Raises AmbiguousId.

    A claim that died twice has two letters.
    """
    matching = [one for one in letters if one.id.startswith(typed)] if typed else []
    exact = [one for one in matching if one.id == typed]
    ids = sorted({one.id for one in exact or matching})
    if len(ids) != 1:
        raise AmbiguousId(typed, ids)
    return exact or matching


async def check_out(place: DeadLetterStore, letters: Iterable[DeadLetter]) -> AsyncGenerator[CheckedOut, None]:
    """Yield one after the other those letters that are still in this store. Raises BusUnavailable."""
    wanted = Counter(one.id for one in letters if one.place == place.place)
    if not wanted:
        return
    async with aclosing(place.read()) as reading:
        async for opened in reading:
            if not wanted[opened.letter.id]:
                continue
            wanted[opened.letter.id] -= 1
            yield opened
            if not wanted.total():
                return


def not_to_be_replayed(one: DeadLetter, providers: Collection[str]) -> str | None:
    """Why replaying the letter cannot help: every worker would fail on it, or no worker takes it. None if it may."""
    if one.kind == "expected":  # the fault may have been mended in the configuration
        return None
    if one.unreadable is not None:
        return one.unreadable
    if one.provider not in providers:
        return f"no account of the gateway {one.provider} is in the configuration, so no worker would take it"
    return None


def shown_letter(opened: CheckedOut) -> dict[str, Any]:
    """A letter with what it holds, for a person to read: only the ids that a timeline shows too, the rest is masked."""
    told = asdict(opened.letter)
    if opened.letter.kind == "expected":
        return told | {"body": masked_expected(opened.body)}
    if opened.letter.unreadable is not None:
        return told | {"body": masked_body(opened.body)}
    if opened.letter.kind == "reply":
        return told | {"reply": read_kept_reply(opened.body)}
    claim = read_claim(opened.body)
    told["claim"] = {key: value for key, value in asdict(claim).items() if value is not None and key != "callback"}
    if claim.callback is not None:
        told["callback"] = masked_callback(claim.callback, claim)
    return told


def account_of(opened: CheckedOut) -> str | None:
    """The account that a claim or a reply is about; None where the body cannot be read."""
    if opened.letter.unreadable is not None or opened.letter.kind == "expected":
        return None
    kept = read_kept_reply(opened.body) if opened.letter.kind == "reply" else read_claim(opened.body)
    return kept.account


def _nameless(body: bytes) -> str:
    return f"unknown-{hashlib.sha256(body).hexdigest()[:12]}"


def _read_or_why(body: bytes, read: Callable[[bytes], _Message], noun: str) -> tuple[_Message | None, str | None]:
    """The message, or why this version cannot read it."""
    try:
        return read(body), None
    except NotOurs as error:
        return None, f"this version reads no {noun} in it ({error})"


def _payment_id(body: bytes) -> str | None:
    """The payment that an unreadable body names, if it is JSON at all."""
    try:
        named = read_own(body, dict[str, Any]).get("payment_id")
    except NotOurs:
        return None
    return named if isinstance(named, str) and is_payment_id(named) else None
