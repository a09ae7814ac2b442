# SPDX-License-Identifier: Apache-2.0
"""A customer who comes back from a challenge. The return triggers a look and nothing else: it proves nothing.

The customer is then sent on to the merchant's own page, as it was given with the payment: never to an address of
the request.
"""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from strongroom.crypto.digest import sha256
from strongroom.db.pool import Database
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.payments.errors import PaymentUnknown
from strongroom.payments.store import QUERIES

#: Of what a customer brings back.
RESULT_CHARACTERS_MAX: Final = 8_000
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def read_return_url(url: str | None, mode: Mode) -> str | None:
    """Check where a customer is to be sent back to: https, or this machine in test mode.

    Raises:
        Invalid: it is not such an address.
    """
    if url is None:
        return None
    refused = Invalid(
        FieldError(
            "/return_url",
            "return_url_refused",
            "a return URL is https://host/…, without a user and a fragment",
        )
    )
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise refused from None
    local = parts.scheme == "http" and mode is Mode.TEST and host in _LOOPBACK
    if (
        not host
        or not (parts.scheme == "https" or local)
        or "@" in parts.netloc
        or parts.fragment
        or not url.isascii()
        or not url.isprintable()
        or " " in url
        or "\\" in url
        or has_cardlike(url)
    ):
        raise refused
    return url


class Returns:
    """The public listener's side of challenges."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def returned(self, payment_id: str, result: str | None = None) -> str | None:
        """Ask for a look at a payment, and return where its customer goes on to; None: the merchant named no page.

        `result` is what the processor gave the customer along; it is kept for whoever looks.

        Raises:
            PaymentUnknown: there is no such payment.
        """
        if not is_id("pay", payment_id):
            raise PaymentUnknown
        async with self._database.transaction() as tx:
            await tx.row(QUERIES["present_payment"], payment_id)
            row = await tx.row(QUERIES["returned_payment"], payment_id)
            if row is None:
                raise PaymentUnknown
            merchant, mode = MerchantId(row["merchant_id"]), Mode(row["mode"])
            await tx.row(QUERIES["state_merchant"], merchant)
            attempt = await tx.row(QUERIES["open_authorization"], merchant, mode, payment_id)
            if attempt is not None and result is not None and _is_kept(result):
                await tx.run(
                    QUERIES["keep_returned"],
                    merchant,
                    mode,
                    attempt["attempt_id"],
                    sha256(result.encode()).hex(),
                    result,
                    self._clock.now(),
                )
            if attempt is not None:
                await tx.row(
                    QUERIES["ask_for_a_look"],
                    merchant,
                    mode,
                    attempt["attempt_id"],
                    self._clock.now(),
                )
        return _with_payment(row["return_url"], payment_id)


def _is_kept(result: str) -> bool:
    """Tell whether something may be a processor's opaque word: printable, not endless, and no card number."""
    plain = result.isascii() and result.isprintable() and " " not in result
    return plain and 0 < len(result) <= RESULT_CHARACTERS_MAX and not has_cardlike(result)


def _with_payment(url: str | None, payment_id: str) -> str | None:
    """Say which payment it is about; whatever else the merchant put into its address stays."""
    if url is None:
        return None
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("payment", payment_id)])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
