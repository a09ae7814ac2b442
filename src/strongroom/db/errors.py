# SPDX-License-Identifier: Apache-2.0
"""What the database may answer instead of rows. The driver's own text never leaves this package.

Unavailable                503, with Retry-After
├── DatabaseAway           no connection; nothing was sent
│   └── ConnectionLost     it broke under a statement; whether that was committed is not known
├── LoginRefused           the server answers and does not let this login in
├── DatabaseFull           disk full, out of memory, too many connections
├── DatabaseSlow           a statement ran into its time limit
├── LockTaken              somebody else's transaction holds what this one needs
├── Again                  deadlock or serialization failure: the same work may be tried again
├── QueueFull              more waits than this process will hold
└── OutcomeUnknown         the connection broke at COMMIT and could not be asked again
ConstraintBroken           a row violates a constraint; names the constraint, never the values
SchemaBehind, SchemaAhead, MigrationChanged    refused at start
"""

from typing import ClassVar

import asyncpg

from strongroom.kernel.errors import StrongroomError, Unavailable


class DatabaseAway(Unavailable):
    """The database does not answer."""

    code = "database_away"


class ConnectionLost(DatabaseAway):
    """The connection broke under a statement."""


class LoginRefused(Unavailable):
    """The database does not let this login in: wrong password, unknown login, or no right to connect."""

    code = "database_login_refused"


class DatabaseFull(Unavailable):
    """The database has no room left."""

    code = "database_full"
    retry_after_seconds: ClassVar[int] = 30


class DatabaseSlow(Unavailable):
    """The database did not answer in time."""

    code = "database_slow"


class LockTaken(Unavailable):
    """Another transaction holds a lock that this one needs."""

    code = "lock_taken"


class QueueFull(Unavailable):
    """More requests wait to be written than this process will hold."""

    code = "queue_full"


class OutcomeUnknown(Unavailable):
    """The connection broke while committing and the outcome could not be learnt; ask again with the same key."""

    code = "outcome_unknown"


class Again(Unavailable):
    """Another transaction was in the way; nothing was written; the same work may be tried again."""

    code = "again"


class ConstraintBroken(StrongroomError):
    """A row violates a constraint."""

    code = "constraint_broken"

    def __init__(self, constraint: str) -> None:
        super().__init__(f"the row violates {constraint}")
        self.constraint = constraint


class SchemaRefused(StrongroomError):
    """This database's schema and this code do not belong together."""

    code = "schema_refused"


class SchemaBehind(SchemaRefused):
    """The database's schema is older than this code: run `strongroom migrate`."""


class SchemaAhead(SchemaRefused):
    """The database's schema is newer than this code: start a newer release."""


class MigrationChanged(SchemaRefused):
    """A migration that was applied here is not the one in this release."""


#: SQLSTATE classes and codes (PostgreSQL manual, appendix A) that mean "not now".
_AWAY = ("08", "57P")
_FULL = ("53",)
_SLOW = ("57014", "25P03", "25P04")
_LOCKED = "55P03"
_AGAIN = ("40001", "40P01")


def translated(error: BaseException) -> BaseException:
    """Return our error for a driver's error, or the same object when it is none of the driver's.

    The driver's text may hold DETAIL lines with values, so none of it is taken over.
    """
    if isinstance(error, asyncpg.PostgresError):
        state = str(getattr(error, "sqlstate", "") or "")
        if state in _SLOW:
            return DatabaseSlow()
        if state == _LOCKED:
            return LockTaken()
        if state in _AGAIN:
            return Again()
        if state.startswith(_AWAY):
            return DatabaseAway()
        if state.startswith("28") or state == "3D000":
            return LoginRefused()
        if state.startswith(_FULL):
            return DatabaseFull()
        if state.startswith("23"):
            return ConstraintBroken(str(getattr(error, "constraint_name", None) or "a constraint"))
        return QueryFailed(state)
    # InternalClientError: what the driver says when the server goes away in the middle of its own steps.
    if isinstance(
        error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
    ):
        return DatabaseAway()
    return error


class QueryFailed(StrongroomError):
    """A statement failed in a way that this code does not expect: a bug or a damaged schema."""

    code = "query_failed"

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"a statement failed with SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate
