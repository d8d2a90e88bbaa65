"""`payproof reconcile --guess`: a map for a file that has none yet, and the file's first rows as that map reads them.

The proposal alone is on stdout, to be appended to a configuration. The rows, for a person to check it, are on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.statements import Line, StatementMap, Unread
from worker.cli.command_errors import WrongUsage
from worker.cli.write_statement import write_map
from worker.config.environment import config_path
from worker.reconciliation.report.amounts import plain_amount
from worker.reconciliation.statements import (
    Look,
    StatementError,
    StatementFile,
    as_toml,
    guess_headers,
    open_statement,
    propose,
    read_lines,
)
from worker.reconciliation.statements.headers import mapped_headers, normalized
from worker.terminal_text import printable_line

ROWS = 5
LONGEST = 60


def print_guess(path: Path, account: str | None = None) -> int:
    """Print both. Returns 0 where a whole map could be proposed, else 1.

    With an account, a whole map is put into the configuration below it. Raises WrongUsage for a file that cannot be
    read, and for a configuration that cannot be changed.
    """
    console = Console(stderr=True, highlight=False)
    try:
        statement = open_statement(path)
        seen = guess_headers(statement)
        proposal = propose(seen.headers, [row for _, row in seen.rows])
        sys.stdout.write(as_toml(proposal))
        sys.stdout.flush()
        console.print(_line(f"{path.name}: {statement.form}, {seen.table}, headers in row {seen.row}"))
        if proposal.map is None:
            console.print("The table lacks what is needed to read rows; complete it by hand.")
            return 1
        _print_rows(console, statement, seen, proposal.map)
        if account is not None:
            config = config_path(os.environ)
            write_map(config, account, as_toml(proposal))
            console.print(f"The map is in {config}, below {account}; see how it does: add --dry-run, without --guess.")
    except StatementError as error:
        raise WrongUsage(f"{path}: {error}") from None
    return 0


def _print_rows(console: Console, statement: StatementFile, seen: Look, columns: StatementMap) -> None:
    """Every cell of the first rows beside the value that was read from it."""
    keys = {normalized(header): key for key, header in mapped_headers(columns).items()}
    raw = dict(seen.rows)
    for line in islice(read_lines(statement, columns), ROWS):
        console.print()
        console.print(_line(f"Row {line.row}" + (f" cannot be read: {line.why}" if isinstance(line, Unread) else "")))
        console.print(_cells(seen.headers, raw.get(line.row, ()), keys, line, columns.time_zone))


def _cells(
    headers: Sequence[str], cells: Sequence[str], keys: Mapping[str, str], line: Line | Unread, zone: str
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("column", "cell", "read as"):
        table.add_column(name, overflow="fold")
    for header, cell in zip(headers, cells, strict=False):
        if header.strip() or cell.strip():
            key = keys.get(normalized(header))
            read = _read(key, line, zone) if key and isinstance(line, Line) else "" if key else "not read"
            table.add_row(_line(header), _line(cell[:LONGEST]), _line(read))
    return table


def _read(key: str, line: Line, zone: str) -> str:
    match key:
        case "amount":
            return f"amount {line.amount:.2f} BDT"
        case "at":
            return f"{line.at.astimezone(ZoneInfo(zone)):%-d %b %Y, %H:%M:%S} {zone}" if line.at else "no time"
        case "fee":
            return f"fee {plain_amount(line.fee)} BDT" if line.fee is not None else "no fee"
        case "kind":
            return line.kind
        case "status":
            return f"{line.kind}, {line.status}"
        case "currency":
            return "BDT"
        case _:
            value = getattr(line, key)
            return f"{key} {value}" if value is not None else f"no {key}"


def _line(text: str) -> Text:
    return printable_line(Text(text))
