# SPDX-License-Identifier: Apache-2.0
"""Cuts what the tests read out of Stripe's published files: `python cut.py SPEC FIXTURES`, in this folder."""

import json
import sys
from pathlib import Path

OPERATIONS = (
    ("post", "/v1/payment_methods"),
    ("post", "/v1/payment_intents"),
    ("post", "/v1/payment_intents/{intent}/capture"),
    ("post", "/v1/payment_intents/{intent}/cancel"),
    ("post", "/v1/payment_intents/{intent}/increment_authorization"),
    ("get", "/v1/payment_intents/{intent}"),
    ("post", "/v1/refunds"),
    ("get", "/v1/refunds/{refund}"),
    ("post", "/v1/setup_intents"),
    ("get", "/v1/setup_intents/{intent}"),
    ("get", "/v1/account"),
)
RESOURCES = (
    "account",
    "charge",
    "dispute",
    "event",
    "payment_intent",
    "payment_method",
    "refund",
    "setup_attempt",
    "setup_intent",
)


def main(spec: Path, fixtures: Path) -> None:
    """Write both files, small and sorted."""
    description = json.loads(spec.read_text("utf-8"))
    kept = [
        {
            "method": method.upper(),
            "path": path,
            "parameters": description["paths"][path][method].get("parameters", []),
            "requestBody": description["paths"][path][method]["requestBody"],
        }
        for method, path in OPERATIONS
    ]
    version = description["info"]["version"]
    write("requests.json", {"version": version, "operations": kept})
    resources = json.loads(fixtures.read_text("utf-8"))["resources"]
    write("fixtures.json", {name: resources[name] for name in RESOURCES})


def write(name: str, content: object) -> None:
    """Write one file as it is kept."""
    Path(name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
