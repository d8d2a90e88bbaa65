"""A configured secret that cannot be printed by accident."""

from __future__ import annotations


class Secret:
    """Wraps a key or password. Only `reveal` returns its text; repr, str and errors show stars."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class SecretElsewhere(ValueError):
    """A secret is used that this process was not given. The message names its place, and holds nothing of it."""


class ElsewhereSecret(Secret):
    """A secret that this process was not given, because its roles do not use it. `reveal` raises SecretElsewhere."""

    __slots__ = ()

    def __init__(self, why: str) -> None:
        super().__init__(why)

    def reveal(self) -> str:
        raise SecretElsewhere(self._text)
