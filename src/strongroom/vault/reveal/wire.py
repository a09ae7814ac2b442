# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of reveals. `RevealedCard` is the one shape of all of Strongroom that goes out with a card number."""

from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.vault.reveal.model import Kept, Purpose, Stop, Wish
from strongroom.vault.reveal.recipient import Recipient
from strongroom.vault.wire import BillingAddress

NOTE_CHARACTERS_MAX = 200


class RevealIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a card is wanted for."""

    purpose: Annotated[Purpose, Meta(description="Why; stands in the audit record")]
    note: (
        Annotated[
            str,
            Meta(
                max_length=NOTE_CHARACTERS_MAX,
                pattern=r"^[^\u0000-\u001f\u007f]*$",
                description="In your words: a ticket, a name. Kept apart from the record, where it can be erased",
            ),
        ]
        | None
    ) = None
    jwe_key: (
        Annotated[
            dict[str, Any],
            Meta(
                max_length=16,
                description="Your public key (JWK): the card comes encrypted to it, as a compact JWE",
            ),
        ]
        | None
    ) = None

    def wish(self) -> Wish:
        """Read it.

        Raises:
            Invalid: the note holds a card number, or the key is not one to encrypt to.
        """
        if self.note is not None and has_cardlike(self.note):
            raise Invalid(
                FieldError(
                    "/note", "card_number_refused", "the note holds what looks like a card number"
                )
            )
        recipient = None if self.jwe_key is None else Recipient.read(self.jwe_key)
        return Wish(self.purpose, self.note, recipient)


class RevealedCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card in clear. It does not print and is not copied: it is encoded once."""

    number: str
    exp_month: int
    exp_year: int
    holder: str | None = None
    billing_address: BillingAddress | None = None

    def __repr__(self) -> str:
        return "RevealedCard(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a card in clear cannot be pickled")


class RevealedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A card that was asked for: in clear, or encrypted to the caller's key. Never both, and never a CVC."""

    token: str
    mode: str
    brand: str
    purpose: str
    #: The audit record of this.
    record: str
    card: RevealedCard | None
    #: Compact JWE (RFC 7516) of what `card` would hold.
    jwe: str | None
    object: str = "revealed_card"


class StopOut(msgspec.Struct, frozen=True):
    """A caller who reveals nothing for a time."""

    object: str
    caller: str
    count: int
    stopped_at: str
    ends_at: str
    lifted_at: str | None
    lifted_by: str | None


class StopsOut(msgspec.Struct, frozen=True):
    """Every caller of the tenant's mode who reveals nothing now."""

    data: list[StopOut]
    has_more: bool
    next_cursor: str | None


class KeptOut(msgspec.Struct, frozen=True):
    """That a card was shown: by whom, what for, and what they wrote."""

    object: str
    record: str
    token: str
    caller: str
    purpose: str
    note: str | None
    revealed_at: str


class KeptPage(msgspec.Struct, frozen=True):
    """A page of reveals, newest first."""

    data: list[KeptOut]
    has_more: bool
    next_cursor: str | None


def stop_out(stop: Stop) -> StopOut:
    """Print a stop."""
    return StopOut(
        "reveal_stop",
        stop.caller,
        stop.count,
        rfc3339(stop.stopped_at),
        rfc3339(stop.ends_at),
        rfc3339(stop.lifted_at) if stop.lifted_at else None,
        stop.lifted_by,
    )


def kept_out(kept: Kept) -> KeptOut:
    """Print what is kept of a reveal."""
    return KeptOut(
        "reveal",
        kept.event_id,
        kept.token_id,
        kept.caller,
        kept.purpose,
        kept.note,
        rfc3339(kept.revealed_at),
    )
