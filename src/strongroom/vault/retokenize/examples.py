# SPDX-License-Identifier: Apache-2.0
"""Examples of the API description; a test sends them as they stand."""

from typing import Any, Final

from strongroom.vault.work import examples as of_jobs

RETOKENIZE_IN: Final[dict[str, Any]] = {"container": "default", "alias_days": 30}
JOB: Final[dict[str, Any]] = {
    **of_jobs.JOB,
    "kind": "retokenize",
    "state": "waiting",
    "params": {"alias_days": 30, "container": "default", "tokens": ""},
}
MAPPING: Final[dict[str, Any]] = {
    "data": [
        {
            "old": "tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
            "new": "tok_01KAJ2Q7D9F3H5K7M9P1R3T5V7",
            "until": "2026-12-20T09:30:00.000000Z",
        }
    ],
    "has_more": False,
    "next_cursor": None,
}
