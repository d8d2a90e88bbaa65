"""Which unit tests a change can break, the nearest to it first: `deploy/dev quick` runs them.

A changed module reaches a test that imports it, directly or through others. A changed file that is no module reaches
the tests of every module that mentions its name, or the name of a folder of its path. The simulated months are left
out, since they find a fault too late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("worker", "consumers", "schemas", "tests")
UNIT = ROOT / "tests" / "unit"


def reached(files: Iterable[str]) -> list[str]:
    """The test files of the unit layer that these files can break. All paths are relative to the repository."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=str(ROOT / ".import_linter_cache"))
    paths = {name: path for name in graph.modules if (path := _path_of(name)) is not None}
    changed = {name for file in files for name in _changed(Path(file), paths)}
    distances: dict[Path, int] = {}
    for module in changed:
        for name in {module} | graph.find_downstream_modules(module):
            path = paths.get(name, ROOT)
            if path.parent == UNIT and path.name.startswith("test_"):
                distance = len(graph.find_shortest_chain(name, module) or ()) if name != module else 0
                distances[path] = min(distance, distances.get(path, distance))
    return [str(path.relative_to(ROOT)) for path in sorted(distances, key=lambda path: (distances[path], path))]


def _changed(file: Path, paths: dict[str, Path]) -> Iterable[str]:
    """The module that a file is, or the modules that name it."""
    if file.suffix == ".py":
        return [name for name, path in paths.items() if path == ROOT / file]
    parts = [part for part in file.parts if part != "tests"]
    words = {f'"{part}"' for part in parts} | {f'/{file.name}"'}
    return [name for name, path in paths.items() if any(word in path.read_text("utf-8") for word in words)]


def _path_of(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


if __name__ == "__main__":
    print(*reached(sys.argv[1:]), sep="\n", end="")
