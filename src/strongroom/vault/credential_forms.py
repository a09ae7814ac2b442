# SPDX-License-Identifier: Apache-2.0
"""Whether credentials are what a processor's destination wants. Pure; names fields and repeats no value."""

import re
from collections.abc import Mapping
from typing import Final

from strongroom.kernel.errors import FieldError
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.vault.destinations import Destination

CREDENTIAL_CHARACTERS_MAX: Final = 4_096


def wrong_credentials(
    destination: Destination, mode: Mode, credentials: Mapping[str, Secret[str]]
) -> list[FieldError]:
    """Return what is missing, not wanted, would not stand in a header, or is of the other mode."""
    wrong = [
        FieldError(f"/credentials/{name}", "required", "this processor needs it")
        for name in sorted(destination.credential_fields - credentials.keys())
    ]
    # The name of a field that is not wanted is the caller's own text, and is not repeated.
    if credentials.keys() - destination.credential_fields:
        wrong.append(
            FieldError("/credentials", "unknown_field", "this processor takes no such field")
        )
    for name in sorted(destination.credential_fields & credentials.keys()):
        value = credentials[name].expose()
        if not 0 < len(value) <= CREDENTIAL_CHARACTERS_MAX or not (
            value.isascii() and value.isprintable() and value == value.strip()
        ):
            wrong.append(
                FieldError(f"/credentials/{name}", "malformed", "printable ASCII, and not empty")
            )
            continue
        forms = destination.credential_forms.get(name)
        if forms is not None and re.fullmatch(forms[mode], value) is None:
            wrong.append(
                FieldError(
                    f"/credentials/{name}",
                    "credential_not_of_mode",
                    "this is not what the processor gives out for this mode",
                )
            )
    return wrong
