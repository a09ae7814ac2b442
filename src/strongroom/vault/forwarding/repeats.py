# SPDX-License-Identifier: Apache-2.0
"""A key that was used: by what a request is known again, and how it is answered. Nothing is sent twice. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from strongroom.http.idempotency import IdempotencyInFlight, IdempotencyMismatch
from strongroom.vault.forwarding.model import Forwarded, Outcome
from strongroom.vault.forwarding.requests import Asked
from strongroom.vault.forwarding.store import Begun
from strongroom.vault.sealing import MerchantKeys

#: The outcome of a forward whose process died in between.
INTERRUPTED: Final = "interrupted"

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


def fingerprints(
    keys: MerchantKeys, destination: str, asked: Asked, first: Mapping[str, str]
) -> Sequence[bytes]:
    """Return the keyed fingerprints of a request without its sealed CVCs; the first is the one that is kept.

    It is of the request by the oldest ids of its tokens, so that a repeat by any of their ids is the same request. Then
    those that a repeat may be known by besides: under keys of before, and as it was written.

    Args:
        keys: the merchant's.
        destination: where it goes.
        asked: the request as it was written.
        first: of each id that a slot of it means, the oldest id of the same token.
    """
    written = b"forward " + _encode_sorted(
        (
            destination,
            asked.method,
            asked.path,
            asked.query,
            asked.headers,
            asked.tokens,
            asked.body,
        )
    )
    canonical = written
    for token, oldest in first.items():
        canonical = canonical.replace(token.encode(), oldest.encode())
    return [
        print_
        for text in dict.fromkeys((canonical, written))
        for print_ in (keys.request_fingerprint(text), *keys.request_fingerprints_before(text))
    ]


def repeated(begun: Begun, known_by: Collection[bytes], now: datetime) -> Forwarded:
    """Answer a key that was used: as it ended, without what was never kept.

    Raises:
        IdempotencyMismatch: the key was used with another request.
        IdempotencyInFlight: it is being sent.
    """
    if begun.fingerprint not in known_by:
        raise IdempotencyMismatch
    outcome, reason = begun.outcome, begun.reason
    if outcome is None:
        if now < begun.lease_until:
            raise IdempotencyInFlight
        outcome, reason = Outcome.UNKNOWN.value, INTERRUPTED
    return Forwarded(
        begun.claim,
        begun.destination,
        Outcome(outcome),
        begun.status,
        reason,
        begun.duration_ms,
        begun.cvc_state,
        replayed=True,
    )
