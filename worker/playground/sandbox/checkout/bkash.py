"""bKash's own checkout: the same three steps that OnePayBD sends its buyers through, under bKash's name."""

from __future__ import annotations

from msgspec.structs import replace

from worker.playground.sandbox.checkout import onepaybd

LOOK = replace(onepaybd.LOOK, title="bKash payment", brand="<b>bKash</b><span>payment</span>")
