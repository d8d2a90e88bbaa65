"""Facts that are read from the source without running it: log events, metrics, error codes, environment variables.

A name must be written out in the source. A name that is put together at run time is not found here.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

from consumers.commands.two_people import ProposalRefused

ROOT = Path(__file__).parents[2]
LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error", "critical": "critical"}
KINDS = {"counter": "counter", "gauge": "gauge", "histogram": "histogram", "info": "info"}
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")


class LogEvent(Struct, frozen=True, order=True):
    """`fields` are the keys beside `event`, `level` and `timestamp`."""

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]


class Metric(Struct, frozen=True, order=True):
    name: str
    kind: str
    labels: tuple[str, ...]
    says: str


class ErrorCode(Struct, frozen=True, order=True):
    """`status` is None where the source does not give it beside the code; `domain`: the core refuses with it."""

    code: str
    status: int | None
    domain: bool


@cache
def modules(folder: str) -> list[tuple[Path, ast.Module]]:
    """The paths and syntax trees of the modules below this folder, without those of the playground."""
    paths = [path for path in sorted((ROOT / folder).rglob("*.py")) if "playground" not in path.parts]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def log_events() -> list[LogEvent]:
    levels, fields = defaultdict[str, set[str]](set), defaultdict[str, dict[str, None]](dict)
    for _, tree in modules("worker"):
        values = _values(tree)
        for call in _calls(tree):
            func = values.get(call.func.id, call.func) if isinstance(call.func, ast.Name) else call.func
            if not call.args or not (said := _levels(func)):
                continue
            words = call.args[1 if _callee(call) == "log" and len(call.args) > 1 else 0]
            for name, level in _paired(words, func) or [(one, said) for one in _words(words)]:
                if _EVENT.fullmatch(name):
                    levels[name] |= level
                    fields[name] |= {one.arg: None for one in call.keywords if one.arg not in (None, "exc_info")}
    order = list(dict.fromkeys(LEVELS.values()))
    return sorted(LogEvent(name, tuple(sorted(levels[name], key=order.index)), tuple(fields[name])) for name in levels)


def metrics() -> list[Metric]:
    found = {}
    for _, tree in modules("worker"):
        values = _values(tree)
        for call in _calls(tree):
            kind = next((kind for word, kind in KINDS.items() if word in _callee(call).lower()), None)
            name, says, *labels = (*_flat(call.args, values), "", "")
            if kind is not None and name.startswith("payproof_") and says:
                labels += [one for word in call.keywords if word.arg == "labels" for one in _flat([word.value], values)]
                full = f"{name}_info" if kind == "info" else name
                found[name] = Metric(full, kind, tuple(one for one in labels if re.fullmatch(r"[a-z_]+", one)), says)
    return sorted(found.values())


def error_codes() -> set[ErrorCode]:
    """The codes of the exceptions that the API, a command or a message raises; the console has its own words."""
    found = set()
    folders = ("worker/api", "worker/requests", "consumers/commands")
    for path, tree in (module for folder in folders for module in modules(folder)):
        there = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for call in _calls(tree):
            raised = getattr(there, _callee(call), None)
            if not isinstance(raised, type) or raised is ProposalRefused:
                continue
            given = [one.value for one in call.args if isinstance(one, ast.Constant)][:2]
            status = given[0] if given and isinstance(given[0], int) else None
            codes = [
                one.value.value for one in call.keywords if one.arg == "code" and isinstance(one.value, ast.Constant)
            ]
            if issubclass(raised, Exception):
                codes += [one for one in given[:2] if isinstance(one, str)][:1]
            domain = path.is_relative_to(ROOT / "consumers")
            found |= {ErrorCode(one, status, domain) for one in codes if _CODE.fullmatch(one)}
    return found


def environment() -> set[str]:
    tree = ast.parse((ROOT / "worker/config/environment.py").read_text(encoding="utf-8"))
    return {one for one in _words(tree) if re.fullmatch(r"PAYPROOF_[A-Z_]+", one)}


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _callee(call: ast.Call) -> str:
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _levels(func: ast.AST) -> set[str]:
    """The levels of `log.warning`, of `structlog.get_logger().critical`, and of a choice between two of them."""
    match func:
        case ast.IfExp():
            return _levels(func.body) | _levels(func.orelse)
        case ast.Attribute(attr="log", value=logger) if "log" in ast.unparse(logger):
            return set(LEVELS.values())
        case ast.Attribute(attr=level, value=logger) if level in LEVELS and "log" in ast.unparse(logger):
            return {LEVELS[level]}
    return set()


def _paired(words: ast.AST, func: ast.AST) -> list[tuple[str, set[str]]]:
    """Where event and level depend on one condition: which event has which level."""
    if not (isinstance(words, ast.IfExp) and isinstance(func, ast.IfExp)):
        return []
    if ast.dump(words.test) != ast.dump(func.test):
        return []
    sides = ((words.body, func.body), (words.orelse, func.orelse))
    return [(one, _levels(level)) for name, level in sides for one in _words(name)]


def _words(node: ast.AST) -> Iterator[str]:
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _values(tree: ast.AST) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _flat(nodes: list[ast.expr], values: dict[str, ast.expr]) -> Iterator[str]:
    """The texts among these expressions, through tuples, stars and names of this module."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr():
                yield "".join(_words(node))
            case ast.Starred(value=inner):
                yield from _flat([inner], values)
            case ast.Tuple(elts=inner):
                yield from _flat(inner, values)
            case ast.Name(id=name) if name in values:
                yield from _flat([values[name]], {})
