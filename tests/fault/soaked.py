"""What a soak showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, field

from tests.fault.bounds import Bounds
from tests.fault.sampling import Sample
from tests.fault.verdicts import Verdicts


class Soaked(Struct, kw_only=True):
    """What a soak showed. `over` names each broken bound, `capacity` is the calibration's payments a second.

    Buyers come at `share` of it.
    """

    seed: int
    minutes: float
    share: float
    bounds: Bounds
    capacity: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=Verdicts)
    over: list[str] = field(default_factory=list)
    deeds: Counter[str] = field(default_factory=Counter)
    chores: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0
    refused: int = 0
    slowest_reconciliation: float = 0.0
    alerts: Sequence[str] = ()
    loud: Sequence[str] = ()

    @property
    def held(self) -> bool:
        return not self.verdicts.all and not self.over
