"""What in a migration stops the writers of a table for the time of a scan or a rewrite, read from its text.

squawk parses the SQL, and knows the lock of each statement. It does not know how big a table is, and of a `do` block
only the words are read here. So a finding that is well considered is silenced above the statement: by `-- squawk-ignore
RULE` for a rule of squawk's, by `-- locks: why` for one of ours.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOCKS = {
    "adding-field-with-default": "the table is rewritten",
    "adding-foreign-key-constraint": "both tables are read whole",
    "adding-not-nullable-field": "the table is read whole",
    "changing-column-type": "the table is rewritten",
    "constraint-missing-not-valid": "the table is read whole",
    "disallowed-unique-constraint": "an index is built",
    "require-concurrent-index-creation": "an index is built",
    "require-concurrent-index-deletion": "it waits for all who read the table",
    "require-concurrent-reindex": "an index is built",
    "syntax-error": "nobody can read it",
}
"""The rules of squawk that are about writers who wait, and why they wait."""

SMALL = frozenset({"access", "allowances", "contractions", "endpoints", "relays", "servers", "tokens"})
"""The tables whose size follows the configuration, and not the payments."""

_PIECE = re.compile(r"(--[^\n]*|/\*.*?\*/)|('(?:[^']|'')*'|\$(\w*)\$.*?\$\3\$)|(;)|[^-/'$;]+|.", re.DOTALL)
_WHOLE = re.compile(r"(?:update(?:\s+only)?|delete\s+from(?:\s+only)?|merge\s+into)\s+(\w+)", re.IGNORECASE)
_STRONG = re.compile(r"(?:truncate|vacuum|cluster|lock|refresh\s+materialized)\b", re.IGNORECASE)
_BLOCK = re.compile(r"do\b", re.IGNORECASE)
_IN_A_BLOCK = re.compile(
    r"\b(index|trigger|constraint|foreign\s+key|update|delete|merge|truncate|vacuum|cluster|lock|attach|detach"
    r"|(?:add|alter)\s+column|set\s+not\s+null|type|references)\b",
    re.IGNORECASE,
)
"""Words of statements that may lock a table for long. squawk does not read a `do` block, which may make its SQL."""
_CONCURRENT = re.compile(r"(?:create|drop|reindex)\b.*\bconcurrently\b", re.IGNORECASE | re.DOTALL)
_ALONE = re.compile(
    r"create\s+(?:unique\s+)?index\s+concurrently\s+if\s+not\s+exists\s+\w+\s+on\b"
    r"|drop\s+index\s+concurrently\s+if\s+exists\s+\w+$"
    r"|alter\s+table\s+\w+\s+validate\s+constraint\s+\w+$",
    re.IGNORECASE,
)


def findings(text: str) -> list[str]:
    """What the `migrate:up` of a file locks for long: a line for each finding, empty where nobody waits."""
    up = text.partition("-- migrate:up")[2].partition("-- migrate:down")[0]
    mark, _, sql = up.partition("\n")
    outside = "transaction:false" in mark
    return [*_read_by_squawk(sql, transaction=not outside), *_read_here(sql, outside=outside)]


def _read_by_squawk(sql: str, *, transaction: bool) -> Iterator[str]:
    beside = Path(sys.executable).with_name("squawk")
    program = beside if beside.exists() else shutil.which("squawk")
    assert program is not None, "the program squawk is missing: pip install squawk-cli"
    words = [program, "--pg-version=15", "--reporter=json", "--stdin-filepath=up.sql"]
    words += ["--assume-in-transaction"] if transaction else []
    said = subprocess.run(words, input=sql, capture_output=True, text=True, timeout=60, check=False)
    for found in json.loads(said.stdout):
        if found["rule_name"] in LOCKS:
            yield f"{found['rule_name']}: {LOCKS[found['rule_name']]}: {sql.splitlines()[found['line']].strip()}"


def _read_here(sql: str, *, outside: bool) -> Iterator[str]:
    statements = [*_statements(sql)]
    if outside and (len(statements) != 1 or not _ALONE.match(statements[0][0])):
        yield "outside: a file without a transaction holds one statement, which can be run again"
    for statement, body, comments in statements:
        if "-- locks: " in comments:
            continue
        if not outside and _CONCURRENT.match(statement):
            yield "inside: it needs a file of its own with `-- migrate:up transaction:false`"
        if (written := _WHOLE.match(statement)) and written[1] not in SMALL:
            yield f"whole-table: its rows stay locked until the commit: {statement.splitlines()[0]}"
        elif _STRONG.match(statement):
            yield f"strong-lock: everyone waits: {statement.splitlines()[0]}"
        elif _BLOCK.match(statement) and (word := _IN_A_BLOCK.search(body)):
            yield f"block: say what it locks: {word[0]}"


def _statements(sql: str) -> Iterator[tuple[str, str, str]]:
    """Each statement with its strings and bodies emptied, these, and the comments within and above it."""
    statement = bodies = comments = ""
    for piece in _PIECE.finditer(sql):
        comment, quoted, _, end = piece.groups()
        if end:
            yield statement.strip(), bodies, comments
            statement = bodies = comments = ""
        elif comment:
            comments += comment + "\n"
        else:
            statement += "''" if quoted else piece[0]
            bodies += quoted or ""
    if statement.strip():
        yield statement.strip(), bodies, comments
