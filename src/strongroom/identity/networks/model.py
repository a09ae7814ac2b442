# SPDX-License-Identifier: Apache-2.0
"""An allow-list, as a value: whom it is about, in which mode, and the networks that it admits."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.http.gate import RouteGroup
from strongroom.kernel.ids import MerchantId, NetworkId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

NETWORKS_MAX: Final = 64
LISTS_MAX: Final = 200


class ListMode(enum.StrEnum):
    """In which mode a list applies."""

    BOTH = "both"
    LIVE = "live"
    TEST = "test"

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes themselves."""
        return frozenset(Mode) if self is ListMode.BOTH else frozenset({Mode(self.value)})


class SubjectKind(enum.StrEnum):
    """What a list can be about."""

    GROUP = "group"
    KEY = "key"
    PERSON = "person"
    ROLE = "role"
    SERVICE = "service"
    TENANT = "tenant"


_ID_PREFIXES: Final = {
    SubjectKind.KEY: "key",
    SubjectKind.PERSON: "usr",
    SubjectKind.SERVICE: "svc",
}


class SubjectMalformed(ValueError):
    """The text names nothing that a list can be about."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom or what a list is about. `name` is an id, a role or a route group; empty for the whole tenant."""

    kind: SubjectKind
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Read `tenant`, `group:vault`, `role:admin`, `key:key_…`, `person:usr_…` or `service:svc_…`.

        Raises:
            SubjectMalformed: it is none of these.
        """
        word, colon, name = text.partition(":")
        try:
            kind = SubjectKind(word)
            if kind is SubjectKind.TENANT:
                known = not colon
            elif kind is SubjectKind.ROLE:
                known = bool(Role(name))
            elif kind is SubjectKind.GROUP:
                known = bool(RouteGroup(name))
            else:
                known = is_id(_ID_PREFIXES[kind], name)
        except ValueError:
            known = False
        if not known:
            raise SubjectMalformed(
                "tenant, group:…, role:…, key:key_…, person:usr_… or service:svc_…"
            )
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind.value


@dataclass(frozen=True, slots=True)
class AllowList:
    """A list as it is kept. Its networks are CIDRs in their one form, sorted as they were given."""

    network_id: NetworkId
    merchant: MerchantId
    mode: ListMode
    subject: Subject
    networks: tuple[str, ...]
    name: str
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ListWish:
    """What a list shall be; it takes the place of the one that the same subject has in that mode."""

    mode: ListMode
    subject: str
    networks: Sequence[str]
    name: str = ""
    #: Whether `0.0.0.0/0` or `::/0` is meant.
    everywhere: bool = False
    #: Whether the caller may exclude themselves.
    force: bool = False
