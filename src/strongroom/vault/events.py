# SPDX-License-Identifier: Apache-2.0
"""What the `data` of each event of the vault is: the object as its own route shows it. Never card data."""

from collections.abc import Mapping
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.vault.erasure.wire import ErasureEvent
from strongroom.vault.retokenize.wire import RetokenizationEvent
from strongroom.vault.transfer.wire import ExportEvent, ImportEvent

EVENT_DATA: Final[Mapping[EventType, type[msgspec.Struct]]] = {
    EventType.ERASURE_COMPLETED: ErasureEvent,
    EventType.EXPORT_CANCELED: ExportEvent,
    EventType.EXPORT_COMPLETED: ExportEvent,
    EventType.EXPORT_FAILED: ExportEvent,
    EventType.IMPORT_CANCELED: ImportEvent,
    EventType.IMPORT_COMPLETED: ImportEvent,
    EventType.IMPORT_FAILED: ImportEvent,
    EventType.TOKEN_RETOKENIZED: RetokenizationEvent,
}
