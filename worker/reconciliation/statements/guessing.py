"""Proposing a map for a file, for a person to look over and paste.

No statement is read by a guess. The proposal gives its reason for every column, and lists everything that is unclear.
Only a map that a person puts into the configuration is ever used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from schemas.statements import StatementMap, Unread
from worker.reconciliation.statements.cells import Unclear, blank, read_money
from worker.reconciliation.statements.dates import date_format
from worker.reconciliation.statements.headers import normalized
from worker.reconciliation.statements.known_words import HEADER_WORDS, KINDS, STATUS_WORDS, header_key, word_key
from worker.reconciliation.statements.tables import HEAD, StatementError, StatementFile, column_name

_LOOKED_AT = 500
_MOST_WORDS = 30
_IDS = ("transaction_id", "session_id", "reference")


class Look(Struct, frozen=True, kw_only=True):
    """The likeliest headers of a file, and the rows below them with their numbers."""

    table: str
    row: int
    headers: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


class Proposal(Struct, frozen=True, kw_only=True):
    """`map` is None where it would lack the amount or every id. `values` and `reasons` are by the map's keys."""

    map: StatementMap | None
    reasons: dict[str, str]
    unclear: tuple[str, ...]
    values: dict[str, Any]


def guess_headers(statement: StatementFile) -> Look:
    """Find the row with the most known headers. Raises StatementError where no row has two."""
    found = [
        (len({known[0] for cell in row[1] if (known := header_key(cell))}), -place, row, table)
        for place, table in enumerate(statement.tables)
        for row in table.head
        if not isinstance(row, Unread)
    ]
    best = max(found, key=lambda one: (one[0], one[1], -one[2][0]), default=None)
    if best is None or best[0] < 2:
        raise next((table.trouble for table in statement.tables if table.trouble), None) or StatementError(
            f"no row of the first {HEAD} holds headers that are known; write the map by hand"
        )
    _, _, (number, headers), table = best
    below = (row for row in table.rows() if not isinstance(row, Unread) and row[0] > number)
    rows = tuple((row, tuple(cells)) for row, cells in islice(below, _LOOKED_AT) if any(map(str.strip, cells)))
    return Look(table=table.name, row=number, headers=tuple(headers), rows=rows)


def propose(headers: Sequence[str], first_rows: Sequence[Sequence[str]]) -> Proposal:
    """A map for a file with these headers. More rows make it surer."""
    draft = _Draft(headers, first_rows)
    draft.columns()
    draft.amounts()
    draft.times()
    draft.words("status", STATUS_WORDS, needs=("completed",))
    draft.words("kind", KINDS, needs=("refunds", "payments"))
    values = draft.values
    for key in ("amount", "at", "status"):
        if key not in values:
            draft.unclear.append(f"no column was recognised as {key}" + _meaning(key))
    if not any(key in values for key in _IDS):
        draft.unclear.append(f"no column was recognised as any of {', '.join(_IDS)}; one is needed to find payments by")
    whole = "amount" in values and any(key in values for key in _IDS)
    return Proposal(
        map=StatementMap(**values) if whole else None,
        reasons=draft.reasons,
        unclear=tuple(draft.unclear),
        values=values,
    )


def _meaning(key: str) -> str:
    return {"status": "; every row would be money that arrived", "at": "; lines would have no time"}.get(key, "")


class _Draft:
    """A proposal as it grows."""

    def __init__(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._headers = headers
        self._rows = rows
        self.values: dict[str, Any] = {}
        self.reasons: dict[str, str] = {}
        self.unclear: list[str] = []
        self._places: dict[str, int] = {}

    def columns(self) -> None:
        """Map the columns by their headers alone."""
        known: dict[str, list[tuple[int, int]]] = {key: [] for key in HEADER_WORDS}
        for place, header in enumerate(self._headers):
            if found := header_key(header):
                known[found[0]].append((found[1], place))
        for key, found_places in known.items():
            for _, place in sorted(found_places):
                header = self._headers[place].strip()
                if sum(normalized(one) == normalized(header) for one in self._headers) > 1:
                    self.unclear.append(
                        f'the header "{header}" stands above more than one column, so it cannot be mapped'
                    )
                elif key in self.values:
                    self.unclear.append(f'"{header}" in column {column_name(place)} might be meant as {key} too')
                else:
                    self._take(key, place)
        for place, header in enumerate(self._headers):
            if header.strip() and header_key(header) is None:
                self.unclear.append(f'"{header.strip()}" in column {column_name(place)} is not known, and is left out')

    def amounts(self) -> None:
        for key, places in (("amount", 2), ("fee", 4)):
            cells = self._cells(key)
            if not cells:
                continue
            read = [amount for cell in cells if (amount := _money(cell, places)) is not None]
            if not read:
                self._drop(key, f'no cell of "{self.values[key]}" is an amount')
                continue
            self._add(key, f"{len(read)} of {len(cells)} cells are amounts")
            if key == "amount" and any(amount < 0 for amount in read):
                self.values["signed_amounts"] = True
                self.reasons["signed_amounts"] = "some amounts are negative; they would be refunds"

    def times(self) -> None:
        cells = self._cells("at")
        found = date_format(cells)
        if cells and found is None:
            self._drop(
                "at", f'no cell of "{self.values["at"]}" is a time in a form that is known, such as "{cells[0][:40]}"'
            )
        if found is None:
            return
        self._add("at", f"{found.fits} of {found.of} cells are times")
        if found.format is not None:
            self.values["date_format"] = found.format
            self.reasons["date_format"] = f'"{cells[0].strip()[:40]}" is written so'
        if found.rivals:
            others = ", ".join(form or "ISO 8601" for form in found.rivals)
            self.unclear.append(
                f"date_format: these rows do not tell whether it is {found.format or 'ISO 8601'} or {others}; "
                "look at a row whose day is known"
            )
        self.values["time_zone"] = "Asia/Dhaka"
        self.reasons["time_zone"] = "not told by the file; portals here write the time of Dhaka"

    def words(self, key: str, lists: dict[str, tuple[str, ...]], needs: tuple[str, ...]) -> None:
        said = list({normalized(cell): cell.strip() for cell in self._cells(key)}.values())
        if not said:
            return
        sorted_words: dict[str, list[str]] = {}
        for word in said[:_MOST_WORDS]:
            if name := word_key(lists, word):
                sorted_words.setdefault(name, []).append(word)
            else:
                self.unclear.append(f'{key}: what "{word[:60]}" means is not known; rows that say it cannot be read')
        if len(said) > _MOST_WORDS or not any(need in sorted_words for need in needs):
            self._drop(key, f'the words of "{self.values[key]}" are not those of a {key} column')
            return
        for name, words in sorted_words.items():
            self.values[name] = tuple(words)
            self.reasons[name] = f'words of the column "{self.values[key]}"'

    def _take(self, key: str, place: int) -> None:
        self._places[key] = place
        self.values[key] = self._headers[place].strip()
        self.reasons[key] = f"column {column_name(place)}, by its header"

    def _drop(self, key: str, why: str) -> None:
        del self.values[key], self.reasons[key]
        self.unclear.append(f"{key}: {why}")

    def _add(self, key: str, reason: str) -> None:
        self.reasons[key] += f"; {reason}"

    def _cells(self, key: str) -> list[str]:
        place = self._places.get(key)
        return [] if place is None else [row[place] for row in self._rows if place < len(row) and not blank(row[place])]


def _money(cell: str, places: int) -> Any:
    try:
        return read_money(cell, places)
    except Unclear:
        return None
