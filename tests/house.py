"""The layout of the production code in figures: rooms, imports that run back up, names used twice, sizes.

`deploy/dev house` prints them for the working directory; `--list` names each place.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

PRODUCTION = ("consumers", "schemas", "worker")
PLAYGROUND = "worker/playground/"
PROVIDERS = "consumers/providers/"


def production_files(root: Path) -> list[Path]:
    """The production modules that git knows, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *(f"{package}/*.py" for package in PRODUCTION)],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (root / name).exists()]


def rooms(files: Iterable[Path]) -> list[str]:
    """The packages directly below `worker` and `consumers`; `schemas` is one room."""
    return sorted({"/".join(file.parts[: 1 if file.parts[0] == "schemas" else 2]) for file in files if _in_room(file)})


def outside_rooms(files: Iterable[Path]) -> list[str]:
    """The modules that stand beside the rooms."""
    return sorted(str(file) for file in files if not _in_room(file) and file.name != "__init__.py")


def imports_back_up() -> list[str]:
    """The imports between rooms that would have to go, so that no room imports itself through others."""
    graph = grimp.build_graph(*PRODUCTION, cache_dir=None)
    return sorted(
        f"{importer} -> {imported}"
        for package in ("worker", "consumers")
        for importer, imported in graph.nominate_cycle_breakers(package)
    )


def shared_names(root: Path, files: Iterable[Path]) -> dict[str, list[str]]:
    """Public classes and functions at the top of more than one module, and their modules."""
    defines = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    places = defaultdict(list)
    for file in files:
        for node in ast.parse((root / file).read_text()).body:
            if isinstance(node, defines) and not node.name.startswith("_"):
                places[node.name].append(str(file))
    return _more_than_once(places)


def shared_file_names(files: Iterable[Path]) -> dict[str, list[str]]:
    """Base names of more than one file; a gateway and its counterparts in the playground may share theirs."""
    listed = list(files)
    gateways = {file.name for file in listed if str(file.parent) == PROVIDERS.rstrip("/")}
    places = defaultdict(list)
    for file in listed:
        counterpart = file.name in gateways and str(file).startswith((PROVIDERS, PLAYGROUND))
        if file.name != "__init__.py" and not counterpart:
            places[file.name].append(str(file))
    return _more_than_once(places)


def _in_room(file: Path) -> bool:
    return file.parts[0] == "schemas" or len(file.parts) > 2


def _more_than_once(places: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def main() -> None:
    root = Path.cwd()
    sys.path.insert(0, str(root))
    files = production_files(root)
    product = [file for file in files if not str(file).startswith(PLAYGROUND)]
    lines = {file: (root / file).read_text().count("\n") for file in files}
    greatest = max(files, key=lines.__getitem__)
    back_up = imports_back_up()
    counted: dict[str, Iterable[str]] = {
        "rooms at the first level": rooms(files),
        "modules beside them": outside_rooms(files),
        "imports between rooms that run back up": back_up,
        "top-level names in more than one module": _listed(shared_names(root, files)),
        "the same without the playground": _listed(shared_names(root, product)),
        "file names used more than once": _listed(shared_file_names(files)),
    }
    for what, found in counted.items():
        listed = list(found)
        print(f"{what}: {len(listed)}")
        if "--list" in sys.argv:
            print(*(f"  {one}" for one in listed), sep="\n")
    print("lines of worker/ without the playground:", sum(lines[file] for file in product if file.parts[0] == "worker"))
    print(f"median file: {statistics.median(lines.values()):.0f} lines")
    print(f"greatest file: {lines[greatest]} lines ({greatest})")


def _listed(places: Mapping[str, list[str]]) -> list[str]:
    return [f"{name}: {', '.join(found)}" for name, found in places.items()]


if __name__ == "__main__":
    main()
