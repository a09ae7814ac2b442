# SPDX-License-Identifier: Apache-2.0
"""What is sealed beside a card's number: holder, billing address, network token, cryptogram, stored credential.

Each is a place of its own (`crypto.Place.field`), so that none opens as another, and is padded, so that its length says
little. Opened for one call like a number; never part of an answer that is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString, NamedTuple

import msgspec

from strongroom.crypto import Algorithm, Place, Sealer
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, TokenId
from strongroom.kernel.mode import Mode
from strongroom.vault.errors import CannotReadCard
from strongroom.vault.model import DetailRow
from strongroom.vault.sealing import CARD_PURPOSE, CardSealer
from strongroom.vault.wire import BillingAddress, NetworkTokenIn, StoredCredential, TokenBeside

HOLDER: Final = "holder"
BILLING_ADDRESS: Final = "billing_address"
NETWORK_TOKEN: Final = "network_token"  # noqa: S105 - a field's name
CRYPTOGRAM: Final = "cryptogram"
STORED_CREDENTIAL: Final = "stored_credential"
FIELDS: Final[Sequence[LiteralString]] = (
    HOLDER,
    BILLING_ADDRESS,
    NETWORK_TOKEN,
    CRYPTOGRAM,
    STORED_CREDENTIAL,
)
#: A cryptogram serves one payment, soon; networks end it within a day.
CRYPTOGRAM_LIFE: Final = timedelta(days=1)
_PADDED_TO: Final = 64

_encode: Final = msgspec.json.Encoder().encode


class SealedDetail(NamedTuple):
    """What the database gave out."""

    field: str
    sealed: bytes
    key_version: int


class NetworkToken(msgspec.Struct, frozen=True):
    """What is kept of a network token besides number and cryptogram."""

    requestor_id: str
    eci: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Details:
    """What is sealed beside a number, in clear, for one call. Does not print."""

    holder: str | None = None
    billing_address: BillingAddress | None = None
    network_token: NetworkToken | None = None
    stored_credential: StoredCredential | None = None


class DetailSealer:
    """Opens and seals details with the merchants' card keys."""

    def __init__(self, sealer: CardSealer) -> None:
        self._sealer = sealer

    async def open(
        self, rows: Iterable[SealedDetail], mode: Mode, merchant: MerchantId, token: TokenId
    ) -> Details:
        """Open what may be shown; a cryptogram stays sealed.

        Raises:
            CannotReadCard: a row was altered, moved, or its key is lost.
            KeyStoreUnavailable: a key is not open and the key store does not answer.
        """
        found: dict[str, object] = {}
        for row in rows:
            kind = _KINDS.get(row.field)
            if kind is not None:
                text = await self._opened(row, mode, merchant, token)
                found[row.field] = msgspec.json.decode(text, type=kind)
        return Details(**found)  # type: ignore[arg-type]  # each was decoded as its field's type

    async def cryptogram(
        self, row: SealedDetail, mode: Mode, merchant: MerchantId, token: TokenId
    ) -> str:
        """Open a cryptogram whose use is recorded. Raises as `open`."""
        return msgspec.json.decode(await self._opened(row, mode, merchant, token), type=str)

    async def _opened(
        self, row: SealedDetail, mode: Mode, merchant: MerchantId, token: TokenId
    ) -> bytes:
        place = _place(row.field, mode, merchant, token, row.key_version, self._sealer.algorithm)
        return await self._sealer.open_sealed(row.sealed, place, _PADDED_TO)

    async def seal(
        self, values: Mapping[str, object], mode: Mode, merchant: MerchantId, token: TokenId
    ) -> Sequence[DetailRow]:
        """Seal details of a token that is there, under the current key."""
        if not values:
            return ()
        key = await self._sealer.card_key(merchant, mode)
        sealer = key.sealer(self._sealer.algorithm, CARD_PURPOSE)
        return seal_details(values, key.version, sealer, mode, merchant, token)


_KINDS: Final[Mapping[str, type]] = {
    HOLDER: str,
    BILLING_ADDRESS: BillingAddress,
    NETWORK_TOKEN: NetworkToken,
    STORED_CREDENTIAL: StoredCredential,
}


def seal_details(
    values: Mapping[str, object],
    key_version: int,
    sealer: Sealer,
    mode: Mode,
    merchant: MerchantId,
    token: TokenId,
) -> Sequence[DetailRow]:
    """Seal details for their token only. A cryptogram comes with the moment at which it is gone."""
    rows = []
    for field, value in values.items():
        expires_at = None
        if isinstance(value, Cryptogram):
            value, expires_at = value  # noqa: PLW2901 - the value proper
        text = _encode(value)
        padded = text.ljust(-(-len(text) // _PADDED_TO) * _PADDED_TO)
        place = _place(field, mode, merchant, token, key_version, sealer.algorithm)
        rows.append(DetailRow(field, sealer.seal(padded, place), key_version, expires_at))
    return tuple(rows)


class Cryptogram(NamedTuple):
    """A cryptogram, and until when it serves."""

    text: str
    expires_at: datetime


def wished_details(wish: TokenBeside, now: datetime) -> Mapping[str, object]:
    """Return what a wish for a token holds besides the card, by field."""
    values: dict[str, object] = {}
    if wish.holder is not None:
        values[HOLDER] = wish.holder
    if wish.billing_address is not None:
        values[BILLING_ADDRESS] = wish.billing_address
    if wish.network_token is not None:
        values |= network_token_details(wish.network_token, now)
    if wish.stored_credential is not None:
        values[STORED_CREDENTIAL] = wish.stored_credential
    return values


def network_token_details(wish: NetworkTokenIn, now: datetime) -> Mapping[str, object]:
    """Return what is kept of a network token, by field: the cryptogram apart."""
    values: dict[str, object] = {NETWORK_TOKEN: NetworkToken(wish.requestor_id, wish.eci)}
    if wish.cryptogram is not None:
        ends = wish.cryptogram_expires_at or now + CRYPTOGRAM_LIFE
        values[CRYPTOGRAM] = Cryptogram(wish.cryptogram, ends)
    return values


def read_details(
    *,
    holder: str | None,
    address: BillingAddress | None,
    network_token: NetworkTokenIn | None,
    stored: StoredCredential | None,
    now: datetime,
    at: str = "",
) -> None:
    """Refuse card numbers where a name or an address should be, and a cryptogram that lives for ever.

    Raises:
        Invalid: with every field that is wrong, and no value.
    """
    texts = {
        "/holder": [holder],
        "/billing_address": [] if address is None else list(msgspec.structs.astuple(address)),
        "/stored_credential": (
            []
            if stored is None
            else [stored.scheme_transaction_id, stored.mandate_reference, stored.mandate_text]
        ),
    }
    wrong = [
        FieldError(f"{at}{name}", "card_number_refused", "this holds what looks like a card number")
        for name, values in texts.items()
        if any(value is not None and has_cardlike(value) for value in values)
    ]
    if network_token is not None and network_token.cryptogram_expires_at is not None:
        ends = network_token.cryptogram_expires_at
        if ends.tzinfo is None or not now < ends <= now + CRYPTOGRAM_LIFE:
            wrong.append(
                FieldError(
                    f"{at}/network_token/cryptogram_expires_at",
                    "moment_out_of_range",
                    "a cryptogram's time is within a day from now",
                )
            )
    if wrong:
        raise Invalid(*wrong)


def _place(
    field: str,
    mode: Mode,
    merchant: MerchantId,
    token: TokenId,
    key_version: int,
    algorithm: Algorithm,
) -> Place:
    name = next((each for each in FIELDS if each == field), None)
    if name is None:
        raise CannotReadCard("a detail is of no kind that this release knows")
    return Place(
        algorithm=algorithm,
        mode=mode,
        merchant=merchant,
        object_id=token,
        field=name,
        key_version=key_version,
        purpose=CARD_PURPOSE,
    )
