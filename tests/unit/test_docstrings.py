"""The errors, modules and files that docstrings and comments name exist."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for room in ("consumers", "schemas", "worker") for path in (ROOT / room).rglob("*.py"))
NAMES = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
RAISES = re.compile(r"\bRaises ((?:`?\w+`?)(?:(?:, | or |, or | and )`?[A-Z]\w+`?)*)")
DOTTED = re.compile(r"\b((?:consumers|schemas|worker)(?:\.\w+)+)\b(?!\()")


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@cache
def spoken() -> set[str]:
    """Every name that the code defines, imports or uses."""
    found = set(dir(builtins))
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ClassDef(name=name) | ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                    found.add(name)
    return found


def there(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for many in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:many]))
        except ModuleNotFoundError:
            continue
        for part in parts[many:]:
            fields = getattr(found, "__struct_fields__", ())
            if part in fields:
                return True
            found = getattr(found, part, None)
            if found is None:
                return False
        return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_docstring_names_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    missing = set[str]()
    for text in texts(tree):
        for named in RAISES.findall(text):
            missing |= set(re.findall(r"\b[A-Z]\w+", named)) - spoken()
        missing |= {name for name in DOTTED.findall(text) if not name.endswith(".py") and not there(name)}
        missing |= {name for name in re.findall(r"\b(\w+\.py)\b", text) if name not in NAMES}
    assert missing == set()
