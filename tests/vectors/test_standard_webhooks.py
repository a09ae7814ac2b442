# SPDX-License-Identifier: Apache-2.0
"""Our signatures against the vector that Standard Webhooks publishes."""

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.kernel.secret import Secret
from strongroom.webhooks import signed_headers, signing_key

_FILE = Path(__file__).parent / "data" / "standard-webhooks" / "vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(_FILE.read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_published_signature_is_what_we_write(vector: dict[str, Any]) -> None:
    headers = signed_headers(
        [signing_key(Secret(vector["secret"]))],
        vector["webhook-id"],
        vector["webhook-timestamp"],
        vector["payload"].encode(),
    )
    assert headers == {
        "webhook-id": vector["webhook-id"],
        "webhook-timestamp": str(vector["webhook-timestamp"]),
        "webhook-signature": vector["webhook-signature"],
    }


def test_there_is_something_to_compare_with() -> None:
    assert VECTORS
