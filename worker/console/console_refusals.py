"""Why a request of the console is not answered, and the page that says so."""

from __future__ import annotations

import structlog
from aiohttp import web

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.console.layout import Page, error_page
from worker.console.operator_turns import OutOfTurn
from worker.console.sign_in import TooManyFailures
from worker.console.visit import Guest
from worker.postgres.driver_errors import StatementTooLong
from worker.postgres.pools import READ_SECONDS

RETRY_SECONDS = 5
"""After so long a page is asked for again, where the database did not answer or the person has too many turns."""

log = structlog.get_logger()


class Denied(Exception):
    """The request is refused, with a page of this status: see `error_page`."""

    def __init__(self, status: int, name: str, key: str | None = None, **values: object) -> None:
        super().__init__(name)
        self.status, self.name, self.key, self.values = status, name, key, values


def refusal(guest: Guest, error: Exception) -> Page:
    """The page that says why the request was not answered. The log has what nobody expected."""
    match error:
        case Denied():
            return error_page(guest, error.status, error.name, error.key, **error.values)
        case web.HTTPBadRequest():
            return error_page(guest, 400, "forged")
        case web.HTTPRequestEntityTooLarge():
            return error_page(guest, 413, "too_large")
        case TooManyFailures():
            seconds = _whole(error.seconds)
            return _again_after(seconds, error_page(guest, 429, "confirm", "sign_in.slow", seconds=seconds))
        case OutOfTurn():
            log.warning("console.out_of_turn", why=str(error))
            return _again_after(RETRY_SECONDS, error_page(guest, 429, "turns"))
        case StatementTooLong():
            log.warning("console.too_long", path=guest.request.path)
            return _again_after(RETRY_SECONDS, error_page(guest, 503, "too_long", seconds=READ_SECONDS))
        case DatabaseUnavailable() | TimeoutError():
            log.warning("console.unavailable", error=error_name(error))
            return _again_after(RETRY_SECONDS, error_page(guest, 503, "unavailable"))
    log.error("console.failed", exc_info=error)
    return error_page(guest, 500, "failed")


def _again_after(seconds: int, answer: Page) -> Page:
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _whole(seconds: float) -> int:
    return max(1, round(seconds + 0.5))
