# SPDX-License-Identifier: Apache-2.0
"""CRC-32C by the examples of RFC 3720 B.4, and the check value that catalogues of checksums give."""

import pytest

from strongroom.keys.stores.crc32c import crc32c

READ_COMMAND = bytes.fromhex(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000"
    "0200000000000000"
)
EXAMPLES = {
    "nothing": (b"", 0),
    "32 bytes of zeroes": (bytes(32), 0x8A9136AA),
    "32 bytes of ones": (b"\xff" * 32, 0x62A8AB43),
    "incrementing": (bytes(range(32)), 0x46DD794E),
    "decrementing": (bytes(reversed(range(32))), 0x113FDB5C),
    "an iSCSI SCSI read command": (READ_COMMAND, 0xD9963A56),
    "the check value": (b"123456789", 0xE3069283),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_checksums_are_those_of_the_rfc(name: str) -> None:
    data, expected = EXAMPLES[name]
    assert crc32c(data) == expected
