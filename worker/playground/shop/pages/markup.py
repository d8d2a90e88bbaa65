"""HTML in which escaping cannot be forgotten: each filled-in value is escaped unless it is Html already."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is HTML. Made by `html` and `joined` from our templates, and in no other way."""

    __slots__ = ()


def html(template: str, /, **values: object) -> Html:
    """`template`, a literal of ours, with every `{name}` filled in."""
    return Html(template.format(**{name: _shown(value) for name, value in values.items()}))


def joined(parts: Iterable[Html]) -> Html:
    return Html("".join(parts))


def _shown(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value))
