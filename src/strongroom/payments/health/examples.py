# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about how connections are."""

from typing import Any, Final

_WHEN: Final = "2026-11-20T09:30:00.000000Z"
_COUNTS: Final = {
    "attempts": 1_000,
    "approved": 930,
    "declined": 60,
    "not_sent": 5,
    "pending": 2,
    "unknown": 3,
    "found_out": 4,
    "declined_per_mille": 60,
    "not_sent_per_mille": 5,
    "unknown_per_mille": 3,
}
HEALTH: Final[dict[str, Any]] = {
    "object": "connection_health",
    "connection": "con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "status": "active",
    "answered_at": _WHEN,
    "failed_at": _WHEN,
    "windows": [{"seconds": 3_600, **_COUNTS}, {"seconds": 86_400, **_COUNTS}],
    "looked_from": None,
    "probe": {
        "probed_at": _WHEN,
        "passed": False,
        "reason": "credentials_refused",
        "failing_since": _WHEN,
        "failures": 1,
    },
    "breaker": "closed",
}
