"""A proposal as TOML to paste.

Its words come from a stranger's file. A quote or a line break in a header would write configuration of its own, so both
are escaped.
"""

from __future__ import annotations

from typing import Any

from schemas.statements import StatementMap
from worker.reconciliation.statements.guessing import Proposal


def as_toml(proposal: Proposal) -> str:
    """The table to paste below its account, with the reasons and the unclear points as comments."""
    lines = ["[merchants.accounts.statement]"]
    keys = [key for key in StatementMap.__struct_fields__ if key in proposal.values]
    lines.extend(f"{key} = {_toml(proposal.values[key])}  # {_one_line(proposal.reasons[key])}" for key in keys)
    lines.extend(f"# Not clear: {_one_line(one)}" for one in proposal.unclear)
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    escaped = "".join(sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08X}" for sign in value)
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
