"""Reading requests to the control API: bodies and queries as Structs, and an error that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from schemas.wire import Unreadable, read_json
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import Provider
from worker.playground.sandbox.sessions import Session

Asked = TypeVar("Asked", bound=Struct)
Seconds = Annotated[float, Meta(ge=0, le=3600)]
LONGEST_STEP = 10 * 366 * 86_400
"""Seconds. Times of the sandbox are moved by at most so much."""


class WrongControl(Exception):
    """The request cannot be read. `field` names the place; None where it is all of the body."""

    def __init__(self, field: str | None, why: str) -> None:
        super().__init__(why if field is None else f"{field}: {why}")
        self.field = field


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every body and query. Unknown fields are refused."""


class Named(Body, frozen=True, kw_only=True):
    """A session by its `session_id`, or by `reference`, which means its newest session."""

    provider: Provider
    reference: str | None = None
    session_id: str | None = None


class About(Body, frozen=True, kw_only=True):
    """Which rows to show; without either, all."""

    provider: Provider | None = None
    reference: str | None = None


def read_control_body(body: bytes, kind: type[Asked]) -> Asked:
    """The body as `kind`; an empty body is an empty object. Raises WrongControl.

    `read_json` refuses what it should, but gives numbers as text. So the body is decoded a second time.
    """
    try:
        if body:
            read_json(body)
        document = msgspec.json.decode(body) if body else {}
    except (Unreadable, msgspec.DecodeError) as error:
        raise WrongControl(None, f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise WrongControl(None, "the body is no JSON object")
    return read_control(document, kind)


def read_control(given: Mapping[str, Any], kind: type[Asked], *, texts: bool = False) -> Asked:
    """The fields as `kind`. Raises WrongControl for the first field that is unknown, missing or of another type.

    `texts`: every value is text, as in a query.
    """
    known = {field.encode_name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise WrongControl(
                name, f"is not known here; known are {', '.join(known)}" if known else "nothing is taken here"
            )
    values = {}
    for name, field in known.items():
        if name in given:
            values[name] = _converted(name, given[name], field.type, texts=texts)
        elif field.required:
            raise WrongControl(name, "is missing")
    return kind(**values)


def find(sandbox: Sandbox, named: Named) -> Session:
    """The session. Raises LookupError where none was opened under that name."""
    sessions, provider = sandbox.sessions, named.provider
    session = (
        sessions.get(provider, named.session_id)
        if named.session_id is not None
        else sessions.latest(provider, named.reference or "")
    )
    if session is None:
        raise LookupError(f"no session of {provider} with {named.session_id or named.reference!r}")
    return session


def _converted(name: str, value: object, kind: Any, *, texts: bool) -> Any:
    try:
        return msgspec.convert(value, kind, strict=not texts)
    except msgspec.ValidationError as error:
        words = [word for part in (kind, *get_args(kind)) if get_origin(part) is Literal for word in get_args(part)]
        raise WrongControl(name, f"is none of {', '.join(words)}" if words else str(error)) from None
