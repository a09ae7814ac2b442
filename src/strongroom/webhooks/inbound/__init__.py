# SPDX-License-Identifier: Apache-2.0
"""Webhooks in: verified on their exact bytes, kept once, sealed as received, handled later. No other is believed."""

from typing import Final

from strongroom.webhooks.inbound.adyen import AdyenPlatformVerifier, AdyenVerifier
from strongroom.webhooks.inbound.aes_gcm import AES_GCM_BASE64, AES_GCM_HEX
from strongroom.webhooks.inbound.checkout import CheckoutVerifier
from strongroom.webhooks.inbound.errors import (
    CannotReadNotices,
    ConnectionUnknownHere,
    NoticeRejected,
    NoticeUnknown,
    SourceChanged,
    SourceRefused,
    SourceUnknown,
)
from strongroom.webhooks.inbound.kept import KeptNotices, OpenedNotice
from strongroom.webhooks.inbound.ports import NoticeSources
from strongroom.webhooks.inbound.simulator import SimulatorVerifier
from strongroom.webhooks.inbound.sources import PreparedSource
from strongroom.webhooks.inbound.stripe import StripeVerifier
from strongroom.webhooks.inbound.verify import (
    Acknowledgement,
    RawNotice,
    VerifiedNotice,
    Verifier,
    Verifiers,
)

#: Every scheme there is, by the name that is kept. A name once shipped is never given another meaning.
VERIFIERS: Final[Verifiers] = {
    each.scheme: each
    for each in (
        AdyenVerifier(),
        AdyenPlatformVerifier(),
        AES_GCM_BASE64,
        AES_GCM_HEX,
        CheckoutVerifier(),
        SimulatorVerifier(),
        StripeVerifier(),
    )
}

__all__ = [
    "VERIFIERS",
    "Acknowledgement",
    "CannotReadNotices",
    "ConnectionUnknownHere",
    "KeptNotices",
    "NoticeRejected",
    "NoticeSources",
    "NoticeUnknown",
    "OpenedNotice",
    "PreparedSource",
    "RawNotice",
    "SourceChanged",
    "SourceRefused",
    "SourceUnknown",
    "VerifiedNotice",
    "Verifier",
    "Verifiers",
]
