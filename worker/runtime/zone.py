"""The zone of the shops: pages, tables and reports tell their times in it, unless another is asked for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

ZONE = "Asia/Dhaka"
DHAKA = ZoneInfo(ZONE)
