# SPDX-License-Identifier: Apache-2.0
"""Notices of Stripe: `Stripe-Signature: t=<Unix seconds>,v1=<hex>[,v1=…]`, HMAC-SHA-256 over `<t>.` and the body.

The key is the secret as it is shown, `whsec_` included. Unlike Stripe's own libraries this refuses what comes from the
future, too. Of what else a header may say (`v0`, or a scheme to come) nothing is believed, and nothing is made of it.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.macs import (
    HEADER_CHARACTERS_MAX,
    from_hex,
    require_now,
    require_signed,
)
from strongroom.webhooks.inbound.verify import RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.wire import RECEIVED

HEADER: Final = "stripe-signature"
SIGNATURES_MAX: Final = 10

_PART: Final = re.compile(r"(?P<name>[A-Za-z0-9_]{1,32})=(?P<value>[\x21-\x2b\x2d-\x7e]*)")
#: Twelve digits end in the year 33658, and never in a number that a clock cannot be compared with.
_TIME: Final = re.compile(r"[0-9]{1,12}")
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]{16,200}")


class _Event(msgspec.Struct, frozen=True):
    """What is read of an event here: its name, and whether it is of live mode."""

    id: Annotated[str, msgspec.Meta(pattern=r"^evt_[A-Za-z0-9_]{1,200}$(?!\n)")]
    livemode: bool | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class StripeVerifier:
    """Implements `Verifier`."""

    scheme: Final = "stripe"
    headers: Final = frozenset({HEADER})
    acknowledgement: Final = RECEIVED

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret has the form that Stripe gives out."""
        return _SECRET.fullmatch(secret.expose()) is not None

    def verify(
        self, raw: RawNotice, secrets: Sequence[Secret[str]], now: datetime
    ) -> VerifiedNotice:
        """Return the notice as one that holds. Raises NoticeRejected, and nothing else."""
        # To believe a notice:
        #  1. Read the header: one time, and every signature of the scheme that is known.
        #  2. Compare them with what every secret makes of the time, as it is written, and the exact body.
        #  3. The time is now, or nearly: only what is authentic learns that it is late.
        #  4. Read the event's name.
        seconds, signatures = _read_header(raw.headers.get(HEADER))  # (1)
        keys = [secret.expose().encode() for secret in secrets]
        require_signed(keys, f"{seconds}.".encode() + raw.body, signatures)  # (2)
        require_now(int(seconds), now)  # (3)
        try:  # (4)
            event = _decode(raw.body)
        except UNDECODABLE:
            raise NoticeRejected("body_malformed") from None
        mode = None if event.livemode is None else Mode.LIVE if event.livemode else Mode.TEST
        return VerifiedNotice(raw.body, event.id, self.scheme, mode=mode)


def _read_header(header: str | None) -> tuple[str, Sequence[bytes]]:
    if header is None:
        raise NoticeRejected("signature_absent")
    if len(header) > HEADER_CHARACTERS_MAX:
        raise NoticeRejected("signature_malformed")
    times, signatures = [], []
    for text in header.split(","):
        part = _PART.fullmatch(text)
        if part is None:
            raise NoticeRejected("signature_malformed")
        if part["name"] == "t":
            times.append(part["value"])
        elif part["name"] == "v1":
            signatures.append(from_hex(part["value"]))
    # With two times, which one was meant?
    if len(times) != 1 or _TIME.fullmatch(times[0]) is None:
        raise NoticeRejected("signature_malformed")
    if not 1 <= len(signatures) <= SIGNATURES_MAX:
        raise NoticeRejected("signature_malformed")
    return times[0], signatures
