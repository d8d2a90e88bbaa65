"""The look of the pages: one style sheet, and an inline icon for each kind of outcome."""

from __future__ import annotations

from collections.abc import Mapping

from worker.palette import THEME

_CLOCK = '<circle cx="24" cy="24" r="13"/><g{turn}><path d="M24 16v8"/></g><path d="M24 24l5 3"/>'
_CHECK = '<path d="M14.5 25l6.5 6.5 13-14"/>'
_HAND = (
    '<path d="M17 25v-8.5a2 2 0 0 1 4 0V23m0-8.5a2 2 0 0 1 4 0V23m0-7a2 2 0 0 1 4 0v8m0-5a2 2 0 0 1 4 0v8.5'
    'a8.5 8.5 0 0 1-8.5 8.5h-1.5c-3 0-5-1.3-6.7-3.8l-4.5-6.5a2 2 0 0 1 3.2-2.4L17 27"/>'
)
_CROSS = '<path d="M17 17l14 14M31 17L17 31"/>'
_BACK = '<path d="M20 15l-6 6 6 6"/><path d="M14 21h13a6 6 0 0 1 0 12h-7"/>'
_QUESTION = '<path d="M19 19.5a5 5 0 1 1 7.5 4.3c-1.700 1-2.500 2-2.500 4.200M24 33v.1"/>'

_STILL, _TURNING = _CLOCK.format(turn=""), _CLOCK.format(turn=' class="turn"')
_DRAWN: Mapping[str, tuple[str, str]] = {
    "confirming": ("wait", _TURNING),
    "held": ("hand", _HAND),
    "completed": ("good", _CHECK),
    "refunded": ("good", _BACK),
    "failed": ("stop", _CROSS),
    "cancelled": ("quiet", _CROSS),
    "expired": ("quiet", _STILL),
    "pending": ("wait", _STILL),
    "not_found": ("quiet", _QUESTION),
    "noted": ("wait", _STILL),
    "busy": ("wait", _TURNING),
    "send_again": ("wait", _STILL),
}


def icon(name: str) -> str:
    """The icon of a page as SVG. It is hidden from screen readers, because the words beside it say the same."""
    colour, strokes = _DRAWN[name]
    return (
        f'<svg class="{colour}" viewBox="0 0 48 48" width="72" height="72" aria-hidden="true" focusable="false">'
        '<circle cx="24" cy="24" r="24" fill="currentColor" opacity=".12"/>'
        '<g fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round">'
        f"{strokes}</g></svg>"
    )


STYLE = (
    THEME + "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:32rem;padding:1.25rem 1rem;background:var(--page);color:var(--text);"
    "font:1.0625rem/1.55 system-ui,-apple-system,'Noto Sans','Noto Sans Bengali',sans-serif;"
    "text-align:center;overflow-wrap:anywhere}"
    ":lang(bn){line-height:1.7}"
    "header{font-size:1.25rem;font-weight:700;margin:.5rem 0 1.25rem}"
    "main{background:var(--card);border:1px solid var(--line);border-radius:1rem;padding:2rem 1.25rem 1.5rem}"
    "svg{display:block;margin:0 auto 1.25rem}"
    "h1{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}h1:lang(bn){line-height:1.45}"
    "h1,p{text-wrap:balance}p{margin:0 0 1rem}[role=status]{color:var(--quiet)}"
    ".reference{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);"
    "color:var(--quiet);font-size:.9375rem}"
    ".reference bdi{color:var(--text);font-weight:600}"
    "a{color:var(--wait);display:inline-block;min-height:2.75rem;min-width:2.75rem;padding:.5rem 1rem;"
    "border-radius:.5rem}"
    "main a{display:block;margin-top:1.5rem;padding:.75rem 1rem;border:2px solid;font-weight:600;text-decoration:none}"
    "main a:hover{background:var(--wait);color:var(--card)}"
    "a:focus-visible{outline:3px solid var(--text);outline-offset:3px}"
    "footer{margin-top:1rem}"
    + "".join(f".{colour}{{color:var(--{colour})}}" for colour in ("wait", "good", "hand", "stop", "quiet"))
    + "@media(min-width:40rem){body{padding-top:10vh}main{padding:2.5rem 2.5rem 2rem}main a{display:inline-block;"
    "min-width:16rem}}"
    "@media(prefers-reduced-motion:no-preference){.turn{transform-origin:24px 24px;animation:turn 3s linear infinite}"
    "@keyframes turn{to{transform:rotate(360deg)}}}"
)
