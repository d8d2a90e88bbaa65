"""A statement's report of rows that a test makes up."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.report import Report, ReportHeader, Row
from worker.reconciliation.report.gathering import Adding


def gathered(about: ReportHeader, rows: Iterable[Row]) -> Report:
    adding = Adding(about)
    for row in rows:
        adding.add(row)
    return adding.report()
