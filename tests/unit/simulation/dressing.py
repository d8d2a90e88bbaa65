"""Bytes as the rest of the web writes them: parts of an answer or a claim that decide nothing.

None of these makes a reply unreadable: a field's reader still reads it.
"""

from __future__ import annotations

import json
from typing import Any

from consumers.ports.effects import HttpReply

JSON = "application/json"
EMPTY: dict[str, bytes] = {
    "letter": b'"customerName":"Jos\xe9 Rahman"',
    "emoji": b'"customerName":"\\ud83d Rahman"',
    "long": b'"traceNumber":' + b"9" * 400,
    "twice": b'"note":"a","note":"b"',
}
REPLIES = ("plain", "plain", "plain", "plain", "label", "mark", *EMPTY)
"""How a gateway's JSON may come, by name: JSON labelled HTML, a byte order mark, or with one of `EMPTY` in it."""


def reply(body: dict[str, Any], dressing: str = "plain", status: int = 200) -> HttpReply:
    return HttpReply(
        status=status,
        headers={"content-type": "text/html; charset=UTF-8" if dressing == "label" else JSON},
        body=dressed(body, dressing),
    )


def dressed(body: dict[str, Any], dressing: str) -> bytes:
    raw = json.dumps(body).encode()
    if dressing == "mark":
        return b"\xef\xbb\xbf" + raw
    extra = EMPTY.get(dressing)
    return raw if extra is None else b"{" + extra + b"," + raw[1:]


PROXIES = (
    (404, "text/plain", b"default backend - 404"),
    (404, "text/plain", b"404 page not found\n"),
    (404, JSON, b'{"message":"Not Found"}'),
    (404, JSON, b'{"detail":"Not Found"}'),
    (404, JSON, b"{}"),
    (404, "text/plain", b""),
    (404, "text/html", b"<html><head><title>404 Not Found</title></head></html>"),
    (200, "text/html", b"<html><body>We will be back soon</body></html>"),
    (200, JSON, b'{"status":"ok"}'),
    (502, "text/html", b"<html><h1>502 Bad Gateway</h1></html>"),
)
"""Answers of proxies between us and a gateway: none of them is the gateway's own word on any payment."""


def proxied(form: int) -> HttpReply:
    status, label, body = PROXIES[form]
    return HttpReply(status=status, headers={"content-type": label}, body=body)


FORMS = ("plain", "plain", "stray", "bare", "letter", "nul", "multipart")


def form(fields: dict[str, str], dressing: str) -> tuple[bytes, str]:
    """A form as browsers, PHP and others post it; its body and its label."""
    if dressing == "multipart":
        lines = "".join(
            f'--xYx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        return (lines + "--xYx--\r\n").encode(), "multipart/form-data; boundary=xYx"
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    extra = {"stray": b"&", "bare": b"&mobile", "letter": b"&name=Jos%E9", "nul": b"&name=a%00b"}.get(dressing, b"")
    return body + extra, "application/x-www-form-urlencoded"
