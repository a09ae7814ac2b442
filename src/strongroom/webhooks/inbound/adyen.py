# SPDX-License-Identifier: Apache-2.0
"""Notices of Adyen, both forms: of payments, signed item by item over eight fields, and of platforms, over the body.

Neither signs a time: what is sent again was kept already. Of a payment's notice only `VerifiedNotice.signed` is
authentic; reason, additional data and date are not, and decide nothing about money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from strongroom.crypto import sha256
from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.macs import from_base64, hex_keys, is_hex_key, require_signed
from strongroom.webhooks.inbound.verify import RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.wire import ACCEPTED

HEADER: Final = "hmacsignature"
#: There is one in JSON, and there were up to six in SOAP.
ITEMS_MAX: Final = 20

#: What is signed is joined by colons, and a colon inside is not escaped. Where only `merchantReference` may hold one,
#: the text that was signed is that of one item alone: nobody can push a part of one field into its neighbour.
_Part = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^:]*$(?!\n)")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x39\x3b-\x7e]{1,100}$(?!\n)")]
_Flag = bool | Literal["true", "false"]


_Number = Annotated[int, msgspec.Meta(ge=-(10**18), le=10**18)]
_Digits = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,18}$(?!\n)")]


class _Amount(msgspec.Struct, frozen=True):
    value: _Number | _Digits | None = None
    currency: _Part | None = None


class _AdditionalData(msgspec.Struct, frozen=True):
    signature: str | None = msgspec.field(name="hmacSignature", default=None)


class _Item(msgspec.Struct, frozen=True, rename="camel"):
    """What is signed of an item, and the signature."""

    psp_reference: _Name
    event_code: _Name
    success: _Flag
    original_reference: _Part | None = None
    merchant_account_code: _Part | None = None
    merchant_reference: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    amount: _Amount | None = None
    additional_data: _AdditionalData | None = None

    def signed(self) -> Mapping[str, str]:
        """Return what the signature covers, in its order. What is absent or null counts as empty."""
        amount = self.amount or _Amount()
        return {
            "pspReference": self.psp_reference,
            "originalReference": self.original_reference or "",
            "merchantAccountCode": self.merchant_account_code or "",
            "merchantReference": self.merchant_reference or "",
            "value": "" if amount.value is None else str(amount.value),
            "currency": amount.currency or "",
            "eventCode": self.event_code,
            "success": _word(self.success),
        }


class _Wrapped(msgspec.Struct, frozen=True):
    item: msgspec.Raw = msgspec.field(name="NotificationRequestItem")


class _Envelope(msgspec.Struct, frozen=True):
    live: _Flag
    items: Annotated[list[_Wrapped], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)] = (
        msgspec.field(name="notificationItems")
    )


class _PlatformNotice(msgspec.Struct, frozen=True):
    """What is read of a platform's notice: whether it is of live mode, if it says so."""

    environment: Literal["live", "test"] | None = None


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_item: Final = msgspec.json.Decoder(_Item).decode
_decode_platform: Final = msgspec.json.Decoder(_PlatformNotice).decode


class AdyenVerifier:
    """Implements `Verifier` for notices of payments ("standard webhooks")."""

    scheme: Final = "adyen"
    #: None: the signature stands in each item.
    headers: Final[frozenset[str]] = frozenset()
    acknowledgement: Final = ACCEPTED

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret is a key as Adyen shows it: 32 bytes in hexadecimal."""
        return is_hex_key(secret)

    def verify(
        self,
        raw: RawNotice,
        secrets: Sequence[Secret[str]],
        now: datetime,  # noqa: ARG002 - the scheme signs no time
    ) -> VerifiedNotice:
        """Return the notice of the first item, the others beside it. Raises NoticeRejected, and nothing else."""
        # To believe an envelope:
        #  1. Read it: a mode, and items.
        #  2. Verify each item over its own fields; where one does not hold, none is believed.
        #  3. Make a notice of each, which says what of it is authentic.
        keys = hex_keys(secrets)
        try:
            envelope = _decode_envelope(raw.body)  # (1)
            items = [(each.item, _decode_item(each.item)) for each in envelope.items]
            for _, item in items:  # (2)
                given = item.additional_data and item.additional_data.signature
                signed = ":".join(item.signed().values())
                require_signed(keys, signed.encode(), [from_base64(given or None)])
        except (*UNDECODABLE, UnicodeEncodeError):
            raise NoticeRejected("body_malformed") from None
        live = _word(envelope.live)
        first, *others = [  # (3)
            VerifiedNotice(
                raw.body if len(items) == 1 else _alone(live, text),
                f"{item.event_code}:{item.psp_reference}:{_word(item.success)}",
                self.scheme,
                signed=item.signed(),
                mode=Mode.LIVE if live == "true" else Mode.TEST,
            )
            for text, item in items
        ]
        return replace(first, beside=tuple(others))


class AdyenPlatformVerifier:
    """Implements `Verifier` for notices that are signed whole, in a header: of platforms, balances and accounts."""

    scheme: Final = "adyen_platform"
    headers: Final = frozenset({HEADER})
    acknowledgement: Final = ACCEPTED

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret is a key as Adyen shows it: 32 bytes in hexadecimal."""
        return is_hex_key(secret)

    def verify(
        self,
        raw: RawNotice,
        secrets: Sequence[Secret[str]],
        now: datetime,  # noqa: ARG002 - the scheme signs no time
    ) -> VerifiedNotice:
        """Return the notice as one that holds. Raises NoticeRejected, and nothing else."""
        require_signed(hex_keys(secrets), raw.body, [from_base64(raw.headers.get(HEADER))])
        try:
            notice = _decode_platform(raw.body)
        except UNDECODABLE:
            raise NoticeRejected("body_malformed") from None
        # Their kinds have no identity in common. The same bytes are the same notice.
        return VerifiedNotice(
            raw.body,
            f"{self.scheme}:{sha256(raw.body).hex()}",
            self.scheme,
            mode=None if notice.environment is None else Mode(notice.environment),
        )


def _word(flag: bool | str) -> str:  # noqa: FBT001 - a value, not an option
    """Return a flag as it is signed, however it was written."""
    return str(flag).lower() if isinstance(flag, bool) else flag


def _alone(live: str, item: msgspec.Raw) -> bytes:
    """Return an envelope of one item, to the byte as it came."""
    begin = f'{{"live":"{live}","notificationItems":[{{"NotificationRequestItem":'
    return begin.encode() + bytes(item) + b"}]}"
