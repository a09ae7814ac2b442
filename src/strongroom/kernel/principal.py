# SPDX-License-Identifier: Apache-2.0
"""Who is asking: what a checked credential becomes. Nothing downstream sees the credential itself."""

import enum
from dataclasses import dataclass

from strongroom.kernel.ids import MerchantId, SessionId
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission


class KeyKind(enum.StrEnum):
    """The kinds of API key; the word is also the key's prefix."""

    PUBLIC = "pk"
    RESTRICTED = "rk"
    SECRET = "sk"  # noqa: S105 - a prefix


class CallerKind(enum.StrEnum):
    """What kind of credential a caller has. For an API key it is the key's kind."""

    PUBLIC = "pk"
    RESTRICTED = "rk"
    SECRET = "sk"  # noqa: S105 - a prefix
    PERSON = "person"
    SERVICE = "service"


class Role(enum.StrEnum):
    """What a person is, or that the caller is a machine. A word once shipped is never given another meaning."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Presence:
    """That a person is there: their session, and whether they have proved themselves again just now."""

    session: SessionId
    role: Role
    #: How they proved themselves (RFC 8176 words: `pwd`, `otp`, `hwk`, `mfa` …).
    methods: frozenset[str]
    #: Whether a second factor was shown within the last five minutes (`http.auth.STEP_UP_SECONDS`).
    stepped_up: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential held, with what it may do: an API key, a person's session or a service."""

    #: The id that audit records, log lines and rate limits use: `key_…`, `usr_…` or `svc_…`.
    subject: str
    kind: CallerKind
    merchant: MerchantId
    mode: Mode
    permissions: frozenset[Permission]
    #: Only of a person.
    presence: Presence | None = None

    @property
    def actor(self) -> str:
        """The name that audit records and log lines use for it."""
        return self.subject
