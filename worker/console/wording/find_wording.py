"""The texts of the pages of `find_routes`."""

from __future__ import annotations

from collections.abc import Mapping

FIND: Mapping[str, tuple[str, str]] = {}
