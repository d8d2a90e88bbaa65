"""The texts of the pages of `books_routes`."""

from __future__ import annotations

from collections.abc import Mapping

BOOKS: Mapping[str, tuple[str, str]] = {}
