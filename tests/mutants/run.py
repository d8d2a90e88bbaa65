"""Mutation testing of the rules: each is changed a little, thousands of times, and a test has to notice.

    deploy/dev mutants --module consumers/checks/limits.py

A survivor, a change that no test notices, shows a missing test or a line that is not needed. Any other survivor is
named in `accepted.toml` with its reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.mutants import tool
from tests.mutants.accepted import FILE, Change, accepted, outlived, unnamed
from tests.mutants.workspace import ROOT, prepared, rules


def show(console: Console, found: tool.Found, modules: Sequence[str], seconds: float) -> None:
    table = Table(title=f"{seconds:.0f} s, {tool.cores()} processors", title_justify="left")
    table.add_column("rules")
    for name in ("mutants", "killed", "timeouts", "survived"):
        table.add_column(name, justify="right")
    rows = [(module, found.of(module)) for module in modules]
    for name, one in [*((name, one) for name, one in rows if one.verdicts), ("all", found)]:
        counts = (len(one.verdicts), one.count("killed"), one.count("timeout"), len(one.survivors))
        table.add_row(name, *map(str, counts))
    console.print(table)


def judged(console: Console, found: tool.Found, survivors: Sequence[Change], modules: Sequence[str]) -> bool:
    """Print the survivors without an entry, and the entries without a survivor. Returns whether there is neither."""
    entries = accepted()
    missing = unnamed(survivors, entries)
    for change in missing:
        console.print(f"survived: {change.shown()}", soft_wrap=True)
    gone = [] if found.unchecked else outlived(survivors, entries, modules)
    for change in gone:
        console.print(f"accepted, and does not survive: {change.shown()}", soft_wrap=True)
    if found.unchecked:
        console.print(f"{found.unchecked} mutants are not tested yet; a run over all rules goes on where it was left.")
    if not missing and not gone and not found.unchecked:
        console.print(f"Every survivor is named with its reason in {FILE.relative_to(ROOT)}.")
    return not (missing or gone or found.unchecked)


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/dev mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--module", action="append", help="only this module, anew, such as consumers/money/fold.py")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="end after this time; a run over all can continue later"
    )
    given = parser.parse_args()
    modules = given.module or rules()
    if strangers := [
        module for module in modules if not (ROOT / module).is_file() or not module.startswith("consumers/")
    ]:
        parser.error(f"no rules are in {', '.join(strangers)}")
    console, words = (Console(stderr=aside, markup=False, highlight=False) for aside in (False, True))
    began = time.monotonic()
    place = prepared(modules, whole=given.module is None)
    try:
        tool.run(place, 60 * given.minutes, words.print)
    except tool.ToolError as error:
        words.print(f"no mutant was tested; these are mutmut's last words:\n{error}")
        return 1
    found = tool.found(place)
    show(console, found, modules, time.monotonic() - began)
    return 0 if judged(console, found, tool.changes(place, found.survivors), modules) else 1


if __name__ == "__main__":
    sys.exit(main())
