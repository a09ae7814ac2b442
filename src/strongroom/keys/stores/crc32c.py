# SPDX-License-Identifier: Apache-2.0
"""CRC-32C, which Google's API checks what it received with. Against accidents on the way, not against a forger."""

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli, reflected (RFC 3720 §12.1)


def _entry(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (_POLYNOMIAL if index & 1 else 0)
    return index


_TABLE: Final = tuple(_entry(index) for index in range(256))


def crc32c(data: bytes) -> int:
    """Return the checksum of the data as an unsigned number of 32 bits."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
