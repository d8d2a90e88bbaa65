"""Where clients of others, and their packages, are kept between runs, and how long their steps may take in seconds."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".payproof" / "clients"
INSTALL_SECONDS = 300.0
RUN_SECONDS = 60.0
