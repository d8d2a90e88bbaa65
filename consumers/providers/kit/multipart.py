"""Read the fields of multipart/form-data, without its files. PHP's cURL sends it for an array.

The standard library's parser reads each line once for every level of nested parts, and a header's parameters several
times. So nested parts and long headers are refused before it runs, or a stranger could make it slow.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message

from schemas.wire import Unreadable

_BOUNDARY = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})[ \t]*\r?\n")
_COSTLY = re.compile(
    rb"content-type:\s*(?:multipart|message)/ | content-disposition:(?:[^\r\n]|\r?\n[\ \t]){1000}",
    re.IGNORECASE | re.VERBOSE,
)


def is_multipart(body: bytes) -> bool:
    """Whether the body begins like a multipart form, whatever its Content-Type says."""
    return _BOUNDARY.match(body) is not None


def read_multipart(body: bytes, most: int) -> list[tuple[str, str]]:
    """The names and values, in order. Bytes that are no UTF-8 are replaced.

    Raises Unreadable for nested parts, for more than `most` parts, and for any other kind of body.
    """
    begins = _BOUNDARY.match(body)
    if begins is None or body.count(b"--" + begins[1]) > most + 1 or _COSTLY.search(body):
        raise Unreadable("no multipart form of plain fields")
    message = message_from_bytes(b'Content-Type: multipart/form-data; boundary="' + begins[1] + b'"\r\n\r\n' + body)
    fields = [_field(part) for part in message.walk()]  # the first part is the form itself, no field
    return [field for field in fields if field is not None]


def _field(part: Message) -> tuple[str, str] | None:
    """The name and value of a part; None for a file, and for a part that is no form field."""
    try:
        told = {name.lower(): value for name, value in part.get_params([], header="content-disposition")}
    except (TypeError, ValueError, LookupError):  # for split parameters (RFC 2231), which no form has
        return None
    name, value = told.get("name"), part.get_payload(decode=True)
    if "form-data" not in told or "filename" in told or not isinstance(name, str) or not isinstance(value, bytes):
        return None
    return name, value.decode(errors="replace")
