"""The logs of several children on one terminal: each line under its program's name, in the order in which it came."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection
from pathlib import Path

from worker.playground.demo.children import Child

LOOK_SECONDS = 0.1
_PAINT = ("36", "35", "33")


class LogLines:
    """Follows the children's logs from where they end now, until the block is left. The last lines are shown, too."""

    def __init__(self, children: Collection[Child]) -> None:
        width = max(len(child.name) for child in children)
        painted = sys.stdout.isatty()
        self._heads = {
            child.log: f"\x1b[{paint}m{child.name:{width}}\x1b[0m │ " if painted else f"{child.name:{width}} | "
            for child, paint in zip(children, _PAINT, strict=False)
        }
        self._read = {log: log.stat().st_size if log.exists() else 0 for log in self._heads}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._show()
        self._show()

    def _show(self) -> None:
        for log in self._heads:
            self._show_new(log)

    def _show_new(self, log: Path) -> None:
        """Show the whole lines that came since the last look."""
        if not log.exists():
            return
        with log.open("rb") as file:
            file.seek(self._read[log])
            whole, end, _ = file.read().rpartition(b"\n")
        self._read[log] += len(whole) + len(end)
        if end:
            head = self._heads[log]
            lines = whole.decode("utf-8", "replace").split("\n")
            sys.stdout.write("".join(f"{head}{line}\n" for line in lines))
            sys.stdout.flush()
