# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of what a payment says of a stored card."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.payments.stored import StoredCredential


class StoredCredentialIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a card is stored, or was: who begins the payment, why, and whether it is the first of its series."""

    initiator: Literal["customer", "merchant"]
    reason: Literal["instalment", "one_off", "recurring", "unscheduled"]
    stage: Literal["initial", "later"]
    #: Of the first payment, as the scheme named it; absent: what the token knows.
    scheme_transaction_id: (
        Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 ]+$(?!\n)")] | None
    ) = None


class StoredCredentialOut(msgspec.Struct, frozen=True):
    """What a payment says of its stored card."""

    initiator: str
    reason: str
    stage: str
    scheme_transaction_id: str | None


def stored_out(stored: StoredCredential | None) -> StoredCredentialOut | None:
    """Print what a payment says of a stored card."""
    if stored is None:
        return None
    return StoredCredentialOut(
        stored.initiator, stored.reason, stored.stage, stored.scheme_transaction_id
    )
