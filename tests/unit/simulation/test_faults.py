"""Each fault that the judge was made for can still be put back; `python -m tests.unit.simulation.faults` does it."""

from __future__ import annotations

import pytest

from tests.unit.simulation.faults import FAULTS, ROOT, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_text_of_a_fault_stands_once_in_its_file(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text().count(fault.old) == 1
