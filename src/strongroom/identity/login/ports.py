# SPDX-License-Identifier: Apache-2.0
"""What logging in asks of others, and what others ask of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol

from strongroom.db.pool import ReadOnly, Transaction
from strongroom.http.request import Request
from strongroom.identity.login.model import Visit
from strongroom.identity.people.model import Person
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.mode import Mode


class Passwords(Protocol):
    """Knows passwords, slowly."""

    async def kept(self, read: ReadOnly, person: Person | None) -> Any:
        """Return what is kept of a person's password, or what stands for it where there is nobody."""

    async def holds(self, kept: Any, password: str) -> bool:
        """Tell whether this is the password, outside any transaction. Equal work, and False, where there is nobody."""


class Denials(Protocol):
    """Who records refusals of strangers: the first at once, what follows together (`audit.denials.DenialLog`)."""

    def note(self, address: str, reason: str, request_hash: str, listener: str) -> None:
        """Take a refusal; does not wait."""


class LoginMetrics(Protocol):
    """Counts logins. Labels are words of the code."""

    def login(self, method: str, outcome: str, reason: str) -> None:
        """Count an end of a step: `method` is password, totp, recovery_code, passkey or sso."""

    def stepped_up(self, method: str, outcome: str) -> None:
        """Count a step-up."""

    def locked(self, scope: str) -> None:
        """Count an alarm: a network was locked (`network`), or an account's tries were used up (`account`)."""


class Finishing(Protocol):
    """What passkeys and single sign-on use of logging in: who began, and how it ends. One place for records."""

    async def visit(self, request: Request) -> Visit:
        """Take a request to log in. Call it first, outside any transaction.

        Raises:
            TooMany: this address asks too often.
        """

    async def person_of(self, tx: Transaction, handle: str) -> tuple[Person, Mode] | None:
        """Return who has shown their password under this handle, and for which mode; None for anything else.

        None is no reason to stop: offer what somebody without a passkey is offered, and refuse in the end.
        """

    async def finish(
        self,
        tx: Transaction,
        person: Person,
        mode: Mode,
        methods: Collection[str],
        visit: Visit,
        *,
        method: str,
        handle: str | None = None,
    ) -> Issued:
        """Let somebody in who has shown all factors: records it and begins the session, in the caller's transaction.

        Args:
            methods: RFC 8176 words, `mfa` among them.
            method: what it was, for records and metrics: `passkey`, `sso`.
            handle: the handle of a first step, which ends with it.

        Raises:
            LoginRefused: person or merchant is not active, or the handle was used by another login.
        """

    async def failed(
        self, person: Person | None, visit: Visit, *, method: str, reason: str
    ) -> None:
        """Record a login that failed. For nobody known it is counted together with others from there."""


class Unlocking(Protocol):
    """What administrators and lists of people use of the lock-out."""

    async def clear(self, tx: Transaction, person: Person) -> bool:
        """Lift every lock of a person; tell whether there was one. The caller records it."""

    async def locked_until(self, read: ReadOnly, person: Person, now: datetime) -> datetime | None:
        """Return until when a network is locked for this person, the last of them; None if none is."""
