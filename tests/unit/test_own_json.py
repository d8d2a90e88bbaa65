"""Our own JSON is read with suspicion: other bytes are refused in a single way, and end no process."""

from __future__ import annotations

import pytest

from schemas.callbacks import read_claim
from schemas.own_json import NotOurs
from worker.postgres.wakeups import Wakeup, Wakeups

DEEP = '{"newer": ' + "[" * 3_900 + "]" * 3_900 + "}"
"""As deep as the 8,000 bytes of a wakeup allow."""

OTHERS = {
    "cut off": (b'{"id": "c', "DecodeError"),
    "another shape": (b'{"id": 7}', "ValidationError"),
    "no UTF-8": (b'{"id": "\xff"}', "UnicodeDecodeError"),
    "too deep": (DEEP.encode(), "RecursionError"),
}


async def nothing(_: str) -> None: ...


@pytest.mark.parametrize("what", OTHERS)
def test_bytes_that_are_no_claim_of_ours_are_refused(what: str) -> None:
    body, kind = OTHERS[what]
    with pytest.raises(NotOurs, match=f"^{kind}: ") as refused:
        read_claim(body)
    assert refused.value.kind == kind


def test_a_wakeup_that_cannot_be_read_makes_the_process_look() -> None:
    heard: list[Wakeup] = []
    wakeups = Wakeups(nothing)
    wakeups.on_wakeup = heard.append
    wakeups.receive(DEEP)
    assert heard == [Wakeup(events=True, placed=True)]
