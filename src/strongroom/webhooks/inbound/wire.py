# SPDX-License-Identifier: Apache-2.0
"""The shape of the one answer that a processor is given."""

from typing import Final

import msgspec


class ReceivedOut(msgspec.Struct, frozen=True):
    """The notice is kept; sending it again changes nothing."""

    received: bool


RECEIVED: Final = msgspec.json.encode(ReceivedOut(received=True))
