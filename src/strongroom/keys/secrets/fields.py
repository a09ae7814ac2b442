# SPDX-License-Identifier: Apache-2.0
"""Secrets that hold several fields in one JSON object. No error repeats what was found."""

import msgspec

from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretUnreadable


def picked(text: str, field: str | None) -> Secret[str]:
    """Return the whole text, or the field of the JSON object that it is. Raises SecretUnreadable."""
    if field is None:
        if not text:
            raise SecretUnreadable("the secret is empty")
        return Secret(text)
    value = _object(text).get(field)
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
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    if not isinstance(found, dict):
        # The decoder's own error tells where in the text it stopped, and is cut off.
        raise SecretUnreadable("a field is named, but the secret is no JSON object") from None
    return found
