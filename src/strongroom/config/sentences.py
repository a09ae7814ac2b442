# SPDX-License-Identifier: Apache-2.0
"""The sentence that each setting has for people; docs/reference/config.md is generated from them."""

from typing import Final

#: A field's metadata: its sentence for people.
SENTENCE: Final = "sentence"


def says(sentence: str) -> dict[str, str]:
    """Return the metadata of a field."""
    return {SENTENCE: sentence}
