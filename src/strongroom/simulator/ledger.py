# SPDX-License-Identifier: Apache-2.0
"""What the simulator knows: accounts, payments, operations, answers by idempotency key. In memory, from the journal.

Every change is a journal line first and then applied; a restarted simulator applies the same lines. Accounts stand
in a file of their own, because they hold secrets.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from strongroom.simulator.books import Operation, OperationKind, Payment
from strongroom.simulator.journal import Entry, Journal, Line

ACCOUNTS_FILE_NAME: Final = "accounts.json"
_PRIVATE: Final = 0o600


class Webhook(msgspec.Struct, frozen=True):
    """Where an account's events go, and what they are signed or encrypted with."""

    url: str
    secrets: tuple[str, ...] = ()
    #: 32 bytes in hexadecimal; encrypts instead of signing.
    encryption_key: str | None = None

    def __repr__(self) -> str:
        return "Webhook(***)"


class Account(msgspec.Struct, frozen=True):
    """A merchant's account here. Accounts see nothing of each other."""

    account: str
    api_key: str
    webhook: Webhook | None = None
    #: If there is one, every POST must carry a signature over its body.
    signing_secret: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.account})"


class Answer(NamedTuple):
    """What an idempotency key is answered with."""

    fingerprint: str
    subject: Payment | Operation


class Ledger:
    """The state, and the only writer of the journal."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder)
        self._accounts_file = folder / ACCOUNTS_FILE_NAME
        self.accounts: dict[str, Account] = {}
        self._by_api_key: dict[str, Account] = {}
        self.payments: dict[str, Payment] = {}
        self.operations: dict[str, Operation] = {}
        self.entries: list[Entry] = []
        self._named: dict[tuple[str, str], list[str]] = {}
        self._answers: dict[tuple[str, str], Answer] = {}
        #: The last line that sent an event, by the id of what the event shows.
        self.announced: dict[str, Line] = {}
        try:
            self._read_accounts()
            self._journal.replay(self._apply)
        except BaseException:
            self._journal.close()
            raise

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    # --- accounts -------------------------------------------------------------------------------------

    def account(self, name: str) -> Account | None:
        """Return an account by its name."""
        return self.accounts.get(name)

    def account_of(self, api_key: str) -> Account | None:
        """Return the account that an API key opens."""
        return self._by_api_key.get(api_key)

    def put_account(self, account: Account) -> None:
        """Make an account, or change it; on disk before it is used."""
        accounts = {**self.accounts, account.account: account}
        waiting = self._accounts_file.with_suffix(".new")
        descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(list(accounts.values()))))
        waiting.replace(self._accounts_file)
        self._know(accounts)

    def _read_accounts(self) -> None:
        if self._accounts_file.exists():
            found = msgspec.json.decode(self._accounts_file.read_bytes(), type=list[Account])
            self._know({each.account: each for each in found})

    def _know(self, accounts: dict[str, Account]) -> None:
        self.accounts = accounts
        self._by_api_key = {each.api_key: each for each in accounts.values()}

    # --- money ----------------------------------------------------------------------------------------

    def write(self, *lines: Line) -> None:
        """Make lines happen: all of them, in the journal and then here.

        Raises:
            OSError: the journal could not be written; nothing happened.
        """
        self._journal.append(lines)
        for line in lines:
            self._apply(line)

    @property
    def next_number(self) -> int:
        """The number of the next line."""
        return len(self.entries) + 1

    def answer(self, account: str, idempotency_key: str) -> Answer | None:
        """Return what a key was answered with, if it was used."""
        return self._answers.get((account, idempotency_key))

    def named(self, account: str, reference: str) -> list[Payment | Operation]:
        """Return what an account gave this reference, oldest first: more than one if it was asked for twice."""
        return list(self._all_named(account, reference))

    def named_anywhere(self, reference: str) -> list[Payment | Operation]:
        """Return what any account gave this reference."""
        return [each for name in self.accounts for each in self._all_named(name, reference)]

    def _all_named(self, account: str, reference: str) -> Iterator[Payment | Operation]:
        for each in self._named.get((account, reference), ()):
            yield self.payments[each] if each in self.payments else self.operations[each]

    def _apply(self, line: Line) -> None:
        payment, operation = line.payment_after, line.operation_after
        if operation is None:
            subject_id, known = payment.payment_id, payment.payment_id in self.payments
        else:
            subject_id, known = operation.operation_id, operation.operation_id in self.operations
            self.operations[subject_id] = operation
            # A dispute is not ours: it has the reference of its payment, and is not found by it.
            known = known or operation.kind is OperationKind.DISPUTE
        self.payments[payment.payment_id] = payment
        if not known:
            self._named.setdefault((line.account, line.reference), []).append(subject_id)
        if line.fingerprint is not None and line.idempotency_key is not None:
            self._answers[line.account, line.idempotency_key] = Answer(
                line.fingerprint, line.subject
            )
        if line.announces is not None:
            self.announced[subject_id] = line
        self.entries.append(line.entry())
