# SPDX-License-Identifier: Apache-2.0
"""The encrypted notices that OPP/ACI and SIBS publish open, and no byte of them may change."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from strongroom.kernel.secret import Secret
from strongroom.webhooks.inbound import VERIFIERS, NoticeRejected, RawNotice

_FILE: Final = (
    Path(__file__).parent / "data" / "encrypted-webhooks" / "aes-gcm-published-vectors.json"
)
_OPP, _SIBS = json.loads(_FILE.read_text())
NOW: Final = datetime(2026, 11, 20, tzinfo=UTC)
#: Scheme, key, headers, body, what it says.
PUBLISHED: Final = [
    (
        "aes_gcm_hex",
        _OPP["key_hex"],
        {"x-initialization-vector": _OPP["iv_hex"], "x-authentication-tag": _OPP["tag_hex"]},
        _OPP["body_hex"],
        _OPP["plaintext"],
    ),
    (
        "aes_gcm_base64",
        _SIBS["key_b64"],
        {"x-initialization-vector": _SIBS["iv_b64"], "x-authentication-tag": _SIBS["tag_b64"]},
        _SIBS["body_b64"],
        _SIBS["plaintext"],
    ),
]
IDS: Final = [row[0] for row in PUBLISHED]


def opened(scheme: str, key: str, headers: dict[str, str], body: str) -> bytes:
    raw = RawNotice("con_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", headers, body.encode())
    return VERIFIERS[scheme].verify(raw, [Secret(key)], NOW).body


@pytest.mark.parametrize(("scheme", "key", "headers", "body", "says"), PUBLISHED, ids=IDS)
def test_the_published_example_opens(
    scheme: str, key: str, headers: dict[str, str], body: str, says: str
) -> None:
    assert opened(scheme, key, headers, body) == says.encode()


def test_the_json_form_of_a_body_opens_too() -> None:
    scheme, key, headers, body, says = PUBLISHED[0]
    assert opened(scheme, key, headers, json.dumps({"encryptedBody": body})) == says.encode()


def flipped(text: str, scheme: str, at: int) -> str:
    raw = bytearray(bytes.fromhex(text) if scheme == "aes_gcm_hex" else base64.b64decode(text))
    raw[at] ^= 1
    return raw.hex() if scheme == "aes_gcm_hex" else base64.b64encode(raw).decode()


@pytest.mark.parametrize(("scheme", "key", "headers", "body", "says"), PUBLISHED, ids=IDS)
def test_no_byte_may_change(
    scheme: str, key: str, headers: dict[str, str], body: str, says: str
) -> None:
    changed: list[tuple[str, dict[str, str], str]] = [
        *((flipped(key, scheme, at), headers, body) for at in (0, 31)),
        *((key, headers, flipped(body, scheme, at)) for at in range(18)),
    ]
    for name, length in (("x-initialization-vector", 12), ("x-authentication-tag", 16)):
        changed += (
            (key, {**headers, name: flipped(headers[name], scheme, at)}, body)
            for at in range(length)
        )
    for other_key, other_headers, other_body in changed:
        with pytest.raises(NoticeRejected):
            opened(scheme, other_key, other_headers, other_body)


def test_the_tag_as_the_page_prints_it_does_not_hold() -> None:
    scheme, key, headers, body, _ = PUBLISHED[1]
    printed: dict[str, Any] = {**headers, "x-authentication-tag": _SIBS["tag_as_published"]}
    with pytest.raises(NoticeRejected):
        opened(scheme, key, printed, body)
