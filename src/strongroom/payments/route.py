# SPDX-License-Identifier: Apache-2.0
"""Why an attempt went where it went, kept with the attempt and shown. Written when it is made, never guessed later."""

import enum
from typing import Literal

import msgspec

from strongroom.kernel.ids import AttemptId, ConnectionId


class Result(enum.StrEnum):
    """What became of a connection that stands in a list."""

    CHOSEN = "chosen"
    #: One before it was chosen.
    NOT_NEEDED = "not_needed"
    #: It could not be used: `reason` says why.
    PASSED_OVER = "passed_over"
    #: An attempt of the same wish went there before: `reason` says what came of it.
    TRIED = "tried"


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connection of a list, and what became of it."""

    connection: ConnectionId
    result: Result
    reason: str | None = None


class Route(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who chose, among which connections, and how it went on."""

    #: The request named the connection; a rule of the merchant's chose; there was no rule, so the newest active one.
    by: Literal["default", "request", "rule"]
    #: Of the merchant's rules.
    version: int | None = None
    #: The rule's name.
    rule: str | None = None
    #: In the order in which they were considered, each once.
    connections: tuple[Listed, ...] = ()
    #: The attempt of the same wish that came before.
    after: AttemptId | None = None
    #: Once its outcome is known: `failed_over`, or the word of why not.
    onward: str | None = None
