"""The guides' tables, each made from the code's own words.

A sentence is written only once: it comes from a docstring, a help text or a schema where there is one, and from
`tests.guide.words` otherwise.
"""

from __future__ import annotations

import inspect as python
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from consumers.providers import PROVIDERS
from consumers.webhook_policy import DELAYS
from schemas.secret import Secret
from schemas.statements import StatementMap
from schemas.words import EventType, Hold
from tests.guide import source
from tests.guide.openings import wishes
from tests.guide.words import CODES, ENVIRONMENT, KEYS, LOGS, TO_DO
from worker.api.post_payments import _STATUS
from worker.config.consistency import AccountHead
from worker.config.environment import read_settings
from worker.config.shapes import File
from worker.playground.demo.stories import STORIES
from worker.playground.demo.story import BLIND, Story
from worker.playground.sandbox.control import ROUTES
from worker.playground.sandbox.control.script_routes import ShownScript, scripts_of
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig
from worker.runtime.durations import UNITS
from worker.runtime.sizes import written_size

CONFLICT = 409


def configuration() -> str:
    """A table for each table of the file."""
    told = dict(_tables())
    _same(KEYS, [key for keys in told.values() for key, *_ in keys], "keys")
    parts = []
    for heading, keys in told.items():
        rows = [(f"`{key.rpartition('.')[2]}`", kind, default, KEYS[key]) for key, kind, default in keys]
        parts.append(f"### {heading}\n\n{_table(('key', 'type', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def environment() -> str:
    _same(ENVIRONMENT, source.environment(), "variables")
    settings = read_settings({}, [])
    rows = [(f"`{name}`", _setting(settings, name), says) for name, says in ENVIRONMENT.items()]
    return _table(("variable", "default", "meaning"), rows)


def events() -> str:
    _same(TO_DO, EventType, "event types")
    means = _listed(EventType)
    return _table(
        ("type", "what happened", "what to do"), [(f"`{kind}`", means[kind], TO_DO[kind]) for kind in EventType]
    )


def holds() -> str:
    means = _listed(Hold)
    lifted = {True: "a later answer that fits, or a person", False: "a person"}
    return _table(("`hold`", "why", "lifted by"), [(f"`{hold}`", means[hold], lifted[hold.waiting]) for hold in Hold])


def program(name: str) -> str:
    """A program of deploy/receivers, whole."""
    text = (source.ROOT / "deploy/receivers" / name).read_text(encoding="utf-8")
    language = {"py": "python", "mjs": "js", "php": "php"}[name.rpartition(".")[2]]
    return f"```{language}\n{text.rstrip()}\n```"


def codes() -> str:
    statuses = defaultdict[str, set[int]](set)
    for found in source.error_codes():
        status = _STATUS.get(found.code, CONFLICT) if found.domain else found.status
        statuses[found.code] |= {status} if status is not None else set()
    _same(CODES, statuses, "codes")
    rows = [(", ".join(map(str, sorted(statuses[code]))), f"`{code}`", says) for code, says in CODES.items()]
    return _table(("HTTP", "`code`", "what it means, and what to do"), sorted(rows, key=lambda row: row[0]))


def metrics() -> str:
    rows = [
        (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.says)
        for one in source.metrics()
    ]
    return _table(("metric", "type", "labels", "meaning"), rows)


def logs() -> str:
    found = source.log_events()
    _same(LOGS, [one.name for one in found], "log events")
    rows = [
        (f"`{one.name}`", _levels(one.levels), ", ".join(f"`{field}`" for field in one.fields), LOGS[one.name])
        for one in found
    ]
    return _table(("event", "level", "fields", "meaning"), rows)


def openings() -> str:
    names = {story.gateway.provider: story.gateway.name for story in reversed(STORIES) if story.gateway != BLIND}
    heads = ("gateway", "`reference`", "`amount`", "`expires_in`", "without it", "needs in `customer`")
    return _table(heads, wishes(names))


def recipes() -> str:
    """A section for each script: how to set it, what goes wrong, and how the payment ends."""
    return "\n\n".join(_recipe(script) for script in scripts_of(Sandbox(SandboxConfig())))


def retries() -> str:
    """The attempts of one webhook, without the jitter."""
    rows, passed = [("1", "", "at once")], timedelta()
    for number, wait in enumerate(DELAYS, start=2):
        passed += wait
        rows.append((str(number), _spoken(wait), _spoken(passed)))
    return _table(("attempt", "waits after the last", "after the event"), rows)


def control() -> str:
    rows = [(f"`{one.method} {one.path}`", one.summary) for one in ROUTES]
    return _table(("request", "what it does"), rows)


MADE: Mapping[str, Callable[[], str]] = {
    "configuration": configuration,
    "environment": environment,
    "events": events,
    "holds": holds,
    "receiver_python": partial(program, "receiver.py"),
    "receiver_node": partial(program, "receiver.mjs"),
    "receiver_php": partial(program, "receiver.php"),
    "thanks_python": partial(program, "thanks.py"),
    "thanks_node": partial(program, "thanks.mjs"),
    "thanks_php": partial(program, "thanks.php"),
    "codes": codes,
    "metrics": metrics,
    "logs": logs,
    "openings": openings,
    "recipes": recipes,
    "retries": retries,
    "control": control,
}
"""The tables by the name that stands in their marker."""


def filled(text: str) -> str:
    """A guide with the text between its markers made anew."""
    return re.sub(
        r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{MADE[found[2]]()}\n\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _same(explained: Iterable[str], named: Iterable[str], what: str) -> None:
    missing, gone = sorted({*named} - {*explained}), sorted({*explained} - {*named})
    if missing or gone:
        raise LookupError(f"tests/guide/words.py: {what} without a sentence: {missing}; sentences of none: {gone}")


def _listed(kind: type[Enum]) -> dict[Any, str]:
    """The docstring's sentence for each member in its list; source markup is kept."""
    text = " ".join(python.cleandoc(kind.__doc__ or "").split())
    said = dict(re.findall(r"- `([a-z_.]+)`: (.*?)(?= - `|$)", text))
    return {member: _sentence(said[member.value]) for member in kind}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _levels(levels: tuple[str, ...]) -> str:
    return "as the library's" if len(levels) > 2 else ", ".join(levels)


def _setting(settings: Struct, name: str) -> str:
    value = getattr(settings, name.removeprefix("PAYPROOF_").lower(), None)
    if name in ("PAYPROOF_CONFIG", "PAYPROOF_DATA_DIR"):
        return f"`{settings.config_path if name == 'PAYPROOF_CONFIG' else value}`"  # type: ignore[attr-defined]
    return f"`{value[0]}:{value[1]}`" if name.endswith("LISTEN") and value else ""


# -- configuration -----------------------------------------------------------------------------------------------------

Key = tuple[str, str, str]


def _tables() -> Iterator[tuple[str, list[Key]]]:
    """Each table of the file under its heading, with its keys as `words.KEYS` names them."""
    file, merchant = _fields(File), {}
    yield "At the top of the file", [_key(name, one) for name, one in file.items() if not _struct(one)]
    for name, one in file.items():
        if (inner := _struct(one)) is not None and name != "merchants":
            fields = _fields(inner).items()
            yield f"`[{name}]`", [_key(f"{name}.{key}", field) for key, field in fields if not _nested(field)]
            yield from _inner(name, name, inner)
        elif name == "merchants" and inner is not None:
            merchant = _fields(inner)
    plain = [_key(f"merchants.{key}", one) for key, one in merchant.items() if not _struct(one)]
    yield "`[[merchants]]`", [one for one in plain if one[0] != "merchants.accounts"]
    for table in ("keys", "webhooks"):
        yield (
            f"`[[merchants.{table}]]`",
            [_key(f"merchants.{table}.{key}", one) for key, one in _fields(_struct(merchant[table])).items()],
        )
    head = _fields(AccountHead).items()
    yield (
        "`[[merchants.accounts]]`, whatever the gateway",
        [_key(f"merchants.accounts.{key}", one) for key, one in head if not _struct(one)],
    )
    for name, provider in PROVIDERS.items():
        yield (
            f'`[[merchants.accounts]]` with `provider = "{name}"`',
            [_key(f"{name}.{key}", one) for key, one in _fields(provider).items() if not _struct(one)],
        )
        yield from _inner(name, "merchants.accounts", provider)
    yield (
        "`[merchants.accounts.statement]`, for `payproof reconcile`",
        [_key(f"statement.{key}", one) for key, one in _fields(StatementMap).items()],
    )


def _inner(name: str, table: str, kind: type[Struct]) -> Iterator[tuple[str, list[Key]]]:
    for key, one in _fields(kind).items():
        if (inner := _struct(one)) is not None:
            fields = _fields(inner).items()
            yield (
                f"`[[{table}.{key}]]`" if _listed_in(one) else f"`[{table}.{key}]`",
                [_key(f"{name}.{key}.{at}", field) for at, field in fields if not _nested(field)],
            )
            yield from _inner(f"{name}.{key}", f"{table}.{key}", inner)


def _nested(field: inspect.Field) -> bool:
    return _struct(field) is not None


def _listed_in(field: inspect.Field) -> bool:
    return isinstance(_bare(field.type)[0], inspect.VarTupleType)


def _fields(kind: Any) -> dict[str, inspect.Field]:
    return {one.encode_name: one for one in inspect.type_info(kind).fields}  # type: ignore[attr-defined]


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without its wrappers, and what is written for its number: `duration`, `size`, or else `number`."""
    unit = "number"
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            unit = next((name for name in ("duration", "size") if (kind.extra or {}).get(name)), unit)
            kind = kind.type
        else:
            (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind, unit


def _struct(field: inspect.Field) -> type[Struct] | None:
    kind, _ = _bare(field.type)
    if isinstance(kind, inspect.VarTupleType):
        kind, _ = _bare(kind.item_type)
    return kind.cls if isinstance(kind, inspect.StructType) else None


def _key(name: str, field: inspect.Field) -> Key:
    kind = _type(field.type)
    if field.required:
        return name, kind, "required"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    return name, kind, _value(value, duration="duration" in kind, size=kind == "size")


def _type(kind: inspect.Type) -> str:
    bare, unit = _bare(kind)
    match bare:
        case inspect.CustomType() if bare.cls is Secret:
            return "secret"
        case inspect.VarTupleType() | inspect.FrozenSetType():
            return f"list of {_type(bare.item_type)}"
        case inspect.LiteralType():
            return " or ".join(f"`{one}`" for one in sorted(bare.values))
        case inspect.EnumType():
            return ", ".join(f"`{one.value}`" for one in bare.cls)
        case inspect.DictType():
            return "table"
        case inspect.BoolType():
            return "true or false"
        case inspect.FloatType() | inspect.IntType() | inspect.DecimalType():
            return unit
        case inspect.StrType():
            return "text"
        case inspect.EnumType():
            return " or ".join(f"`{one.value}`" for one in bare.cls)
    raise TypeError(f"no word for {bare}")


def _value(value: Any, *, duration: bool, size: bool = False) -> str:
    match value:
        case None | () | {}:
            return ""
        case frozenset() if not value:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case int() if size:
            return f"`{written_size(value)}`"
        case float() if duration:
            return f"`{_duration(value)}`"
        case tuple():
            return ", ".join(_value(one, duration=duration) for one in value)
    return f"`{value}`"


def _duration(seconds: float) -> str:
    unit, size = next((unit, size) for unit, size in reversed(UNITS.items()) if seconds % size == 0)
    return f"{seconds / size:g}{unit}"


def _spoken(time: timedelta) -> str:
    seconds = time.total_seconds()
    size, unit = (3600, "h") if seconds >= 3600 else (60, "min") if seconds >= 60 else (1, "s")
    return f"{seconds / size:.3g} {unit}"


# -- recipes -----------------------------------------------------------------------------------------------------------


def _recipe(script: ShownScript) -> str:
    at = "every gateway" if len(script.gateways) == len(GATEWAYS) else ", ".join(script.gateways)
    seconds = "" if script.seconds is None else f" Its seconds are {script.seconds:g} unless you set others."
    body = f'{{"provider": "{script.gateways[0]}", "reference": "REFERENCE", "script": "{script.script}"}}'
    ends = defaultdict[tuple[str, str], list[str]](list)
    for story in STORIES:
        if story.script == script.script:
            ends[_deed(story), _end(story)].append(story.gateway.name)
    return "\n".join(
        (
            f"### `{script.script}`",
            "",
            f"{script.what} At {at}.{seconds}",
            "",
            "```sh",
            f"curl -sd '{body}' $SANDBOX/_control/scripts",
            "```",
            "",
            *(f"- {_names(names)}: {deed} Ends {end}." for (deed, end), names in ends.items()),
        )
    )


def _names(names: list[str]) -> str:
    every = {story.gateway.name for story in STORIES}
    for all_of_them, words in ((every, "Every gateway"), (every - {BLIND.name}, "Every gateway that can be asked")):
        if all_of_them == set(names):
            return words
    return "; ".join(dict.fromkeys(names))


def _deed(story: Story) -> str:
    text = " ".join((story.does.__doc__ or story.does.__name__.replace("_", " ").capitalize() + ".").split())
    return text if text.endswith(".") else f"{text}."


def _end(story: Story) -> str:
    end = story.expects
    held = f", held as `{end.hold}`" if end.hold else ""
    told = ", ".join(f"`payment.{one}`" for one in end.told)
    return f"**{end.status}{held}{', late' if end.late else ''}** ({told})"
