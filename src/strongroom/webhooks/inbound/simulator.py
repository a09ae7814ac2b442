# SPDX-License-Identifier: Apache-2.0
"""Notices of the simulator: `sim-signature: t=<Unix seconds>,v1=<hex>[,v1=…]`, HMAC-SHA-256 over `<t>.` and the body.

Refuses what is older or newer than five minutes, and a header that is not exactly of this form.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from strongroom.http.problems import UNDECODABLE
from strongroom.kernel.ids import is_id
from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound.errors import NoticeRejected
from strongroom.webhooks.inbound.macs import HEADER_CHARACTERS_MAX, require_now, require_signed
from strongroom.webhooks.inbound.verify import RawNotice, VerifiedNotice
from strongroom.webhooks.inbound.wire import RECEIVED

HEADER: Final = "sim-signature"

_FORM: Final = re.compile(r"t=(?P<t>[0-9]{1,12})(?P<signatures>(?:,v1=[0-9a-f]{64}){1,10})")
_SIGNATURE_AT: Final = len(",v1=")
_SIGNATURE_STEP: Final = _SIGNATURE_AT + 64
#: As the simulator takes them.
_SECRET: Final = re.compile(r"[\x21-\x7e]{8,200}")


class _Event(msgspec.Struct, frozen=True):
    """What is read of an event here: its name."""

    id: Annotated[str, msgspec.Meta(max_length=255)]


_decode: Final = msgspec.json.Decoder(_Event).decode


class SimulatorVerifier:
    """Implements `Verifier`."""

    scheme: Final = "simulator"
    headers: Final = frozenset({HEADER})
    acknowledgement: Final = RECEIVED

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret has the form that the simulator gives out."""
        return _SECRET.fullmatch(secret.expose()) is not None

    def verify(
        self, raw: RawNotice, secrets: Sequence[Secret[str]], now: datetime
    ) -> VerifiedNotice:
        """Return the notice as one that holds. Raises NoticeRejected, and nothing else."""
        # To believe a notice:
        #  1. Read the header: one time, and signatures.
        #  2. Compare every signature with what every secret gives, in constant time and without stopping at a match.
        #  3. The time is now, or nearly: only what is authentic learns that it is late.
        #  4. Read the event's name.
        seconds, signatures = _read_header(raw.headers.get(HEADER))  # (1)
        keys = [secret.expose().encode() for secret in secrets]
        require_signed(keys, f"{seconds}.".encode() + raw.body, signatures)  # (2)
        require_now(int(seconds), now)  # (3)
        return VerifiedNotice(raw.body, _event_id(raw.body), self.scheme)  # (4)


def _read_header(header: str | None) -> tuple[str, Sequence[bytes]]:
    if header is None:
        raise NoticeRejected("signature_absent")
    # `[0-9]` is ASCII alone; and a second `t`, a space or an unknown part is not of the form.
    form = _FORM.fullmatch(header) if len(header) <= HEADER_CHARACTERS_MAX else None
    if form is None:
        raise NoticeRejected("signature_malformed")
    text = form["signatures"]
    return form["t"], [
        bytes.fromhex(text[at + _SIGNATURE_AT : at + _SIGNATURE_STEP])
        for at in range(0, len(text), _SIGNATURE_STEP)
    ]


def _event_id(body: bytes) -> str:
    try:
        event_id = _decode(body).id
    except UNDECODABLE:
        raise NoticeRejected("body_malformed") from None
    if not is_id("se", event_id):
        raise NoticeRejected("body_malformed")
    return event_id
