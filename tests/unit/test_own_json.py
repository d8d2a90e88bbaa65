"""Our own JSON is read with suspicion: other bytes are refused in a single way, and end no process."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.callbacks import read_claim
from schemas.own_json import NotOurs
from schemas.shown import PaymentEvent
from schemas.words import Status
from tests.fakes.drive import Drive, says
from worker.postgres.wakeups import Wakeup, Wakeups

DEEP = '{"newer": ' + "[" * 3_900 + "]" * 3_900 + "}"
"""As deep as the 8,000 bytes of a wakeup allow."""

OTHERS = {
    "cut off": (b'{"id": "c', "DecodeError"),
    "another shape": (b'{"id": 7}', "ValidationError"),
    "no UTF-8": (b'{"id": "\xff"}', "(Unicode)?DecodeError"),
    "too deep": (DEEP.encode(), "RecursionError"),
}

FOR_NO_TABLE: dict[str, dict[str, Any]] = {
    "a time without a zone": {"received_at": datetime(2026, 5, 17, 10, 10)},
    "a time before all times": {"received_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
    "an id that is too long": {"id": "c" * 201},
    "an event's id that is too long": {"event_id": "e" * 201},
    **{
        f"a NUL in {name}": {name: "a\x00"}
        for name in ("id", "session_id", "reference", "transaction_id", "event_id", "event_type", "note")
    },
}


async def nothing(_: str) -> None: ...


@pytest.mark.parametrize("what", OTHERS)
def test_bytes_that_are_no_claim_of_ours_are_refused(what: str) -> None:
    body, kind = OTHERS[what]
    with pytest.raises(NotOurs, match=f"^{kind}: ") as refused:
        read_claim(body)
    assert re.fullmatch(kind, refused.value.kind)


@pytest.mark.parametrize("what", FOR_NO_TABLE)
async def test_a_claim_that_no_table_takes_is_refused_before_its_payment_is_blamed(what: str) -> None:
    drive = Drive()
    invented = drive.claim(await drive.open(), **FOR_NO_TABLE[what])
    with pytest.raises(NotOurs):
        read_claim(msgspec.json.encode(invented))


async def test_a_claim_is_read_in_utc() -> None:
    drive = Drive()
    claim = drive.claim(await drive.open())
    elsewhere = replace(claim, received_at=claim.received_at.astimezone(timezone(timedelta(hours=20))))
    read = read_claim(msgspec.json.encode(elsewhere))
    assert (read, read.received_at.tzinfo) == (claim, UTC)


@pytest.mark.parametrize("invented", ["", "x\r\nhost: y", "x" * 200_000, "00-" + "A" * 32 + "-" + "b" * 16 + "-01"])
async def test_an_invented_trace_reaches_no_event(invented: str) -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open()
    await drive.publish(read_claim(msgspec.json.encode(drive.claim(payment_id, traceparent=invented))))
    event = drive.ledger.events_of(payment_id)[-1]
    assert event.traceparent is None
    assert msgspec.json.decode(event.body, type=PaymentEvent).data.status is Status.COMPLETED


async def test_a_trace_of_ours_is_kept() -> None:
    drive = Drive()
    claim = drive.claim(await drive.open(), traceparent=f"00-{1:032x}-{2:016x}-01")
    assert read_claim(msgspec.json.encode(claim)) == claim


@pytest.mark.parametrize("payload", [DEEP, '{"look_at": "2026-05-17T10:10:00"}'], ids=["too deep", "no zone"])
def test_a_wakeup_that_cannot_be_read_makes_the_process_look(payload: str) -> None:
    heard: list[Wakeup] = []
    wakeups = Wakeups(nothing)
    wakeups.on_wakeup = heard.append
    wakeups.receive(payload)
    assert heard == [Wakeup(events=True, placed=True)]
