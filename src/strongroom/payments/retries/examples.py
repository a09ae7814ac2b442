# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

POLICY_IN: Final[dict[str, Any]] = {"enabled": True, "delays_hours": [24, 72, 120]}
POLICY: Final[dict[str, Any]] = {
    "object": "retry_policy",
    "enabled": True,
    "delays_hours": [24, 72, 120],
    "updated_at": "2026-11-20T09:30:00.000000Z",
}
