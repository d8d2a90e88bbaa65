"""Whether everyone can use a page, as far as axe-core sees it.

The debugger evaluates axe, and axe is never added to the document, so the page's own content security policy stays in
force and is tested too.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import Error, Page

SOURCE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
GRAVE = ("serious", "critical")
TRIES = 3


@cache
def source() -> str:
    assert SOURCE.exists(), f"{SOURCE.name} is not in tests/node_modules; deploy/dev test e2e installs it."
    return SOURCE.read_text(encoding="utf-8")


async def accessible(page: Page, *, but: Collection[str] = ()) -> None:
    """Fail on problems that axe calls serious or critical, naming rule, element and help.

    The rules in `but` are passed over. The page needs scripts on.
    """
    violations = (await _run(page))["violations"]
    faults = [fault for fault in violations if fault["impact"] in GRAVE and fault["id"] not in but]
    told = [f"{fault['id']} ({fault['impact']}) at {_targets(fault)}: {fault['help']}" for fault in faults]
    assert not told, f"{page.url}\n" + "\n".join(told)


async def _run(page: Page) -> dict[str, Any]:
    """The confirming page reloads itself now and then, which ends a run half way; the next run has seconds."""
    for left in reversed(range(TRIES)):
        try:
            await page.evaluate(source())
            result: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        except Error:
            if not left:
                raise
            await page.wait_for_load_state()
        else:
            return result
    raise AssertionError("unreachable")


def _targets(fault: dict[str, Any]) -> str:
    return ", ".join(" ".join(map(str, node["target"])) for node in fault["nodes"])
