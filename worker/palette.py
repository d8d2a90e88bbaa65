"""The colours of every page that the product shows, to buyers and to accountants.

Each pair of colours that meet on a page is in `PAIRS`, and a test computes their contrast.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT = {
    "page": "#eef1f5",
    "card": "#ffffff",
    "text": "#1b2430",
    "quiet": "#4a5666",
    "line": "#d5dbe3",
    "wait": "#0b5cad",
    "good": "#176a3a",
    "hand": "#8a5000",
    "stop": "#a8281e",
}
DARK = {
    "page": "#0f1319",
    "card": "#1a2029",
    "text": "#e9edf2",
    "quiet": "#adb8c6",
    "line": "#343d4a",
    "wait": "#8cc0ff",
    "good": "#7fd6a2",
    "hand": "#f2c078",
    "stop": "#ff9d94",
}
PAIRS = (
    ("text", "page"),
    ("quiet", "page"),
    ("wait", "page"),
    *((ink, "card") for ink in ("text", "quiet", "wait", "good", "hand", "stop")),
    ("card", "wait"),
)
"""Foreground and background: of text, and of icons too."""


def declared(palette: Mapping[str, str]) -> str:
    """The colours as CSS's custom properties, for the block of a rule."""
    return ";".join(f"--{name}:{value}" for name, value in palette.items())


THEME = (
    f":root{{color-scheme:light dark;{declared(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{declared(DARK)}}}}}"
)
"""The rules of a page that follows the reader's system, light or dark."""
