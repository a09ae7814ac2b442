# SPDX-License-Identifier: Apache-2.0
"""Answers of another shape: JSON that parses and does not say what it should. Pure."""

from typing import Any, Final

import msgspec

from strongroom.crypto import sha256


def misshapen(body: bytes, key: str) -> bytes:
    """Return an answer in another shape, always the same for the same key."""
    answer: dict[str, Any] = msgspec.json.decode(body)
    shapes: Final = (
        {"result": "ok"},
        [answer],
        {"data": {"attributes": answer}},
        {**answer, "status": None, "amount": str(answer.get("amount", 0)), "data": "none"},
        {name: value for name, value in answer.items() if name in {"id", "object", "mode"}},
    )
    return msgspec.json.encode(shapes[sha256(key.encode())[0] % len(shapes)])
