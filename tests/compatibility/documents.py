"""What breaks a user of the old of two documents (JSON Schema, OpenAPI or AsyncAPI). Additions break nothing.

The direction decides. We send answers and the messages of a `send` operation; the other side sends requests, parameters
and the messages of a `receive` operation. A break in one direction is an addition in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compatibility.shapes import Fitting, resolved

Json = Any


def breaks(old: Json, new: Json) -> list[str]:
    """Every break, with its place. A document's kind follows from its first key."""
    if "openapi" in old:
        return sorted(_Api(old, new).breaks())
    if "asyncapi" in old:
        return sorted(_Bus(old, new).breaks())
    address = [] if old["$id"] == new["$id"] else ["$id: is another"]
    return sorted([*address, *Fitting(new, old).misfits(new, old, "")])


class _Two:
    """The two documents, and the judges of what we send and of what we take."""

    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new
        self._sending, self._taking = Fitting(new, old), Fitting(old, new)

    def sent(self, old: Json, new: Json, at: str) -> Iterator[str]:
        return self._sending.misfits(new, old, at)

    def taken(self, old: Json, new: Json, at: str) -> Iterator[str]:
        return self._taking.misfits(old, new, at)

    def kept(self, old: Json, new: Json, at: str) -> Iterator[tuple[str, Json, Json] | str]:
        """Each item of the old table with its place and its successor, or the message that it is gone."""
        for name, thing in (old or {}).items():
            if name in (new or {}):
                yield f"{at} {name}".strip(), resolved(thing, self.old), resolved(new[name], self.new)
            else:
                yield f"{at} {name}: is gone".strip()


class _Api(_Two):
    def breaks(self) -> Iterator[str]:
        for path in self.kept(self.old["paths"], self.new["paths"], ""):
            if isinstance(path, str):
                yield path
                continue
            for operation in self.kept(path[1], path[2], path[0]):
                yield from [operation] if isinstance(operation, str) else self._operation(*operation)

    def _operation(self, at: str, old: Json, new: Json) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{at}: has another operationId"
        if old.get("security", self.old["security"]) != new.get("security", self.new["security"]):
            yield f"{at}: has another security"
        yield from self._parameters(at, _by_name(old), _by_name(new))
        yield from self._body(f"{at} body", old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(at, old["responses"], new["responses"])

    def _parameters(self, at: str, old: Json, new: Json) -> Iterator[str]:
        yield from self._needed(at, old, new)
        for parameter in self.kept(old, new, at):
            if isinstance(parameter, str):
                yield parameter
                continue
            place, before, after = parameter
            yield from self.taken(before["schema"], after["schema"], place)

    def _needed(self, at: str, old: Json, new: Json) -> Iterator[str]:
        for name, parameter in new.items():
            if parameter.get("required") and not old.get(name, {}).get("required"):
                yield f"{at} {name}: is required now"

    def _body(self, at: str, old: Json, new: Json) -> Iterator[str]:
        if new is None:
            yield from [f"{at}: is gone"] if old is not None else []
            return
        if new.get("required") and not (old or {}).get("required"):
            yield f"{at}: is required now"
        for media in self.kept((old or {}).get("content"), new["content"], at):
            yield from (
                [media] if isinstance(media, str) else self.taken(media[1]["schema"], media[2]["schema"], media[0])
            )

    def _answers(self, at: str, old: Json, new: Json) -> Iterator[str]:
        yield from (f"{at} {status}: is a new success" for status in new.keys() - old.keys() if status.startswith("2"))
        for answer in self.kept(old, new, at):
            if isinstance(answer, str):
                yield answer
                continue
            place, before, after = answer
            for part in ("content", "headers"):
                for media in self.kept(before.get(part), after.get(part), place):
                    found = (
                        [media]
                        if isinstance(media, str)
                        else self.sent(media[1]["schema"], media[2]["schema"], media[0])
                    )
                    yield from found


class _Bus(_Two):
    def breaks(self) -> Iterator[str]:
        for part in ("servers", "channels", "operations"):
            for thing in self.kept(self.old[part], self.new[part], part):
                if isinstance(thing, str):
                    yield thing
                elif part == "channels":
                    yield from self._channel(*thing)
                elif part == "operations":
                    yield from self._operation(*thing)

    def _channel(self, at: str, old: Json, new: Json) -> Iterator[str]:
        yield from (f"{at}: has another {part}" for part in ("address", "bindings") if old.get(part) != new.get(part))
        for part in ("parameters", "messages"):
            found = self.kept(old.get(part), new.get(part), at)
            yield from (one for one in found if isinstance(one, str))

    def _operation(self, at: str, old: Json, new: Json) -> Iterator[str]:
        for part in ("action", "channel", "bindings", "reply"):
            if old.get(part) != new.get(part):
                yield f"{at}: has another {part}"
                return
        before, after = _messages(old), _messages(new)
        if old["action"] == "send":
            yield from (f"{at} {name}: is a new message" for name in after.keys() - before.keys())
        for message in self.kept(before, after, at):
            yield from [message] if isinstance(message, str) else self._message(old["action"], *message)

    def _message(self, action: str, at: str, old: Json, new: Json) -> Iterator[str]:
        for part in ("name", "contentType", "correlationId", "bindings"):
            if old.get(part) != new.get(part):
                yield f"{at}: has another {part}"
        judge = self.sent if action == "send" else self.taken
        for part in ("payload", "headers"):
            yield from judge(old.get(part, True), new.get(part, True), f"{at} {part}")


def _by_name(operation: Json) -> dict[str, Json]:
    return {f"{one['in']} {one['name']}": one for one in operation.get("parameters", [])}


def _messages(operation: Json) -> dict[str, Json]:
    return {one["$ref"].rpartition("/")[2]: one for one in operation["messages"]}
