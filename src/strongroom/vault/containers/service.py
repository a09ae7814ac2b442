# SPDX-License-Identifier: Apache-2.0
"""Makes, changes and ends containers and rules; each change commits with its record, one at a time for a tenant."""

from collections.abc import Sequence
from typing import Final

from strongroom.audit import Action, Origin, Recorder
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database, Transaction
from strongroom.kernel.cardlike import has_cardlike
from strongroom.kernel.clock import Clock
from strongroom.kernel.errors import FieldError, Invalid
from strongroom.kernel.ids import AccessRuleId, MerchantId, is_id
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role
from strongroom.vault.containers import store
from strongroom.vault.containers.errors import (
    AccessRuleUnknown,
    ContainerNotEmpty,
    ContainerUnknown,
    TooManyContainers,
    TooManyRules,
)
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.containers.model import (
    CONTAINER_NAME,
    CONTAINERS_MAX,
    DEFAULT_CONTAINER,
    EVERY,
    EVERYWHERE,
    PRIORITY_MAX,
    RULES_MAX,
    Access,
    AccessRule,
    Changer,
    Container,
    GranteeKind,
    RuleWish,
    Transform,
)

DESCRIPTION_CHARACTERS_MAX: Final = 200
RETENTION_DAYS_MAX: Final = 36_500
_ID_PREFIX: Final = {
    GranteeKind.KEY: "key",
    GranteeKind.PERSON: "usr",
    GranteeKind.SERVICE: "svc",
}
_SHOWN_AT_MOST: Final = {
    Access.NONE: Transform.REDACT,
    Access.MASK: Transform.MASK,
    Access.USE: Transform.MASK,
    Access.REVEAL: Transform.REVEAL,
}


class ContainerDesk:
    """Containers and rules in the vault's database."""

    def __init__(
        self, database: Database, recorder: Recorder, clock: Clock, feed: RuleFeed
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self.feed = feed

    async def containers(self, merchant: MerchantId, mode: Mode) -> Sequence[Container]:
        """Return the containers that were made, by name; `default` is there besides, without a row."""
        async with self._database.transaction([merchant]) as read:
            found = await store.list_containers(read, merchant)
        return [each for each in found if each.mode is mode]

    async def rules(self, merchant: MerchantId, mode: Mode) -> Sequence[AccessRule]:
        """Return the rules that were made, in the order in which they are asked."""
        async with self._database.transaction([merchant]) as read:
            found = await store.list_rules(read, merchant)
        return [each for each in found if each.mode is mode]

    async def put(
        self, by: Changer, name: str, description: str, retention_days: int | None
    ) -> Container:
        """Make a container, or change the description and the retention of one.

        Raises:
            Invalid: naming each field that does not fit.
            TooManyContainers: there are as many as a merchant can have.
        """
        now = self._clock.now()
        _require_container(name, description, retention_days)
        wanted = Container(
            by.merchant, by.mode, name, description, retention_days, by.actor, now, now
        )
        async with self._database.transaction([by.merchant]) as tx:
            await store.note_change(tx, by.merchant)
            others = [
                each
                for each in await store.list_containers(tx, by.merchant)
                if each.mode is by.mode and each.name != name
            ]
            if len(others) >= CONTAINERS_MAX:
                raise TooManyContainers
            kept = await store.put_container(tx, wanted)
            await self._record_container(tx, by, name, "set")
        await self.feed.catch_up()
        return kept

    async def remove(self, by: Changer, name: str) -> None:
        """End a container in which no token stands.

        Raises:
            ContainerUnknown: there is none; `default` cannot end.
            ContainerNotEmpty: tokens stand in it.
        """
        if CONTAINER_NAME.fullmatch(name) is None or name == DEFAULT_CONTAINER:
            raise ContainerUnknown
        async with self._database.transaction([by.merchant]) as tx:
            await store.note_change(tx, by.merchant)
            if not await store.hold_container(tx, by.merchant, by.mode, name):
                raise ContainerUnknown
            if await store.is_used(tx, by.merchant, by.mode, name):
                raise ContainerNotEmpty
            await store.remove_container(tx, by.merchant, by.mode, name)
            await self._record_container(tx, by, name, "removed")
        await self.feed.catch_up()

    async def add_rule(self, by: Changer, wish: RuleWish) -> AccessRule:
        """Make a rule; it holds everywhere within two seconds.

        Raises:
            Invalid: naming each field that does not fit.
            TooManyRules: there are as many as a merchant can have.
        """
        rule = AccessRule(
            by.merchant,
            by.mode,
            AccessRuleId(new_id("rul")),
            wish.container,
            wish.priority,
            wish.grantee_kind,
            wish.grantee,
            wish.access,
            _transform(wish),
            by.actor,
            self._clock.now(),
        )
        async with self._database.transaction([by.merchant]) as tx:
            await store.note_change(tx, by.merchant)
            known = await store.list_rules(tx, by.merchant)
            if sum(each.mode is by.mode for each in known) >= RULES_MAX:
                raise TooManyRules
            await store.insert_rule(tx, rule)
            await self._record_rule(tx, by, rule, "set")
        await self.feed.catch_up()
        return rule

    async def rule(self, merchant: MerchantId, mode: Mode, rule_id: str) -> AccessRule:
        """Return a rule.

        Raises:
            AccessRuleUnknown: not there for this merchant and mode.
        """
        if is_id("rul", rule_id):
            for each in await self.rules(merchant, mode):
                if each.rule_id == rule_id:
                    return each
        raise AccessRuleUnknown

    async def removal_may_reveal(self, rule: AccessRule) -> bool:
        """Tell whether another rule, which this one may stand before, lets somebody see numbers."""
        return any(
            each.access is Access.REVEAL and each.rule_id != rule.rule_id
            for each in await self.rules(rule.merchant_id, rule.mode)
        )

    async def remove_rule(self, by: Changer, rule_id: str) -> None:
        """End a rule, everywhere within two seconds.

        Raises:
            AccessRuleUnknown: not there for this merchant and mode.
        """
        if not is_id("rul", rule_id):
            raise AccessRuleUnknown
        async with self._database.transaction([by.merchant]) as tx:
            await store.note_change(tx, by.merchant)
            for each in await store.list_rules(tx, by.merchant):
                if each.rule_id == rule_id and each.mode is by.mode:
                    break
            else:
                raise AccessRuleUnknown
            await store.remove_rule(tx, by.merchant, by.mode, rule_id)
            await self._record_rule(tx, by, each, "removed")
        await self.feed.catch_up()

    async def holds_built_in(self, merchant: MerchantId, mode: Mode) -> bool:
        """Tell whether what is built in for `default` holds: no rule is about it."""
        return (await self.feed.access_of(merchant)).has_built_in(mode)

    async def origin(self, merchant: MerchantId, address: str, request_hash: str) -> Origin:
        """Return the origin of a request, for records."""
        return await self._recorder.origin(merchant, address, request_hash, self._clock.now())

    async def _record_container(self, tx: Transaction, by: Changer, name: str, result: str) -> None:
        record = self._recorder.make(
            Action.VAULT_CONTAINER_CHANGED,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=None,
            origin=by.origin,
            now=self._clock.now(),
            details={"container": name, "result": result},
        )
        await self._recorder.insert(tx, record)

    async def _record_rule(
        self, tx: Transaction, by: Changer, rule: AccessRule, result: str
    ) -> None:
        facts: dict[str, str | int] = {
            "purpose": rule.grantee_kind.value,
            "result": result,
            "state": rule.access.value,
            "transform": rule.transform.value,
        }
        if rule.container != EVERYWHERE:  # a record that names no container is about all
            facts["container"] = rule.container.removesuffix("/")
        if rule.grantee_kind is GranteeKind.ROLE:
            facts["role"] = rule.grantee
        record = self._recorder.make(
            Action.VAULT_ACCESS_RULE_CHANGED,
            actor=by.actor,
            merchant=by.merchant,
            mode=by.mode,
            thing=rule.rule_id,
            origin=by.origin,
            now=self._clock.now(),
            details=facts,
        )
        await self._recorder.insert(tx, record)


def _require_container(name: str, description: str, retention_days: int | None) -> None:
    wrong = []
    if CONTAINER_NAME.fullmatch(name) is None:
        wrong.append(
            FieldError(
                "/name",
                "container_malformed",
                "a container's name is one to four parts such as cards/eu, of lower-case letters",
            )
        )
    if (
        len(description) > DESCRIPTION_CHARACTERS_MAX
        or not description.isprintable()
        or has_cardlike(description)
    ):
        wrong.append(
            FieldError(
                "/description",
                "description_malformed",
                f"a description has at most {DESCRIPTION_CHARACTERS_MAX} printable characters and no card number",
            )
        )
    if retention_days is not None and not 1 <= retention_days <= RETENTION_DAYS_MAX:
        wrong.append(
            FieldError(
                "/retention_days", "retention_out_of_range", f"1 to {RETENTION_DAYS_MAX} days"
            )
        )
    if wrong:
        raise Invalid(*wrong)


def _transform(wish: RuleWish) -> Transform:
    """Return what a rule shows, after checking all of it.

    Raises:
        Invalid: naming each field that does not fit.
    """
    wrong = []
    below = wish.container.removesuffix("/")
    if wish.container != EVERYWHERE and CONTAINER_NAME.fullmatch(below) is None:
        wrong.append(
            FieldError(
                "/container",
                "container_malformed",
                "a container's name, one that ends in / for all below it, or / for all",
            )
        )
    if not 1 <= wish.priority <= PRIORITY_MAX:
        wrong.append(FieldError("/priority", "priority_out_of_range", f"1 to {PRIORITY_MAX}"))
    if not _is_grantee(wish.grantee_kind, wish.grantee):
        wrong.append(
            FieldError(
                "/grantee",
                "grantee_malformed",
                "an id of that kind, a role, or * for all of the kind",
            )
        )
    most = _SHOWN_AT_MOST[wish.access]
    transform = most if wish.transform is None else wish.transform
    if list(Transform).index(transform) > list(Transform).index(most):
        wrong.append(
            FieldError("/transform", "transform_beyond_access", "this access does not show as much")
        )
    if wrong:
        raise Invalid(*wrong)
    return transform


def _is_grantee(kind: GranteeKind, name: str) -> bool:
    if kind is GranteeKind.ROLE:
        return name in {role.value for role in Role}
    if name == EVERY:
        return True
    prefix = _ID_PREFIX.get(kind)
    return prefix is not None and is_id(prefix, name)
