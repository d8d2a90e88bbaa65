"""Forms with files, read into memory. The process may write to no disk, and a route says how large a form may be."""

from __future__ import annotations

from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import BadHttpMessage
from msgspec import Struct

MOST_FIELDS = 50
_CHUNK = 64 * 1024
_AROUND = 16 * 1024
"""In bytes: the lines between the fields of a form."""


class FormFile(Struct, frozen=True):
    """`name` is what the browser calls the file: a stranger's text."""

    name: str
    body: bytes


async def read_files(request: web.Request, most: int) -> dict[str, Any]:
    """The fields and files of a multipart form of at most `most` bytes.

    Raises HTTPRequestEntityTooLarge, and HTTPBadRequest for a body that is no such form.
    """
    found, left, parts = dict[str, Any](), most, 0
    if (length := request.content_length) is not None and length > most + _AROUND:
        raise web.HTTPRequestEntityTooLarge(most, length)
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            parts += 1
            if not isinstance(part, BodyPartReader) or part.name is None or parts > MOST_FIELDS:
                raise web.HTTPBadRequest
            body = bytearray()
            while chunk := await part.read_chunk(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise web.HTTPRequestEntityTooLarge(most, most - left)
                body += chunk
            name = part.filename
            found[part.name] = body.decode(errors="replace") if name is None else FormFile(name, bytes(body))
    except (ValueError, BadHttpMessage):
        raise web.HTTPBadRequest from None
    return found
