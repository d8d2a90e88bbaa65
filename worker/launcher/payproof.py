"""The command `payproof`, and `python -m payproof`, started from the packages that were installed with this file.

Our packages have common names, and a shop may have a module `worker` of its own in its directory or on PYTHONPATH. So
ours are loaded from their own place before anything looks for them by name. The wheel has this file beside the
packages, and not in here, under a name that is ours alone.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

PACKAGES = ("schemas", "consumers", "worker")
MARK = "worker/launcher/__init__.py"


def main() -> None:
    """Run the command. Ends the process with a message where a package is missing."""
    root = _root()
    for name in PACKAGES:
        spec = PathFinder.find_spec(name, [str(root)])
        if spec is None or spec.loader is None:
            sys.exit(f"payproof is not installed whole: {root} has no package {name}")
        sys.modules[name] = package = module_from_spec(spec)
        spec.loader.exec_module(package)
    from worker.cli import main as command

    command()


def _root() -> Path:
    """The directory of our packages: that of this file in a wheel, else that of the checkout."""
    here = Path(__file__).resolve().parent
    for place in (here, here.parents[1], *map(Path, sys.path)):
        if (place / MARK).is_file():
            return place
    sys.exit(f"payproof is not installed whole: there is no {MARK}")


if __name__ == "__main__":
    main()
