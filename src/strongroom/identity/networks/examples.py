# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about allow-lists."""

from typing import Any, Final

NETWORK_IN: Final[dict[str, Any]] = {
    "subject": "role:developer",
    "mode": "test",
    "networks": ["203.0.113.0/24", "2001:db8:40::/48"],
    "name": "the developers' office",
}
NETWORK: Final[dict[str, Any]] = {
    "id": "net_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "network",
    "mode": "test",
    "subject": "role:developer",
    "networks": ["203.0.113.0/24", "2001:db8:40::/48"],
    "name": "the developers' office",
    "changed_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "changed_at": "2026-11-20T09:30:00.000000Z",
}
NETWORKS: Final[dict[str, Any]] = {
    "data": [NETWORK],
    "has_more": False,
    "next_cursor": None,
    "your_address": "198.51.100.7",
}
