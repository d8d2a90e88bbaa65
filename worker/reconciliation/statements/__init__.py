"""Statement files of gateways' portals, read exactly: open a file, find its headers, read its lines.

    path ──open_statement──▶ StatementFile ──read_lines, by the account's map──▶ Line | Unread, row by row
                                  └──guess_headers, propose, as_toml──▶ a map for a person to look over

`read_lines` may raise `StatementError` at the last row, so nothing is applied before.
"""

from worker.reconciliation.statements.guessing import Look, Proposal, guess_headers, propose
from worker.reconciliation.statements.lines import read_lines
from worker.reconciliation.statements.open_file import open_statement
from worker.reconciliation.statements.pasting import as_toml
from worker.reconciliation.statements.tables import FIRST_ROWS, StatementError, StatementFile

__all__ = [
    "FIRST_ROWS", "Look", "Proposal", "StatementError", "StatementFile", "as_toml", "guess_headers", "open_statement",
    "propose", "read_lines",
]  # fmt: skip
