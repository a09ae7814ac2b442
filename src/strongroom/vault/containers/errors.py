# SPDX-License-Identifier: Apache-2.0
"""What may be answered about containers and rules.

Denied
└── AccessRefused      403   no rule gives the caller as much as this takes, in that container
NotThere
├── ContainerUnknown   404
└── AccessRuleUnknown  404
Conflict
├── ContainerNotEmpty  409   tokens stand in it
├── TooManyContainers  409
└── TooManyRules       409
RulesUnknown           503   the rules are older than two seconds and cannot be read: nobody may do anything
"""

from strongroom.kernel.errors import Conflict, Denied, NotThere, Unavailable


class AccessRefused(Denied):
    """No access rule lets this caller do that with the tokens of this container."""

    code = "vault_access_refused"


class ContainerUnknown(NotThere):
    """There is no such container."""

    code = "container_unknown"


class AccessRuleUnknown(NotThere):
    """There is no such access rule."""

    code = "access_rule_unknown"


class ContainerNotEmpty(Conflict):
    """Tokens stand in this container: move or delete them first."""

    code = "container_not_empty"


class TooManyContainers(Conflict):
    """There are as many containers as a merchant can have."""

    code = "too_many_containers"


class TooManyRules(Conflict):
    """There are as many access rules as a merchant can have."""

    code = "too_many_access_rules"


class RulesUnknown(Unavailable):
    """The access rules cannot be read, so nobody is let at a token now."""

    code = "access_rules_unknown"
