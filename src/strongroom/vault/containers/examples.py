# SPDX-License-Identifier: Apache-2.0
"""One example for each operation, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

CONTAINER_IN: Final[dict[str, Any]] = {
    "name": "cards/eu",
    "description": "Cards of customers in the EU",
    "retention_days": 365,
}
REMOVAL: Final[dict[str, Any]] = {"name": "cards/eu"}
CONTAINER: Final[dict[str, Any]] = {
    "id": "cards/eu",
    "object": "container",
    "name": "cards/eu",
    "mode": "test",
    "description": "Cards of customers in the EU",
    "retention_days": 365,
    "built_in": False,
    "created_by": "key_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "created_at": "2026-11-20T09:30:00.000000Z",
    "updated_at": "2026-11-20T09:30:00.000000Z",
}
CONTAINERS: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "default",
            "object": "container",
            "name": "default",
            "mode": "test",
            "description": "",
            "retention_days": None,
            "built_in": True,
            "created_by": None,
            "created_at": None,
            "updated_at": None,
        },
        CONTAINER,
    ],
    "has_more": False,
    "next_cursor": None,
}
RULE_IN: Final[dict[str, Any]] = {
    "container": "cards/",
    "priority": 100,
    "grantee_kind": "role",
    "grantee": "operator",
    "access": "mask",
}
RULE: Final[dict[str, Any]] = {
    "id": "rul_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "object": "access_rule",
    "mode": "test",
    "container": "cards/",
    "priority": 100,
    "grantee_kind": "role",
    "grantee": "operator",
    "access": "mask",
    "transform": "mask",
    "built_in": False,
    "created_by": "usr_01KAHX3MZ4V8Q2T6N0R5W7Y9CB",
    "created_at": "2026-11-20T09:30:00.000000Z",
}
RULES: Final[dict[str, Any]] = {
    "data": [
        RULE,
        {
            "id": None,
            "object": "access_rule",
            "mode": "test",
            "container": "default",
            "priority": None,
            "grantee_kind": "key",
            "grantee": "*",
            "access": "use",
            "transform": "mask",
            "built_in": True,
            "created_by": None,
            "created_at": None,
        },
    ],
    "has_more": False,
    "next_cursor": None,
}
