# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of containers and access rules."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.kernel.clock import rfc3339
from strongroom.vault.containers.decision import BUILT_IN
from strongroom.vault.containers.model import (
    DEFAULT_CONTAINER,
    EVERY,
    PRIORITY_MAX,
    Access,
    AccessRule,
    Container,
    GranteeKind,
    Transform,
)

NAME_CHARACTERS_MAX = 160


class ContainerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a container."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=NAME_CHARACTERS_MAX,
            description="One to four parts: `cards`, `cards/eu`",
        ),
    ]
    description: Annotated[str, Meta(max_length=200)] = ""
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None


class ContainerRemoval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which container is to end."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]


class ContainerOut(msgspec.Struct, frozen=True):
    """A container of tokens, named by its id. `default` is there for everybody, and cannot be changed."""

    id: str
    object: str
    name: str
    mode: str
    description: str
    retention_days: int | None
    built_in: bool
    created_by: str | None
    created_at: str | None
    updated_at: str | None


class ContainersOut(msgspec.Struct, frozen=True):
    """A merchant's containers, `default` first."""

    data: list[ContainerOut]
    has_more: bool
    next_cursor: str | None


class AccessRuleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for an access rule."""

    container: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=NAME_CHARACTERS_MAX,
            description="A container; with `/` at its end all below it, too; `/` for all",
        ),
    ]
    priority: Annotated[
        int, Meta(ge=1, le=PRIORITY_MAX, description="Of those that match, the lowest decides")
    ]
    grantee_kind: GranteeKind
    access: Access
    grantee: Annotated[
        str, Meta(min_length=1, max_length=64, description="An id, a role, or `*` for all")
    ] = EVERY
    #: Absent: as much as the access shows at most.
    transform: Transform | None = None


class AccessRuleOut(msgspec.Struct, frozen=True):
    """An access rule. What holds without any has no id and no priority."""

    id: str | None
    object: str
    mode: str
    container: str
    priority: int | None
    grantee_kind: GranteeKind
    grantee: str
    access: Access
    transform: Transform
    built_in: bool
    created_by: str | None
    created_at: str | None


class AccessRulesOut(msgspec.Struct, frozen=True):
    """A merchant's access rules in the order in which they are asked."""

    data: list[AccessRuleOut]
    has_more: bool
    next_cursor: str | None


def container_out(found: Container) -> ContainerOut:
    """Print a container."""
    return ContainerOut(
        found.name,
        "container",
        found.name,
        found.mode.value,
        found.description,
        found.retention_days,
        built_in=False,
        created_by=found.created_by,
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
    )


def containers_out(mode: str, found: Iterable[Container]) -> ContainersOut:
    """Print a merchant's containers."""
    default = ContainerOut(
        DEFAULT_CONTAINER,
        "container",
        DEFAULT_CONTAINER,
        mode,
        "",
        None,
        built_in=True,
        created_by=None,
        created_at=None,
        updated_at=None,
    )
    return ContainersOut([default, *map(container_out, found)], has_more=False, next_cursor=None)


def rule_out(found: AccessRule) -> AccessRuleOut:
    """Print a rule."""
    return AccessRuleOut(
        found.rule_id,
        "access_rule",
        found.mode.value,
        found.container,
        found.priority,
        found.grantee_kind,
        found.grantee,
        found.access,
        found.transform,
        built_in=False,
        created_by=found.created_by,
        created_at=rfc3339(found.created_at),
    )


def rules_out(mode: str, found: Iterable[AccessRule], *, built_in: bool) -> AccessRulesOut:
    """Print a merchant's rules, and behind them what is built in while it holds."""
    without = [
        AccessRuleOut(
            None,
            "access_rule",
            mode,
            DEFAULT_CONTAINER,
            None,
            kind,
            EVERY,
            granted.access,
            granted.transform,
            built_in=True,
            created_by=None,
            created_at=None,
        )
        for kind, granted in (BUILT_IN if built_in else ())
    ]
    return AccessRulesOut([*map(rule_out, found), *without], has_more=False, next_cursor=None)
