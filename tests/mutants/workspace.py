"""Where the rules are mutated: a copy of the rules, their tests and what both need, made into mutants by mutmut.

No verdict may outlive its subject. mutmut itself mutates and tests a changed rule again; when anything else changed (a
test, a fake, a constant), every verdict is thrown away.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".payproof" / "mutants"
TOLD = frozenset({"snapshot", "evidence", "explain", "next_steps", "timeline_text"})
"""The modules that explain payments to people; they decide nothing about money."""
KIT = "consumers/providers/kit"
READERS = (f"{KIT}/callback_fields.py", f"{KIT}/multipart.py")
"""The readers of strangers' bytes for all gateways. The rest of `consumers/providers` is about one gateway each."""

NEEDED = ("schemas", "worker", "tests/unit", "tests/fakes", "tests/fixtures")
"""What the tests of rules import and read beside the rules themselves."""

LEFT_OUT = tuple(
    f"tests/unit/{name}" for name in ("simulation", "test_compatibility", "test_contract", "test_fuzz", "test_provider")
)
"""Simulated months find a fault too late for thousands of mutants; the others are about shapes and gateways."""

_CONFIG = """
[tool.mutmut]
source_paths = ["consumers"]
only_mutate = {modules}
also_copy = ["schemas", "worker"]
do_not_mutate_patterns = ['^\\s*assert ', '^\\s*assert_never\\(']
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "tests.quickest"]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 5.0
timeout_constant = 2.0
"""


def rules() -> list[str]:
    """The modules of rules, as paths from the root."""
    found = [path for path in sorted((ROOT / "consumers").rglob("*.py")) if path.stem not in TOLD | {"__init__"}]
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if name in READERS or not name.startswith("consumers/providers/")]


def fast_tests() -> list[str]:
    """The files of unit tests that reach the rules, without those that take too long."""
    found = sorted((ROOT / "tests" / "unit").rglob("test_*.py"))
    reaching = [path for path in found if any(word in path.read_text("utf-8") for word in ("from consumers", ".drive"))]
    return [name for path in reaching if not (name := str(path.relative_to(ROOT))).startswith(LEFT_OUT)]


def prepared(modules: Sequence[str], *, whole: bool) -> Path:
    """The directory to run mutmut in. A run over all rules continues the last such run; other runs begin anew."""
    place = PLACE / ("rules" if whole else "modules")
    stands_on = _fingerprint(modules)
    mark = place / "stands-on"
    if not whole or not mark.exists() or mark.read_text() != stands_on:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name in NEEDED:
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (ROOT / "tests").glob("*.py"):
            shutil.copy2(path, place / "tests")
        mark.write_text(stands_on)
    shutil.copytree(ROOT / "consumers", place / "consumers", dirs_exist_ok=True)
    (place / "pyproject.toml").write_text(_configuration(modules))
    return place


def _configuration(modules: Sequence[str]) -> str:
    """The project's own configuration, for pytest, with the tool's."""
    own = (ROOT / "pyproject.toml").read_text("utf-8")
    return own + _CONFIG.format(modules=list(modules), tests=fast_tests())


def _fingerprint(modules: Sequence[str]) -> str:
    """A fingerprint of everything but the rules: mutmut watches those itself, function by function."""
    digest = sha256(_configuration(modules).encode())
    for path in _files():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for name in ("tests/conftest.py", *NEEDED):
        path = ROOT / name
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (one for one in found if one.is_file() and "__pycache__" not in one.parts)
