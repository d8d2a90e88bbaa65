"""The texts of the pages Now, Gateways and Settings."""

from __future__ import annotations

from collections.abc import Mapping

NOW: Mapping[str, tuple[str, str]] = {}
