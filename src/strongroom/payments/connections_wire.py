# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of connections. Unknown fields are refused; what is secret is taken and never given back."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.payments.model import Connection
from strongroom.payments.ports import Account
from strongroom.payments.wire import NO_NUL, Url


class ConnectionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A processor's account to be connected. Credentials and secrets are sealed and never shown again."""

    processor: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]
    account: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)]
    base_url: Url
    credentials: Annotated[dict[str, Annotated[str, Meta(max_length=4_096)]], Meta(max_length=10)]
    webhook_secret: Annotated[str, Meta(min_length=16, max_length=1_024)]
    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)] = "default"
    finding: Literal["by_notice", "by_reference", "by_replay"] | None = None
    #: The scheme of its notices, where the processor has several (`aes_gcm_hex`).
    webhook_scheme: Annotated[str, Meta(max_length=40)] | None = None


class RotateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New credentials (used at once), a new webhook secret, or both.

    For the overlap the old secret holds too, and the old credentials can be brought back.
    """

    credentials: (
        Annotated[dict[str, Annotated[str, Meta(max_length=4_096)]], Meta(max_length=10)] | None
    ) = None
    webhook_secret: Annotated[str, Meta(min_length=16, max_length=1_024)] | None = None
    overlap_seconds: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 86_400


class ConnectionOut(msgspec.Struct, frozen=True):
    """A connection, without what is secret."""

    id: str
    object: str
    mode: str
    name: str
    processor: str
    account: str
    finding: str
    status: str
    #: Where the processor is to send its notices.
    webhook_url: str
    created_at: str
    updated_at: str


class ConnectionsOut(msgspec.Struct, frozen=True):
    """A merchant's connections of one mode, newest first."""

    data: list[ConnectionOut]
    has_more: bool
    next_cursor: str | None


class ConnectionTestOut(msgspec.Struct, frozen=True):
    """What a test of a connection found."""

    object: str
    connection: str
    passed: bool
    reachable: bool
    account: str | None
    mode: str | None
    #: Whether card numbers may be sent; null where the processor tells that of a payment only.
    raw_cards: bool | None
    #: What is wrong or missing, in sentences.
    missing: list[str]
    duration_ms: int


def connection_out(connection: Connection, webhook_url: str) -> ConnectionOut:
    """Print a connection."""
    return ConnectionOut(
        id=connection.connection_id,
        object="connection",
        mode=connection.mode,
        name=connection.name,
        processor=connection.processor,
        account=connection.account,
        finding=connection.finding,
        status=connection.status,
        webhook_url=webhook_url,
        created_at=rfc3339(connection.created_at),
        updated_at=rfc3339(connection.updated_at),
    )


def tested_out(
    connection: Connection, account: Account | None, reason: str, seconds: float
) -> ConnectionTestOut:
    """Print a test of a connection; without an account it was not reached, for a reason."""
    return ConnectionTestOut(
        object="connection_test",
        connection=connection.connection_id,
        passed=account is not None and not account.missing,
        reachable=account is not None,
        account=None if account is None else account.account,
        mode=None if account is None else account.mode,
        raw_cards=None if account is None else account.raw_cards,
        missing=[f"the processor did not answer: {reason}"]
        if account is None
        else list(account.missing),
        duration_ms=round(seconds * 1_000),
    )
