"""Routes of the console, as `worker.console.console_routes` gathers them."""

from __future__ import annotations

from worker.console.route_table import Route

DECIDE: tuple[Route, ...] = ()
