"""A list as it was asked for: a table for a person, `--json` for programs, or `--csv` for a spreadsheet.

Each list command has the same three options, which are read here alone. A table has its times in `--tz`, and names the
zone in its head. JSON and CSV have theirs in UTC, each record with the same names, and nothing beside the records.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cyclopts import Parameter

from worker.cli.command_errors import WrongUsage
from worker.runtime.csv_cells import csv_text
from worker.runtime.zone import ZONE

Record = Mapping[str, object]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """The options of every list command."""

    json: Annotated[bool, Parameter(help="One JSON line each, with times in UTC.", negative="")] = False
    csv: Annotated[bool, Parameter(help="CSV with times in UTC, for a spreadsheet.", negative="")] = False
    tz: Annotated[str, Parameter(help="The time zone of a table's times, such as UTC.")] = ZONE

    def __post_init__(self) -> None:
        """Raises WrongUsage."""
        if self.json and self.csv:
            raise WrongUsage("--csv: is not for --json")
        _ = self.zone

    @property
    def zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise WrongUsage(f"--tz: {self.tz} is no time zone; such as Asia/Dhaka, or UTC") from None

    def time(self, at: datetime | None) -> str:
        """A time for a table, in the zone of its head; empty for None."""
        return "" if at is None else f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def head(self, name: str) -> str:
        """The head of a column of times."""
        return f"{name} ({self.tz})"


LISTED = ListOptions()
"""What a command has as its default: a table."""


def print_list(
    options: ListOptions, columns: Sequence[str], records: Sequence[Record], table: Callable[[], None]
) -> None:
    """Print the records as JSON or CSV with these columns, or call `table`, which prints them for a person."""
    if options.json:
        sys.stdout.write("".join(msgspec.json.encode(record).decode() + "\n" for record in records))
    elif options.csv:
        sys.stdout.write(csv_text(columns, records))
    else:
        table()
