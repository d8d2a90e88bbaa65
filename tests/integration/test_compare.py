"""The comparison of two programs, with one program on both sides: it must find no difference."""

from __future__ import annotations

from tests.compare.__main__ import HERE, compared
from tests.compare.acts import drawn
from tests.compare.telling import differences, kinds_met

SEED, PAYMENTS = 3, 8


async def test_a_program_does_not_differ_from_itself() -> None:
    acts = drawn(SEED, PAYMENTS)
    before, after = await compared(HERE, HERE, acts, SEED)
    assert [str(one) for one in differences(before, after)] == []
    met = kinds_met(after)
    assert met["ended as"].total() == PAYMENTS
    assert met["told"]["payment.completed"] > 0
    assert met["answers"].total() > PAYMENTS
    assert len(after.answers) == len(acts)
