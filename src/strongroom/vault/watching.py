# SPDX-License-Identifier: Apache-2.0
"""What every way to a token tells who watches over honeytokens (`vault.honey`), before it does anything."""

import enum
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias

from strongroom.audit import Origin
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode

Scope: TypeAlias = tuple[MerchantId, Mode]


class Way(enum.StrEnum):
    """How one is named. A word of the audit record; once shipped it is never given another meaning."""

    #: Changed or deleted.
    CHANGE = "change"
    #: What a checkout does with the id that a visitor posts: a payment's call to a processor, a CVC sealed for it or
    #: discarded, that it is kept.
    CHARGE = "charge"
    EXPORT = "export"
    #: A forward, or its dry run.
    FORWARD = "forward"
    READ = "read"
    #: A reveal, or the question for another's approval of one.
    REVEAL = "reveal"
    #: It was among what a search found.
    SEARCH = "search"


class Watch(Protocol):
    """Who is told which tokens a caller names, before anything is done with them."""

    async def named(
        self, scope: Scope, actor: str, origin: Origin, way: Way, tokens: Iterable[str]
    ) -> None:
        """Record it where a honeytoken is among them, and commit; otherwise return at once.

        Args:
            scope: of whom and in which mode.
            actor: who names them.
            origin: whence.
            way: what for.
            tokens: ids, of whichever form; what is none is passed over.

        Raises:
            Unavailable: it cannot be recorded, so what was asked for is not done.
        """


class Unwatched:
    """Watches nothing: for what is composed without honeytokens, as the grounds of tests are."""

    async def named(
        self, scope: Scope, actor: str, origin: Origin, way: Way, tokens: Iterable[str]
    ) -> None:
        """Return."""


UNWATCHED: Final = Unwatched()
