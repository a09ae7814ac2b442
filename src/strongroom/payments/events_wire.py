# SPDX-License-Identifier: Apache-2.0
"""What events about payments and refunds carry."""

from collections.abc import Mapping
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.payments.wire import PaymentOut, RefundOut


class PaymentEvent(msgspec.Struct, frozen=True):
    """What an event about a payment carries."""

    payment: PaymentOut


class RefundEvent(msgspec.Struct, frozen=True):
    """What an event about a refund carries."""

    refund: RefundOut
    payment: PaymentOut


#: What the `data` of each event of payments is.
EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    each: RefundEvent if each.value.startswith("refund.") else PaymentEvent
    for each in EventType
    if each.value.startswith(("payment.", "refund."))
}
