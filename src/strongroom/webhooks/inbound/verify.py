# SPDX-License-Identifier: Apache-2.0
"""What a verifier takes and returns. Nothing unverified changes a state (promise 5): what follows takes the proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, final

from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret


@final
@dataclass(frozen=True, slots=True)
class RawNotice:
    """A notice as it came. Nothing of it is believed. `headers` have lower-case names."""

    connection_id: str
    headers: Mapping[str, str] = field(repr=False)
    #: The exact bytes: what was signed, or what was encrypted.
    body: bytes = field(repr=False)
    #: The names of headers that came more than once: of those, nobody can say which value was meant.
    repeated: frozenset[str] = frozenset()


@final
@dataclass(frozen=True, slots=True)
class VerifiedNotice:
    """An authentic notice. Only a verifier makes one, and `KeptNotices` out of what was sealed after verification."""

    #: Decrypted, where the scheme encrypts.
    body: bytes = field(repr=False)
    #: The processor's own identity of the event, at most 255 printable ASCII characters.
    event_key: str
    scheme: str
    #: None: all of the body is authentic. Else only these fields are, as they were signed: whatever else the body says
    #: may have been written by anybody who passed it on, and decides nothing about money.
    signed: Mapping[str, str] | None = field(default=None, repr=False)
    #: What it says that it is of, where the scheme's notices say it.
    mode: Mode | None = None
    #: The other events of the same envelope, each as good as this one. All of them hold, or none of them came.
    beside: "Sequence[VerifiedNotice]" = field(default=(), repr=False)


@final
@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a processor is answered when its notice is kept."""

    status: int
    body: bytes
    media_type: str


class Verifier(Protocol):
    """One scheme. Pure: the same notice, secrets and time give the same verdict."""

    @property
    def scheme(self) -> str:
        """The scheme's name, as it is kept in `webhooks.source`."""

    @property
    def headers(self) -> frozenset[str]:
        """The headers that it reads, in lower case. Each comes once, and but for `authorization` they are kept."""

    @property
    def acknowledgement(self) -> Acknowledgement:
        """What its sender takes for an acknowledgement."""

    def accepts(self, secret: Secret[str]) -> bool:
        """Tell whether a secret has the scheme's form."""

    def verify(
        self, raw: RawNotice, secrets: Sequence[Secret[str]], now: datetime
    ) -> VerifiedNotice:
        """Return the notice as one that holds under one of the secrets.

        Raises:
            NoticeRejected: it does not, and `reason` says why, for us only. Nothing else, whatever was sent.
        """


#: By the name of the scheme.
Verifiers: TypeAlias = Mapping[str, Verifier]
