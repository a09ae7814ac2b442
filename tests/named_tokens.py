# SPDX-License-Identifier: Apache-2.0
"""Which tokens an audit record names: the one it is about, or those of a call for many (ADR-0027)."""

import json
from typing import Any

from strongroom.audit import tokens_named


def named(payload: bytes) -> dict[str, dict[str, Any]]:
    """Return what a record says of each token that it names, by the token's id."""
    record = json.loads(payload)
    shared = {name: record["details"][name] for name in ("brand", "cvc_state")}
    shared["action"] = record["action"]
    found = tokens_named(record["details"], record["object"])
    assert len(found) == record["details"].get("count", 1), "none is named twice"
    return {token: {**shared, "last4": last4} for token, last4 in found.items()}
