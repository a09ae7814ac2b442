# SPDX-License-Identifier: Apache-2.0
"""The answers that processors are given: most look at the status alone, Adyen wants a word."""

from typing import Final

import msgspec

from strongroom.http.request import JSON
from strongroom.webhooks.inbound.verify import Acknowledgement


class ReceivedOut(msgspec.Struct, frozen=True):
    """The notice is kept; sending it again changes nothing."""

    received: bool


RECEIVED: Final = Acknowledgement(200, msgspec.json.encode(ReceivedOut(received=True)), JSON)
#: Adyen's older contract wants this body, its newer one a 2xx: this satisfies both.
ACCEPTED: Final = Acknowledgement(202, b"[accepted]", "text/plain")
