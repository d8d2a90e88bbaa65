"""The failures that mean: a server is away or busy, nothing was wrong with what was asked of it, try again later.

    Unavailable
    ├── BusUnavailable
    └── DatabaseUnavailable
        └── DatabaseBusy
            └── TransactionRolledBack

Adapters raise them at their edge, from the error of their driver. None of them means "not done": a commit that was cut
off in flight may have been done all the same.
"""

from __future__ import annotations


class Unavailable(Exception):
    """A server is away or busy. The same call may succeed later."""


class BusUnavailable(Unavailable):
    """Nothing can be made durable now; the caller has to come again."""


class DatabaseUnavailable(Unavailable):
    """The database is away, full, failing over, shutting down or busy. Its `__cause__` is the error of the driver."""


class DatabaseBusy(DatabaseUnavailable):
    """Other transactions were in the way of this one. The database works, and all else can go on."""


class TransactionRolledBack(DatabaseBusy):
    """The server rolled the transaction back in favour of another one. Run again at once, it mostly succeeds."""


def error_name(error: BaseException) -> str:
    """The type of the driver's error that an Unavailable was raised from, else the type of the error itself."""
    while isinstance(error, Unavailable) and error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
