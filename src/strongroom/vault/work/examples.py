# SPDX-License-Identifier: Apache-2.0
"""One example for each operation about jobs."""

from typing import Any, Final

JOB: Final[dict[str, Any]] = {
    "id": "job_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "job",
    "mode": "live",
    "kind": "reseal",
    "state": "running",
    "params": {"name": "card", "to": 2},
    "total": 120_000,
    "done": 30_500,
    "refused": 0,
    "rate": 1_000,
    "items_per_second": 998.4,
    "seconds_left": 90,
    "problem": None,
    "result": {},
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CC",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "started_at": "2026-11-20T09:30:00.120000Z",
    "updated_at": "2026-11-20T09:30:30.640000Z",
    "ended_at": None,
}
PAUSED: Final[dict[str, Any]] = {
    **JOB,
    "state": "paused",
    "items_per_second": None,
    "seconds_left": None,
}
RESUMED: Final[dict[str, Any]] = {**PAUSED, "state": "waiting"}
CANCELED: Final[dict[str, Any]] = {
    **PAUSED,
    "state": "canceled",
    "ended_at": "2026-11-20T09:31:00.000000Z",
}
RATE_IN: Final[dict[str, Any]] = {"rate": 1_000}
JOBS: Final[dict[str, Any]] = {"data": [JOB], "has_more": False, "next_cursor": None}
