"""A bar chart as inline SVG. The table beside it has the same figures, so the chart is hidden from screen readers."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h

WIDTH, HEIGHT, GAP = 700.0, 100.0, 0.25


def bars(values: Sequence[float], labels: Sequence[str], below: Sequence[str]) -> h.Node:
    """One bar a value, from left to right; nothing where all are zero. A label is shown under the pointer.

    `below`: what stands below each bar.
    """
    most = max(values, default=0.0)
    if most <= 0:
        return None
    step = WIDTH / len(values)
    drawn = [
        h.rect(
            x=f"{index * step + step * GAP / 2:.1f}",
            y=f"{HEIGHT - HEIGHT * value / most:.1f}",
            width=f"{step * (1 - GAP):.1f}",
            height=f"{max(0.5, HEIGHT * value / most):.1f}",
            rx="3",
        )[h.title[label]]
        for index, (value, label) in enumerate(zip(values, labels, strict=True))
    ]
    base = h.line(x1="0", x2=f"{WIDTH:g}", y1=f"{HEIGHT:g}", y2=f"{HEIGHT:g}")
    svg = h.svg(".wait", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", preserveAspectRatio="none")
    return h.figure(aria_hidden="true")[svg[drawn, base], h.div(".axis")[[h.span[words] for words in below]]]
