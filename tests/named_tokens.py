# SPDX-License-Identifier: Apache-2.0
"""Which tokens an audit record names: the one it is about, or those of a call for many (ADR-0027)."""

import json
from typing import Any


def named(payload: bytes) -> dict[str, dict[str, Any]]:
    """Return what a record says of each token that it names, by the token's id."""
    record = json.loads(payload)
    shared = {name: record["details"][name] for name in ("brand", "cvc_state")}
    shared["action"] = record["action"]
    if record["object"] is not None:
        return {record["object"]: {**shared, "last4": record["details"]["last4"]}}
    found = {}
    for fact, value in record["details"].items():
        if fact.startswith("tokens_"):
            for token in value.split(","):
                name, _, last4 = token.partition(":")
                found["tok_" + name.replace("-", "")] = {**shared, "last4": last4}
    assert len(found) == record["details"]["count"], "none is named twice"
    return found
