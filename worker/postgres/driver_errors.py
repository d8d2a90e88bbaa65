"""Which errors of the driver mean that the database is away or busy, and their translation.

An error about a wrong statement or a wrong value is not translated: it would be tried again for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, TransactionRolledBack

_AWAY = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection whose server went away under a command
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this machine stood still in a transaction, and its session is over
    asyncpg.ReadOnlySQLTransactionError,
)

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that the driver raises, where a connection of a command's own is used without translation."""


class StatementTooLong(DatabaseUnavailable):
    """The server ended the statement: it took longer than its pool allows, or an administrator ended it."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable, or its kind, from the driver's error in the block. All other errors pass unchanged.

    An OSError or a TimeoutError is taken for the driver's, so no file and no other server is used in the block.
    """
    try:
        yield
    except asyncpg.TransactionRollbackError as error:  # a deadlock, or a serialization failure
        raise TransactionRolledBack(type(error).__name__) from error
    except asyncpg.LockNotAvailableError as error:  # another transaction locked a row for longer than lock_timeout
        raise DatabaseBusy(type(error).__name__) from error
    except asyncpg.QueryCanceledError as error:
        raise StatementTooLong(type(error).__name__) from error
    except _AWAY as error:
        raise DatabaseUnavailable(type(error).__name__) from error
