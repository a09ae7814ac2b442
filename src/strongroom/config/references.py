# SPDX-License-Identifier: Apache-2.0
"""References to secrets: `env:`, `file:`, `aws-sm:`, `gcp-sm:`, `vault:`. Parsed here, followed by `keys`.

    env:NAME                             a variable of this process
    file:PATH                            a file's text, without the white space around it
    aws-sm:NAME[#FIELD][@STAGE]          AWS Secrets Manager, by name or ARN; a field of a JSON secret
    gcp-sm:PROJECT/NAME[#FIELD][@VERSION]  Google Secret Manager
    vault:MOUNT/PATH#FIELD[@VERSION]     the KV version 2 engine of OpenBao or HashiCorp Vault

What cannot be parsed is never repeated: it may be the secret itself, given where a reference was asked for.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class SecretScheme(enum.StrEnum):
    """Where a secret is kept."""

    AWS = "aws-sm"
    ENVIRONMENT = "env"
    FILE = "file"
    GOOGLE = "gcp-sm"
    VAULT = "vault"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is. Prints as it was written; no secret stands in it."""

    scheme: SecretScheme
    name: str
    #: The field of a secret that holds several.
    field: str | None = None
    #: Which of its versions: a stage of AWS, a number elsewhere. None is the current one.
    version: str | None = None

    def __str__(self) -> str:
        field = "" if self.field is None else f"#{self.field}"
        version = "" if self.version is None else f"@{self.version}"
        return f"{self.scheme}:{self.name}{field}{version}"


#: The login's name, in the one reference that stands for every login's password.
LOGIN_SLOT: Final = "{login}"

_FORMS: Final[Mapping[SecretScheme, str]] = {
    SecretScheme.ENVIRONMENT: "env:NAME",
    SecretScheme.FILE: "file:PATH",
    SecretScheme.AWS: "aws-sm:NAME, aws-sm:NAME#FIELD or aws-sm:NAME#FIELD@STAGE",
    SecretScheme.GOOGLE: "gcp-sm:PROJECT/NAME, with #FIELD or @VERSION after it",
    SecretScheme.VAULT: "vault:MOUNT/PATH#FIELD or vault:MOUNT/PATH#FIELD@VERSION",
}
_FIELD: Final = r"(?:#(?P<field>[A-Za-z0-9_.-]{1,128}))"
_NUMBER: Final = r"(?:@(?P<version>[1-9][0-9]{0,9}))?"
_PATTERNS: Final[Mapping[SecretScheme, re.Pattern[str]]] = {
    SecretScheme.ENVIRONMENT: re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,255})"),
    SecretScheme.FILE: re.compile(r"(?P<name>[^\x00-\x1f]{1,4096})"),
    # Secrets Manager's own alphabet without @, which tells the stage here; `:` for an ARN.
    SecretScheme.AWS: re.compile(
        rf"(?P<name>[A-Za-z0-9/_+=.:-]{{1,2048}}){_FIELD}?(?:@(?P<version>[A-Za-z0-9_.-]{{1,256}}))?"
    ),
    SecretScheme.GOOGLE: re.compile(
        rf"(?P<name>[a-z0-9][a-z0-9.:-]{{0,99}}/[A-Za-z0-9_-]{{1,255}}){_FIELD}?{_NUMBER}"
    ),
    SecretScheme.VAULT: re.compile(
        rf"(?P<name>(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,127}}/){{1,16}}[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,127}})"
        rf"{_FIELD}{_NUMBER}"
    ),
}


def parse_reference(text: str) -> SecretReference:
    """Read a reference to a secret.

    Raises:
        ValueError: says which form is expected; never repeats what was given.
    """
    word, colon, rest = text.partition(":")
    try:
        scheme = SecretScheme(word)
    except ValueError:
        colon = ""
    if not colon:
        known = ", ".join(f"{each.value}:" for each in SecretScheme)
        raise ValueError(f"a secret is given as a reference that begins with one of {known}")
    found = _PATTERNS[scheme].fullmatch(rest)
    if found is None:
        raise ValueError(f"expected {_FORMS[scheme]}")
    parts = found.groupdict()
    return SecretReference(scheme, parts["name"], parts.get("field"), parts.get("version"))


def parse_login_passwords(text: str) -> str:
    """Read the reference that stands for every login's password; it must be one for any login's name.

    Raises:
        ValueError: likewise, or it has no `{login}`.
    """
    if LOGIN_SLOT not in text:
        raise ValueError(f"expected a reference with {LOGIN_SLOT} in it, one secret a login")
    reference = parse_reference(text.replace(LOGIN_SLOT, "strongroom_vault"))
    if reference.scheme is SecretScheme.ENVIRONMENT:
        raise ValueError("passwords of logins change while this runs, and a variable does not")
    return text
