# SPDX-License-Identifier: Apache-2.0
"""What payments ask of an adapter, and what they offer. An adapter translates; it decides nothing and calls nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

from strongroom.payments.model import (
    Attempt,
    Connection,
    DisputeTold,
    Finding,
    Found,
    Operation,
    Payment,
    ThreeDs,
)
from strongroom.vault import Destination, Forwarded, Template


@dataclass(frozen=True, slots=True)
class Command:
    """What a processor is to be asked, in our words."""

    attempt: Attempt
    payment: Payment
    #: The processor's name of the payment, for everything but an authorization.
    authorization: str | None
    #: Whether a CVC goes with it.
    with_cvc: bool = False
    #: Where the processor sends the customer back to.
    return_url: str | None = None

    @property
    def nobody_there(self) -> bool:
        """Whether the merchant begins it: no security code goes along, and nobody can pass a challenge."""
        stored = self.payment.stored_credential
        return stored is not None and stored.by_merchant

    @property
    def three_ds(self) -> ThreeDs:
        """What is asked about 3-D Secure; the attempt keeps it, so that a replay asks the same."""
        if self.nobody_there:
            return ThreeDs.AUTOMATIC
        return self.attempt.three_ds or ThreeDs.AUTOMATIC


@dataclass(frozen=True, slots=True)
class Report:
    """What a verified notice claims."""

    #: None: this processor's notices do not name it. The secret under which one holds is one account's all the same.
    account: str | None
    mode: str
    #: Our reference: an attempt's id, if it is one.
    reference: str
    operation: Operation | None
    amount: int
    currency: str
    found: Found
    #: The processor's word for what happened.
    event_type: str
    #: What it tells of a dispute; then it is about no operation.
    dispute: DisputeTold | None = None
    #: The amount may be the whole payment's although the operation was about what was left of it.
    of_the_whole: bool = False
    #: Of an increment: the amount is what is authorized with it, not what it adds.
    of_total: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What a processor says of an account, for `connection test`."""

    account: str
    mode: str
    missing: Sequence[str]
    #: Whether card numbers may be sent. None: the processor tells that of a payment only.
    raw_cards: bool | None = None


class AnswerSurprising(Exception):
    """An answer has not the shape that the processor publishes. It is never guessed at: the outcome stays unknown."""


class Adapter(Protocol):
    """A processor, as pure translation."""

    @property
    def name(self) -> str:
        """The processor's name in connections."""

    @property
    def destination(self) -> Destination:
        """What the vault may send there: routes, slots, credentials."""

    @property
    def findings(self) -> frozenset[Finding]:
        """The ways in which an outcome can be found here."""

    @property
    def visibility_seconds(self) -> int:
        """How long after it was sent a request may still become visible. Before, "nothing found" means nothing."""

    @property
    def replay_seconds(self) -> int:
        """How long an idempotency key is honoured: after that nothing is sent under it again."""

    @property
    def verification_scheme(self) -> str:
        """How its notices are verified (`webhooks.inbound`)."""

    def template(self, command: Command) -> Template:
        """Return the request. The same command gives the same request: replays depend on it.

        Raises:
            CommandNotTaken: the processor takes no such request, now or later; nothing is sent.
        """

    def answer(self, command: Command, reply: Forwarded) -> Found:
        """Read an answer.

        Raises:
            AnswerSurprising: it has not the published shape, or speaks of another amount, currency or reference.
        """

    def find(self, attempt: Attempt) -> Template:
        """Return the request that asks for our reference."""

    def found(self, attempt: Attempt, reply: Forwarded) -> Found | None:
        """Read what was found; None: the processor knows nothing of that reference.

        Raises:
            AnswerSurprising: see `answer`.
        """

    def report(self, body: bytes) -> Report | None:
        """Read a verified notice; None for a kind that says nothing of a payment.

        Raises:
            AnswerSurprising: it has not the published shape.
        """

    def probe(self) -> Template:
        """Return the request that asks for the account, for `connection test`."""

    def account(self, connection: Connection, reply: Forwarded) -> Account:
        """Read the account. Raises AnswerSurprising."""


@runtime_checkable
class PerAccount(Protocol):
    """An adapter whose requests name the merchant's account: it is bound to a connection before it is used."""

    def bound(self, connection: Connection) -> Adapter:
        """Return the adapter for one account."""


@runtime_checkable
class FindsAtPayment(Protocol):
    """An adapter whose processor shows captures, releases and refunds only at the payment that they belong to."""

    def find_at(self, authorization: str) -> Template:
        """Return the request that asks that payment, by the processor's name of it. `found` reads the answer."""


@runtime_checkable
class FindsByName(Protocol):
    """An adapter whose processor is asked for what it named in an earlier answer, whatever its connection declares."""

    def find_by_name(self, attempt: Attempt) -> Template | None:
        """Return the request; None: nothing was named that says more than is known. `found` reads the answer."""


@runtime_checkable
class Prepares(Protocol):
    """What an adapter has besides, where a card goes into an instrument first that the call which moves money names.

    So that a replay needs no card: a CVC serves once. A preparation moves no money, and is never repeated.
    """

    def prepare(self, command: Command) -> Template | None:
        """Return the request that prepares a command; None: this one needs none. The card's slots stand here.

        Raises:
            CommandNotTaken: see `Adapter.template`.
        """

    def prepared(self, command: Command, reply: Forwarded) -> str | Found:
        """Return the processor's name of the instrument, 1 to 255 printable characters, or why there is none.

        Whatever is returned but a name, no money was asked for: `declined`, or else it counts as `not_sent`.

        Raises:
            AnswerSurprising: see `Adapter.answer`.
        """


@runtime_checkable
class Continues(Protocol):
    """An adapter whose processor wants what the customer brings back from a challenge, and answers with the result."""

    def continuation(self, attempt: Attempt, result: str, digest: str) -> Template:
        """Return the request that hands it on. The same words give the same request, `digest` names them in its key."""

    def continued(self, attempt: Attempt, reply: Forwarded) -> Found:
        """Read the answer.

        Raises:
            AnswerSurprising: see `Adapter.answer`; also where it does not say that it is about our attempt, because
                anybody may have brought the words.
        """


@runtime_checkable
class CallsBack(Protocol):
    """An adapter whose processor releases by our reference what we know nothing of."""

    def call_back_after(self, finding: Finding) -> int:
        """Return after how many seconds an authorization whose outcome stays unknown is called back."""

    def call_back(self, attempt: Attempt) -> Template:
        """Return the request. The same attempt gives the same request, under a key of its own."""

    def called_back(self, attempt: Attempt, reply: Forwarded) -> bool:
        """Tell whether it was received; what came of it is told by a notice. Raises AnswerSurprising."""


@runtime_checkable
class Increments(Protocol):
    """An adapter whose processor raises what it holds; without it, an increment is refused before anything is saved."""

    def increment(self, command: Command) -> Template:
        """Return the request that raises a hold to `command.attempt.raises_to`; `template` returns it too.

        Raises:
            CommandNotTaken: see `Adapter.template`.
        """


Adapters = Mapping[str, Adapter]


def is_per_account(adapter: Adapter) -> TypeGuard[PerAccount]:
    """Tell whether an adapter is bound to a connection before it is used."""
    return _has_methods_of(type(adapter), PerAccount)


def does_prepare(adapter: Adapter) -> TypeGuard[Prepares]:
    """Tell whether an adapter may put a card into an instrument first."""
    return _has_methods_of(type(adapter), Prepares)


@cache
def _has_methods_of(kind: type, protocol: Any) -> bool:
    """Asked once a class: `isinstance` of a protocol looks for each of its methods, each time."""
    return issubclass(kind, protocol)
