"""The texts of the pages of `decide_routes`."""

from __future__ import annotations

from collections.abc import Mapping

DECIDE: Mapping[str, tuple[str, str]] = {}
