# SPDX-License-Identifier: Apache-2.0
"""One example for the search, shown in the OpenAPI document and sent by a test as it stands."""

from typing import Any, Final

from strongroom.vault.examples import TOKEN

SEARCH_IN: Final[dict[str, Any]] = {
    "last4": "4242",
    "expires_from": "2034-01",
    "expires_to": "2034-12",
    "metadata": {"customer": "c-17"},
}
PAGE: Final[dict[str, Any]] = {"data": [TOKEN], "has_more": False, "next_cursor": None}
