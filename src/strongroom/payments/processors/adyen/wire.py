# SPDX-License-Identifier: Apache-2.0
"""Adyen's JSON, as Checkout 71 and its webhooks publish it. What has another shape does not decode.

What is not read is left out: Adyen adds members within a version.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: "Adyen's 16-character reference", digits and upper-case letters in every example.
PspReference = Annotated[str, Meta(pattern=r"^[A-Z0-9]{16}$(?!\n)")]
#: "Maximum length: 80 characters."
Reference = Annotated[str, Meta(max_length=80)]
Words = Annotated[str, Meta(max_length=1_000)]
ResultCode = Literal[
    "AuthenticationFinished",
    "AuthenticationNotRequired",
    "Authorised",
    "Cancelled",
    "ChallengeShopper",
    "Error",
    "IdentifyShopper",
    "PartiallyAuthorised",
    "Pending",
    "PresentToShopper",
    "Received",
    "RedirectShopper",
    "Refused",
    "Success",
]


class AmountOut(msgspec.Struct, frozen=True):
    """An amount in Adyen's minor units."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    value: Annotated[int, Meta(ge=0, lt=10**12)]


class ActionOut(msgspec.Struct, frozen=True):
    """What the customer has to do."""

    type: Annotated[str, Meta(min_length=1, max_length=60)]
    url: Annotated[str, Meta(max_length=8_000, pattern=r"^https://[!-~]+$(?!\n)")] | None = None
    method: Annotated[str, Meta(max_length=20)] | None = None


class PaymentOut(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to `/payments`. Only its result is always there."""

    result_code: ResultCode
    psp_reference: PspReference | None = None
    merchant_reference: Reference | None = None
    amount: AmountOut | None = None
    action: ActionOut | None = None
    refusal_reason: Words | None = None
    refusal_reason_code: Annotated[str, Meta(max_length=20)] | None = None
    additional_data: dict[str, str] = {}


class ModificationOut(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to a capture, a cancel or a refund: "always received". What became of it is told by a webhook."""

    merchant_account: Words
    payment_psp_reference: PspReference
    psp_reference: PspReference
    status: Literal["received"]
    reference: Reference
    #: Of a capture and a refund.
    amount: AmountOut | None = None


class CancelOut(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to a technical cancel. What became of it is told by a webhook."""

    merchant_account: Words
    payment_reference: Reference
    psp_reference: PspReference
    status: Literal["received"]


class ErrorOut(msgspec.Struct, frozen=True, rename="camel"):
    """Why it refused."""

    status: int
    error_code: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,20}$(?!\n)")]
    error_type: Annotated[str, Meta(pattern=r"^[A-Za-z_]{1,40}$(?!\n)")]


class MethodOut(msgspec.Struct, frozen=True):
    """A way to pay."""

    type: Annotated[str, Meta(max_length=200)]


class MethodsOut(msgspec.Struct, frozen=True, rename="camel"):
    """The ways to pay that a merchant account offers."""

    payment_methods: Annotated[list[MethodOut], Meta(max_length=1_000)]


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    event_code: Annotated[str, Meta(max_length=100)]


class _KindItem(msgspec.Struct, frozen=True):
    item: _Kind = msgspec.field(name="NotificationRequestItem")


class KindIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a notification is about, before the rest of it is read: kinds that are not ours may look as they like."""

    notification_items: Annotated[list[_KindItem], Meta(min_length=1, max_length=1)]


class ItemIn(msgspec.Struct, frozen=True, rename="camel"):
    """A notification's item. Exactly the members that its HMAC covers; nothing else is read."""

    psp_reference: PspReference
    merchant_account_code: Words
    merchant_reference: Reference
    amount: AmountOut
    event_code: Annotated[str, Meta(pattern=r"^[A-Z_]{1,60}$(?!\n)")]
    success: Literal["false", "true"]
    original_reference: Annotated[str, Meta(pattern=r"^(?:[A-Z0-9]{16})?$(?!\n)")] | None = None


class _WrappedItem(msgspec.Struct, frozen=True):
    item: ItemIn = msgspec.field(name="NotificationRequestItem")


class NotificationIn(msgspec.Struct, frozen=True, rename="camel"):
    """A notification: one item in JSON. `live` is not signed: it can only make us believe less."""

    live: Literal["false", "true"]
    notification_items: Annotated[list[_WrappedItem], Meta(min_length=1, max_length=1)]
