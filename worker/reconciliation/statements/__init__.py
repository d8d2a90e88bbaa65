"""Statement files of gateways' portals, read exactly: open one, find its headers, read its lines.

    path ──open_statement──▶ Statement ──read_lines, by the account's map──▶ Line | Unread, row by row
                                └──look, propose, as_toml──▶ a map for a person to look over

The one thing to get wrong: `read_lines` may raise `StatementError` at the last row, so nothing is applied before.
"""

from worker.reconciliation.statements.guessing import Look, Proposal, guess_headers, propose
from worker.reconciliation.statements.lines import read_lines
from worker.reconciliation.statements.open_file import open_statement
from worker.reconciliation.statements.pasting import as_toml
from worker.reconciliation.statements.tables import StatementError, StatementFile

__all__ = [
    "Look", "Proposal", "StatementError", "StatementFile", "as_toml", "guess_headers", "open_statement", "propose",
    "read_lines",
]  # fmt: skip
