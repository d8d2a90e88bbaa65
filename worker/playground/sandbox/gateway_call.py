"""A call to a simulated gateway, its answer, and the endpoints that take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.message import Message
from email.parser import BytesParser
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct, field

from schemas.wire import Unreadable, read_json

Kind = Literal["create", "status", "execute", "grant", "refund"]


class Call(Struct, frozen=True, kw_only=True):
    """One request as a gateway sees it. `base` is the gateway's own base URL; headers ignore case."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str

    def document(self) -> dict[str, Any]:
        """The JSON object of the body. Raises Unreadable."""
        read = read_json(self.body)
        if not isinstance(read, dict):
            raise Unreadable("not a JSON object")
        return read

    def form(self) -> dict[str, str]:
        """The fields of a form of either encoding; of a field that comes twice, the last. Raises Unreadable."""
        kind = self.headers.get("Content-Type", "")
        try:
            if kind.startswith("multipart/form-data"):
                parts = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + self.body).get_payload()
                return {
                    str(part.get_param("name", header="content-disposition")): _text(part)
                    for part in parts
                    if isinstance(part, Message)
                }
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise Unreadable("not UTF-8") from None

    def fields(self) -> dict[str, Any]:
        """The fields of a JSON object or of a form, by the content type. Raises Unreadable."""
        return self.document() if "json" in self.headers.get("Content-Type", "") else self.form()

    def named(self, name: str) -> str | None:
        """A text in the body where there is one; used to find the reference of a call before it is checked."""
        try:
            value = self.document().get(name)
        except Unreadable:
            return None
        return value if isinstance(value, str) else None


class GatewayReply(Struct, frozen=True, kw_only=True):
    """An answer before it is written. It holds `msgspec.Raw` where a number must keep its own digits."""

    body: dict[str, Any] | list[dict[str, Any]]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def written(self) -> bytes:
        return msgspec.json.encode(self.body)


class GatewayRefusal(Exception):
    """Raised by a handler to answer at once."""

    def __init__(self, reply: GatewayReply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class GatewayEndpoint(Struct, frozen=True, kw_only=True):
    """A route below the gateway's base URL.

    `about` gives the reference that a call concerns, None where it names none. `refunds` tells a refund from the other
    calls of the same path.
    """

    method: str
    path: str
    kind: Kind
    handler: Callable[[Call], GatewayReply]
    about: Callable[[Call], str | None]
    refunds: Callable[[Call], bool] = lambda _: False

    def kind_of(self, call: Call) -> Kind:
        return "refund" if self.refunds(call) else self.kind


def _text(part: Message) -> str:
    raw = part.get_payload(decode=True)
    return raw.decode() if isinstance(raw, bytes) else ""
