# SPDX-License-Identifier: Apache-2.0
"""The words of the audit log: which acts are recorded, how they end, and which facts a record may carry.

What a word means never changes, because the leaves that carry it never change.
"""

import enum
import re
from collections.abc import Mapping
from typing import Final


class Action(enum.StrEnum):
    """`<domain>.<subject>.<verb in the past>`; sorted; a word once shipped is never reused."""

    AUDIT_RECORD_EXPORTED = "audit.record.exported"
    AUDIT_RECORD_READ = "audit.record.read"
    AUDIT_TREE_RESTARTED = "audit.tree.restarted"
    AUDIT_TREE_STARTED = "audit.tree.started"
    HTTP_REQUEST_DENIED = "http.request.denied"
    IDENTITY_ACCESS_REVIEWED = "identity.access.reviewed"
    IDENTITY_APPROVAL_DENIED = "identity.approval.denied"
    IDENTITY_APPROVAL_EXPIRED = "identity.approval.expired"
    IDENTITY_APPROVAL_GRANTED = "identity.approval.granted"
    IDENTITY_APPROVAL_REQUESTED = "identity.approval.requested"
    IDENTITY_APPROVAL_USED = "identity.approval.used"
    IDENTITY_APPROVAL_WITHDRAWN = "identity.approval.withdrawn"
    IDENTITY_BREAK_GLASS_ENDED = "identity.break_glass.ended"
    IDENTITY_BREAK_GLASS_STARTED = "identity.break_glass.started"
    IDENTITY_FACTOR_ADDED = "identity.factor.added"
    IDENTITY_FACTOR_REMOVED = "identity.factor.removed"
    IDENTITY_FACTOR_RESET = "identity.factor.reset"
    IDENTITY_INVITATION_ACCEPTED = "identity.invitation.accepted"
    IDENTITY_INVITATION_CREATED = "identity.invitation.created"
    IDENTITY_INVITATION_WITHDRAWN = "identity.invitation.withdrawn"
    IDENTITY_KEY_CREATED = "identity.key.created"
    IDENTITY_KEY_REVOKED = "identity.key.revoked"
    IDENTITY_LOGIN_FAILED = "identity.login.failed"
    IDENTITY_LOGIN_LOCKED = "identity.login.locked"
    IDENTITY_LOGIN_SUCCEEDED = "identity.login.succeeded"
    IDENTITY_MERCHANT_CREATED = "identity.merchant.created"
    IDENTITY_NETWORK_CHANGED = "identity.network.changed"
    IDENTITY_PASSWORD_CHANGED = "identity.password.changed"  # noqa: S105 - an action's name
    IDENTITY_PERSON_CHANGED = "identity.person.changed"
    IDENTITY_PERSON_CREATED = "identity.person.created"
    IDENTITY_PERSON_ENABLED = "identity.person.enabled"
    IDENTITY_PERSON_SUSPENDED = "identity.person.suspended"
    IDENTITY_PERSON_UNLOCKED = "identity.person.unlocked"
    IDENTITY_PROVIDER_CHANGED = "identity.provider.changed"
    IDENTITY_RECOVERY_CODE_USED = "identity.recovery_code.used"
    IDENTITY_RECOVERY_CODES_MADE = "identity.recovery_codes.made"
    IDENTITY_SERVICE_CREATED = "identity.service.created"
    IDENTITY_SERVICE_REVOKED = "identity.service.revoked"
    IDENTITY_SERVICE_ROTATED = "identity.service.rotated"
    IDENTITY_SESSION_ENDED = "identity.session.ended"
    IDENTITY_SESSION_REUSED = "identity.session.reused"
    IDENTITY_SESSION_STARTED = "identity.session.started"
    IDENTITY_SIGNING_KEY_MADE = "identity.signing_key.made"
    IDENTITY_SIGNING_KEY_RETIRED = "identity.signing_key.retired"
    IDENTITY_STEP_UP_FAILED = "identity.step_up.failed"
    IDENTITY_STEP_UP_SUCCEEDED = "identity.step_up.succeeded"
    IDENTITY_TOKEN_ISSUED = "identity.token.issued"  # noqa: S105 - an action's name
    KEYS_AUTHORITY_CHANGED = "keys.authority.changed"
    KEYS_CERTIFICATE_ISSUED = "keys.certificate.issued"
    KEYS_CERTIFICATE_REVOKED = "keys.certificate.revoked"
    KEYS_DATA_KEY_CREATED = "keys.data_key.created"
    KEYS_DATA_KEY_DESTROYED = "keys.data_key.destroyed"
    KEYS_DATA_KEY_ROTATED = "keys.data_key.rotated"
    KEYS_RESEAL_ENDED = "keys.reseal.ended"
    KEYS_RESEAL_STARTED = "keys.reseal.started"
    KEYS_ROOT_ROTATED = "keys.root.rotated"
    KEYS_SECRET_ROTATED = "keys.secret.rotated"  # noqa: S105 - an action's name
    PAYMENTS_ATTEMPT_PREPARED = "payments.attempt.prepared"
    PAYMENTS_ATTEMPT_RECALLED = "payments.attempt.recalled"
    PAYMENTS_ATTEMPT_RESOLVED = "payments.attempt.resolved"
    PAYMENTS_ATTEMPT_SETTLED = "payments.attempt.settled"
    PAYMENTS_ATTEMPT_STARTED = "payments.attempt.started"
    PAYMENTS_BIN_RANGES_LOADED = "payments.bin_ranges.loaded"
    PAYMENTS_BRAKES_CHANGED = "payments.brakes.changed"
    PAYMENTS_CARD_REMOVED = "payments.card.removed"
    PAYMENTS_CARD_SAVED = "payments.card.saved"
    PAYMENTS_CARD_TESTING_ENDED = "payments.card_testing.ended"
    PAYMENTS_CARD_TESTING_NOTICED = "payments.card_testing.noticed"
    PAYMENTS_CONNECTION_CHANGED = "payments.connection.changed"
    PAYMENTS_CONNECTION_CREATED = "payments.connection.created"
    PAYMENTS_CONNECTION_DISABLED = "payments.connection.disabled"
    PAYMENTS_CONNECTION_ROTATED = "payments.connection.rotated"
    PAYMENTS_CUSTOMER_CHANGED = "payments.customer.changed"
    PAYMENTS_CUSTOMER_CREATED = "payments.customer.created"
    PAYMENTS_CUSTOMER_ERASED = "payments.customer.erased"
    PAYMENTS_DISCREPANCY_RECORDED = "payments.discrepancy.recorded"
    PAYMENTS_DISPUTE_RECORDED = "payments.dispute.recorded"
    PAYMENTS_HOLD_ANNOUNCED = "payments.hold.announced"
    PAYMENTS_HOLD_CHANGED = "payments.hold.changed"
    PAYMENTS_LIST_CHANGED = "payments.list.changed"
    PAYMENTS_MANDATE_CREATED = "payments.mandate.created"
    PAYMENTS_MANDATE_REVOKED = "payments.mandate.revoked"
    PAYMENTS_PAYMENT_CANCELED = "payments.payment.canceled"
    PAYMENTS_PAYMENT_CREATED = "payments.payment.created"
    PAYMENTS_PAYMENT_REFUSED = "payments.payment.refused"
    PAYMENTS_RECEIPT_ISSUED = "payments.receipt.issued"
    PAYMENTS_RECONCILIATION_ENDED = "payments.reconciliation.ended"
    PAYMENTS_RECONCILIATION_FAILED = "payments.reconciliation.failed"
    PAYMENTS_RECONCILIATION_STARTED = "payments.reconciliation.started"
    PAYMENTS_RETRY_CANCELED = "payments.retry.canceled"
    PAYMENTS_RETRY_ENDED = "payments.retry.ended"
    PAYMENTS_RETRY_SCHEDULED = "payments.retry.scheduled"
    PAYMENTS_RETRY_POLICY_CHANGED = "payments.retry_policy.changed"
    PAYMENTS_ROUTING_ACTIVATED = "payments.routing.activated"
    PAYMENTS_ROUTING_REVISED = "payments.routing.revised"
    VAULT_ACCESS_RULE_CHANGED = "vault.access_rule.changed"
    VAULT_BACKUP_MADE = "vault.backup.made"
    VAULT_BACKUP_RESTORED = "vault.backup.restored"
    VAULT_CONNECTION_CHANGED = "vault.connection.changed"
    VAULT_CONNECTION_CREATED = "vault.connection.created"
    VAULT_CONNECTION_DISABLED = "vault.connection.disabled"
    VAULT_CONNECTION_ROTATED = "vault.connection.rotated"
    VAULT_CONTAINER_CHANGED = "vault.container.changed"
    VAULT_CVC_DISCARDED = "vault.cvc.discarded"
    VAULT_CVC_SEALED = "vault.cvc.sealed"
    VAULT_CVC_USED = "vault.cvc.used"
    VAULT_DESTINATION_CHANGED = "vault.destination.changed"
    VAULT_DESTINATION_CREATED = "vault.destination.created"
    VAULT_DESTINATION_DISABLED = "vault.destination.disabled"
    VAULT_ERASURE_COMPLETED = "vault.erasure.completed"
    VAULT_ERASURE_REQUESTED = "vault.erasure.requested"
    VAULT_EXPORT_ENDED = "vault.export.ended"
    VAULT_EXPORT_STARTED = "vault.export.started"
    VAULT_HONEYTOKEN_CREATED = "vault.honeytoken.created"
    VAULT_HONEYTOKEN_USED = "vault.honeytoken.used"
    VAULT_IMPORT_ENDED = "vault.import.ended"
    VAULT_IMPORT_STARTED = "vault.import.started"
    VAULT_JOB_CHANGED = "vault.job.changed"
    VAULT_OPENING_FAILED = "vault.opening.failed"
    VAULT_RESEAL_ENDED = "vault.reseal.ended"
    VAULT_RESEAL_STARTED = "vault.reseal.started"
    VAULT_RETOKENIZATION_ENDED = "vault.retokenization.ended"
    VAULT_RETOKENIZATION_STARTED = "vault.retokenization.started"
    VAULT_REVEAL_ALARMED = "vault.reveal.alarmed"
    VAULT_REVEAL_RESUMED = "vault.reveal.resumed"
    VAULT_TOKEN_CHANGED = "vault.token.changed"  # noqa: S105 - an action's name
    VAULT_TOKEN_CREATED = "vault.token.created"  # noqa: S105 - an action's name
    VAULT_TOKEN_DEDUPLICATED = "vault.token.deduplicated"  # noqa: S105 - an action's name
    VAULT_TOKEN_DELETED = "vault.token.deleted"  # noqa: S105 - an action's name
    VAULT_TOKEN_FORWARDED = "vault.token.forwarded"  # noqa: S105 - an action's name
    VAULT_TOKEN_KEPT = "vault.token.kept"  # noqa: S105 - an action's name
    VAULT_TOKEN_LISTED = "vault.token.listed"  # noqa: S105 - an action's name
    VAULT_TOKEN_READ = "vault.token.read"  # noqa: S105 - an action's name
    VAULT_TOKEN_REPLACED = "vault.token.replaced"  # noqa: S105 - an action's name
    VAULT_TOKEN_REVEALED = "vault.token.revealed"  # noqa: S105 - an action's name
    VAULT_TOKEN_SEARCHED = "vault.token.searched"  # noqa: S105 - an action's name
    VAULT_TOKEN_USED = "vault.token.used"  # noqa: S105 - an action's name
    WEBHOOKS_ENDPOINT_CHANGED = "webhooks.endpoint.changed"
    WEBHOOKS_ENDPOINT_CREATED = "webhooks.endpoint.created"
    WEBHOOKS_ENDPOINT_DELETED = "webhooks.endpoint.deleted"
    WEBHOOKS_ENDPOINT_DISABLED = "webhooks.endpoint.disabled"
    WEBHOOKS_ENDPOINT_ROTATED = "webhooks.endpoint.rotated"
    WEBHOOKS_EVENT_REDELIVERED = "webhooks.event.redelivered"
    WEBHOOKS_NOTICE_HANDLED = "webhooks.notice.handled"


class Outcome(enum.StrEnum):
    """How an act ended."""

    DENIED = "denied"
    FAILED = "failed"
    SUCCESS = "success"


_WORD: Final = r"[a-z][a-z_]{0,47}[0-9]{0,3}"
_PATH_PART: Final = r"v[0-9]{1,2}|[a-z._-]{1,32}|\{[a-z_]{1,32}(?::[a-z]{1,8})?\}"
_B32: Final = "[0-9A-HJKMNP-TV-Z]"
#: A second person in a record: an id in groups of at most eight characters, because no form admits 13 digits in a row.
_GROUPED_PERSON: Final = rf"usr-[0-7]{_B32}{{7}}-{_B32}{{8}}-{_B32}{{8}}-{_B32}{{2}}"
#: Where a card was sent, likewise.
_GROUPED_DESTINATION: Final = rf"dst-[0-7]{_B32}{{7}}-{_B32}{{8}}-{_B32}{{8}}-{_B32}{{2}}"
#: Some of the tokens that one call made: ids likewise, without their prefix, each with the last four of its card.
_TOKEN: Final = rf"[0-7]{_B32}{{7}}-{_B32}{{8}}-{_B32}{{8}}-{_B32}{{2}}:[0-9]{{4}}"
#: So many fit a fact, and so many facts a row that PostgreSQL does not compress.
TOKENS_A_FACT: Final = 8
TOKEN_FACTS: Final = ("tokens_1", "tokens_2", "tokens_3", "tokens_4")
_TOKENS: Final = rf"{_TOKEN}(?:,{_TOKEN}){{0,{TOKENS_A_FACT - 1}}}"

#: The text facts that a record may carry besides its fields, each with the form of its value. All are masked: no form
#: admits 13 digits in a row, free text, a name or an address. Sorted; a name once shipped is never reused.
TEXT_FACTS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(form)
    for name, form in {
        "algorithm": r"[A-Za-z]{1,8}[0-9]{1,5}(?:[A-Z-]{1,8}[0-9]{0,4})?",
        "approver": _GROUPED_PERSON,
        "basis": _WORD,
        "brand": _WORD,
        "certificate": r"[0-9a-f]{8}(?:-[0-9a-f]{8}){7}",
        "container": r"[a-z][a-z_-]{0,31}[0-9]{0,4}(?:/[a-z][a-z_-]{0,31}[0-9]{0,4}){0,3}",
        "currency": r"[A-Z]{3}",
        "cvc_state": _WORD,
        "decline_code": _WORD,
        "destination": _GROUPED_DESTINATION,
        "digest": r"[0-9a-f]{64}",
        "due_at": r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z",
        "event_type": r"[a-z_]{1,32}(?:\.[a-z_]{1,32}){1,3}",
        "key_kind": _WORD,
        "last4": r"[0-9]{4}",
        "method": _WORD,
        "operation": _WORD,
        "permission": r"[a-z_]{1,32}:[a-z_]{1,32}:[a-z_]{1,32}",
        "processor": _WORD,
        "purpose": _WORD,
        "reason": _WORD,
        "requester": _GROUPED_PERSON,
        "result": _WORD,
        "role": _WORD,
        "root": r"[0-9a-f]{64}",
        "route": rf"(?:DELETE|GET|HEAD|PATCH|POST|PUT) (?:/(?:{_PATH_PART})){{1,8}}",
        "severity": _WORD,
        "state": _WORD,
        "tokens_1": _TOKENS,
        "tokens_2": _TOKENS,
        "tokens_3": _TOKENS,
        "tokens_4": _TOKENS,
        "transform": _WORD,
    }.items()
}
#: The facts that are whole numbers, likewise.
NUMBER_FACTS: Final = frozenset(
    (
        "amount amount_differs count currency_differs doubled duplicates kept key_version lifetime_seconds "
        "lines matched missing_here missing_there refused rules_version size status window_seconds"
    ).split()
)
#: A whole number in a record is below this: twelve digits, so that no card number fits.
FACT_NUMBER_LIMIT: Final = 10**12


def grouped(thing: str) -> str:
    """Print an id as the facts `approver`, `destination` and `requester` carry it: the same characters, in groups."""
    prefix, _, body = thing.partition("_")
    return "-".join([prefix, *(body[at : at + 8] for at in range(0, len(body), 8))])
