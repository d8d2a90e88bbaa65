"""The texts of the pages of `hooks_routes`."""

from __future__ import annotations

from collections.abc import Mapping

HOOKS: Mapping[str, tuple[str, str]] = {}
