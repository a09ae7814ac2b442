# SPDX-License-Identifier: Apache-2.0
"""Secrets that hold several fields in one JSON object. No error repeats what was found."""

from collections.abc import Mapping

import msgspec

from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretUnreadable


def picked(text: str, field: str | None) -> Secret[str]:
    """Return the whole text, or the field of the JSON object that it is. Raises SecretUnreadable."""
    if field is None:
        if not text:
            raise SecretUnreadable("the secret is empty")
        return Secret(text)
    return chosen(_object(text), field)


def chosen(fields: Mapping[str, object], field: str) -> Secret[str]:
    """Return one of several fields. Raises SecretUnreadable."""
    value = fields.get(field)
    if value is None:
        raise SecretUnreadable(f"the secret has no field {field}")
    if not isinstance(value, str) or not value:
        raise SecretUnreadable(f"the secret's field {field} is no text, or empty")
    return Secret(value)


def replaced(text: str, field: str | None, value: Secret[str]) -> str:
    """Return the secret's text with a new value, the other fields as they were. Raises SecretUnreadable."""
    if field is None:
        return value.expose()
    return msgspec.json.encode(_object(text) | {field: value.expose()}).decode()


def _object(text: str) -> dict[str, object]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        # The decoder's own error tells where in the text it stopped, and is cut off.
        raise SecretUnreadable("a field is named, but the secret is no JSON object") from None
    return found
