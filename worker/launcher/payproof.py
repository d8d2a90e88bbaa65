"""The command `payproof`, and `python -m payproof`, started from the packages that were installed with this file.

Our packages have common names, and a shop may have a module `worker` of its own in its directory or on PYTHONPATH. So
ours are loaded from their own place before anything looks for them by name. The wheel has this file beside the
packages, and not in here, under a name that is ours alone.
"""

from __future__ import annotations

import signal
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

PACKAGES = ("schemas", "consumers", "worker")
MARK = "worker/launcher/__init__.py"


def main() -> None:
    """Run the command. Ends the process with a message where a package is missing."""
    if sys.argv[1:2] == ["serve"]:
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, _end)
    root = _root()
    for name in PACKAGES:
        spec = PathFinder.find_spec(name, [str(root)])
        if spec is None or spec.loader is None:
            sys.exit(f"payproof is not installed whole: {root} has no package {name}")
        sys.modules[name] = package = module_from_spec(spec)
        spec.loader.exec_module(package)
    from worker.cli import main as command

    command()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """End `serve` in good order while its modules are loaded. The command then handles the signals itself."""
    sys.stderr.write("payproof was told to end before it had started\n")
    sys.exit(0)


def _root() -> Path:
    """The directory of our packages: that of this file in a wheel, else that of the checkout."""
    here = Path(__file__).resolve().parent
    for place in (here, here.parents[1], *map(Path, sys.path)):
        if (place / MARK).is_file():
            return place
    sys.exit(f"payproof is not installed whole: there is no {MARK}")


if __name__ == "__main__":
    main()
