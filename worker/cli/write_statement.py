"""`payproof reconcile --guess --write`: the proposed map put into the configuration, below its account.

The file is changed as text, so that its comments stay. It is written only where the changed text means the same as
before with the map in its place; else nothing is changed.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.cli.command_errors import WrongUsage
from worker.runtime.whole_file import replacing

_HEAD = re.compile(r"^\s*\[{1,2}\s*([A-Za-z0-9_.\s-]+?)\s*\]{1,2}\s*(#.*)?$", re.ASCII)
_ACCOUNT = "merchants.accounts"


def write_map(path: Path, account: str, table: str) -> None:
    """Insert the table (its header with it) below the account. Raises WrongUsage where it cannot, and OSError."""
    text = path.read_text(encoding="utf-8")
    try:
        before = tomllib.loads(text)
        table_map = tomllib.loads(table)["merchants"]["accounts"]["statement"]
    except (tomllib.TOMLDecodeError, KeyError):
        raise _by_hand(path) from None
    found = [one for one in _accounts(before) if one.get("id") == account]
    if len(found) != 1:
        raise WrongUsage(f"--account: {account} is no account of {path}")
    if "statement" in found[0]:
        raise WrongUsage(f"--write: {account} has a statement table already; it was left as it is")
    lines = text.splitlines(keepends=True)
    found[0]["statement"] = table_map
    for place in _ends(lines):
        changed = _inserted(lines, place, table)
        try:
            if tomllib.loads(changed) == before:
                _replace(path, changed)
                return
        except tomllib.TOMLDecodeError:
            continue
    raise _by_hand(path)


def _by_hand(path: Path) -> WrongUsage:
    return WrongUsage(f"--write: the map cannot be put into {path} by itself; paste it below its account")


def _accounts(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [account for merchant in document.get("merchants", []) for account in merchant.get("accounts", [])]


def _ends(lines: Sequence[str]) -> list[int]:
    """The lines before which an account's tables end: where a table of something else begins, and at the end."""
    places, within = [], False
    for number, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is None:
            continue
        name = re.sub(r"\s", "", head[1])
        if within and (name == _ACCOUNT or not name.startswith(f"{_ACCOUNT}.")):
            places.append(number)
        within = name.startswith(_ACCOUNT)
    return [*places, len(lines)]


def _inserted(lines: Sequence[str], place: int, table: str) -> str:
    """The text with the table before this line, above the blank lines and comments that lead to the next table."""
    while place and (not lines[place - 1].strip() or lines[place - 1].lstrip().startswith("#")):
        place -= 1
    head = "".join(lines[:place])
    return f"{head}{'' if head.endswith(chr(10)) else chr(10)}\n{table}{''.join(lines[place:])}"


def _replace(path: Path, text: str) -> None:
    """Write it whole or not at all, with the file's owner and rights. Raises WrongUsage where it cannot keep those."""
    real = path.resolve()
    kept = real.stat()
    with replacing(real) as file:
        file.write(text.encode())
        made = os.fstat(file.fileno())
        try:
            if (made.st_uid, made.st_gid) != (kept.st_uid, kept.st_gid):
                os.fchown(file.fileno(), kept.st_uid, kept.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(kept.st_mode))
        except PermissionError:
            raise WrongUsage(
                f"--write: {path} would change its owner, so it was left as it is; run this as its owner"
            ) from None
