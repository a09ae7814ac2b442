# SPDX-License-Identifier: Apache-2.0
"""Which acts are security events, and how grave each is. What is not here is ordinary business, and stands there too.

PCI DSS 4.0.1 10.4.1 (what is reviewed) and 10.7 (failures of controls), OWASP ASVS 5.0 V16.3 (which events are logged).
"""

import enum
from collections.abc import Mapping
from typing import Final

from strongroom.audit.actions import Action


class Severity(enum.StrEnum):
    """How soon somebody should look."""

    #: It belongs to a day's work; it matters when something else has happened.
    LOW = "low"
    #: Within a working day.
    MEDIUM = "medium"
    #: Now.
    HIGH = "high"
    #: Now, whoever sleeps: somebody holds what is another's.
    CRITICAL = "critical"


#: Business that is nobody's concern but its merchant's. Every action stands either here or in `SEVERITY`.
ORDINARY: Final = frozenset(
    {
        Action.AUDIT_RECORD_READ,
        Action.IDENTITY_TOKEN_ISSUED,
        Action.PAYMENTS_ATTEMPT_PREPARED,
        Action.PAYMENTS_ATTEMPT_RECALLED,
        Action.PAYMENTS_ATTEMPT_RESOLVED,
        Action.PAYMENTS_ATTEMPT_SETTLED,
        Action.PAYMENTS_ATTEMPT_STARTED,
        Action.PAYMENTS_CARD_REMOVED,
        Action.PAYMENTS_CARD_SAVED,
        Action.PAYMENTS_CUSTOMER_CHANGED,
        Action.PAYMENTS_CUSTOMER_CREATED,
        # Counted and alerted by a metric of its own: strongroom_payment_discrepancies.
        Action.PAYMENTS_DISCREPANCY_RECORDED,
        Action.PAYMENTS_DISPUTE_RECORDED,
        Action.PAYMENTS_HOLD_ANNOUNCED,
        Action.PAYMENTS_HOLD_CHANGED,
        Action.PAYMENTS_MANDATE_CREATED,
        Action.PAYMENTS_MANDATE_REVOKED,
        Action.PAYMENTS_PAYMENT_CANCELED,
        Action.PAYMENTS_PAYMENT_CREATED,
        # What differs is counted and alerted by metrics of its own: strongroom_reconciliation…
        Action.PAYMENTS_RECONCILIATION_ENDED,
        Action.PAYMENTS_RECONCILIATION_FAILED,
        Action.PAYMENTS_RECONCILIATION_STARTED,
        Action.PAYMENTS_PAYMENT_REFUSED,
        Action.PAYMENTS_RECEIPT_ISSUED,
        Action.PAYMENTS_RETRY_CANCELED,
        Action.PAYMENTS_RETRY_ENDED,
        Action.PAYMENTS_RETRY_SCHEDULED,
        Action.VAULT_CVC_DISCARDED,
        Action.VAULT_CVC_SEALED,
        Action.VAULT_CVC_USED,
        Action.VAULT_TOKEN_CREATED,
        Action.VAULT_TOKEN_DEDUPLICATED,
        Action.VAULT_TOKEN_DELETED,
        Action.VAULT_TOKEN_KEPT,
        Action.VAULT_TOKEN_LISTED,
        Action.VAULT_TOKEN_READ,
        Action.VAULT_TOKEN_USED,
        Action.VAULT_TOKEN_CHANGED,
        Action.VAULT_TOKEN_FORWARDED,
        Action.VAULT_TOKEN_SEARCHED,
        Action.VAULT_IMPORT_ENDED,
        Action.VAULT_JOB_CHANGED,
        Action.KEYS_RESEAL_ENDED,
        Action.VAULT_RESEAL_ENDED,
        Action.WEBHOOKS_EVENT_REDELIVERED,
        Action.WEBHOOKS_NOTICE_HANDLED,
    }
)
#: Security events. An action that is new and in neither table is an event of medium severity, and fails a test.
SEVERITY: Final[Mapping[Action, Severity]] = {
    Action.AUDIT_RECORD_EXPORTED: Severity.MEDIUM,
    Action.AUDIT_TREE_RESTARTED: Severity.CRITICAL,
    Action.AUDIT_TREE_STARTED: Severity.LOW,
    Action.HTTP_REQUEST_DENIED: Severity.LOW,
    Action.IDENTITY_ACCESS_REVIEWED: Severity.LOW,
    Action.IDENTITY_APPROVAL_DENIED: Severity.MEDIUM,
    Action.IDENTITY_APPROVAL_EXPIRED: Severity.LOW,
    Action.IDENTITY_APPROVAL_GRANTED: Severity.MEDIUM,
    Action.IDENTITY_APPROVAL_REQUESTED: Severity.LOW,
    Action.IDENTITY_APPROVAL_USED: Severity.MEDIUM,
    Action.IDENTITY_APPROVAL_WITHDRAWN: Severity.LOW,
    Action.IDENTITY_BREAK_GLASS_ENDED: Severity.MEDIUM,
    Action.IDENTITY_BREAK_GLASS_STARTED: Severity.HIGH,
    Action.IDENTITY_FACTOR_ADDED: Severity.MEDIUM,
    Action.IDENTITY_FACTOR_REMOVED: Severity.MEDIUM,
    Action.IDENTITY_FACTOR_RESET: Severity.HIGH,
    Action.IDENTITY_INVITATION_ACCEPTED: Severity.LOW,
    Action.IDENTITY_INVITATION_CREATED: Severity.MEDIUM,
    Action.IDENTITY_INVITATION_WITHDRAWN: Severity.LOW,
    Action.IDENTITY_KEY_CREATED: Severity.MEDIUM,
    Action.IDENTITY_KEY_REVOKED: Severity.MEDIUM,
    Action.IDENTITY_LOGIN_FAILED: Severity.LOW,
    Action.IDENTITY_LOGIN_LOCKED: Severity.HIGH,
    Action.IDENTITY_LOGIN_SUCCEEDED: Severity.LOW,
    Action.IDENTITY_MERCHANT_CREATED: Severity.LOW,
    Action.IDENTITY_NETWORK_CHANGED: Severity.MEDIUM,
    Action.IDENTITY_PASSWORD_CHANGED: Severity.MEDIUM,
    Action.IDENTITY_PERSON_CHANGED: Severity.MEDIUM,
    Action.IDENTITY_PERSON_CREATED: Severity.MEDIUM,
    Action.IDENTITY_PERSON_ENABLED: Severity.MEDIUM,
    Action.IDENTITY_PERSON_SUSPENDED: Severity.MEDIUM,
    Action.IDENTITY_PERSON_UNLOCKED: Severity.MEDIUM,
    Action.IDENTITY_PROVIDER_CHANGED: Severity.HIGH,
    Action.IDENTITY_RECOVERY_CODES_MADE: Severity.MEDIUM,
    Action.IDENTITY_RECOVERY_CODE_USED: Severity.HIGH,
    Action.IDENTITY_SERVICE_CREATED: Severity.MEDIUM,
    Action.IDENTITY_SERVICE_REVOKED: Severity.MEDIUM,
    Action.IDENTITY_SERVICE_ROTATED: Severity.MEDIUM,
    Action.IDENTITY_SESSION_ENDED: Severity.LOW,
    Action.IDENTITY_SESSION_REUSED: Severity.CRITICAL,
    Action.IDENTITY_SESSION_STARTED: Severity.LOW,
    Action.IDENTITY_SIGNING_KEY_MADE: Severity.LOW,
    Action.IDENTITY_SIGNING_KEY_RETIRED: Severity.LOW,
    Action.IDENTITY_STEP_UP_FAILED: Severity.MEDIUM,
    Action.IDENTITY_STEP_UP_SUCCEEDED: Severity.LOW,
    Action.KEYS_AUTHORITY_CHANGED: Severity.HIGH,
    Action.KEYS_CERTIFICATE_ISSUED: Severity.MEDIUM,
    Action.KEYS_CERTIFICATE_REVOKED: Severity.HIGH,
    Action.KEYS_DATA_KEY_CREATED: Severity.LOW,
    Action.KEYS_DATA_KEY_DESTROYED: Severity.MEDIUM,
    Action.KEYS_DATA_KEY_ROTATED: Severity.LOW,
    Action.KEYS_RESEAL_STARTED: Severity.LOW,
    Action.KEYS_ROOT_ROTATED: Severity.HIGH,
    Action.KEYS_SECRET_ROTATED: Severity.MEDIUM,
    Action.PAYMENTS_BRAKES_CHANGED: Severity.MEDIUM,
    Action.PAYMENTS_CARD_TESTING_ENDED: Severity.LOW,
    Action.PAYMENTS_CARD_TESTING_NOTICED: Severity.HIGH,
    Action.PAYMENTS_LIST_CHANGED: Severity.MEDIUM,
    Action.PAYMENTS_CONNECTION_CHANGED: Severity.MEDIUM,
    Action.PAYMENTS_CONNECTION_CREATED: Severity.MEDIUM,
    Action.PAYMENTS_CONNECTION_DISABLED: Severity.MEDIUM,
    Action.PAYMENTS_CONNECTION_ROTATED: Severity.MEDIUM,
    Action.PAYMENTS_BIN_RANGES_LOADED: Severity.LOW,
    Action.PAYMENTS_CUSTOMER_ERASED: Severity.LOW,
    Action.PAYMENTS_RETRY_POLICY_CHANGED: Severity.LOW,
    Action.PAYMENTS_ROUTING_ACTIVATED: Severity.MEDIUM,
    Action.PAYMENTS_ROUTING_REVISED: Severity.LOW,
    Action.VAULT_ACCESS_RULE_CHANGED: Severity.HIGH,
    # A container's retention deletes cards.
    Action.VAULT_CONTAINER_CHANGED: Severity.MEDIUM,
    Action.VAULT_BACKUP_MADE: Severity.MEDIUM,
    Action.VAULT_BACKUP_RESTORED: Severity.CRITICAL,
    Action.VAULT_CONNECTION_CHANGED: Severity.MEDIUM,
    Action.VAULT_CONNECTION_CREATED: Severity.MEDIUM,
    Action.VAULT_CONNECTION_DISABLED: Severity.MEDIUM,
    Action.VAULT_CONNECTION_ROTATED: Severity.MEDIUM,
    Action.VAULT_DESTINATION_CHANGED: Severity.HIGH,
    Action.VAULT_DESTINATION_CREATED: Severity.HIGH,
    Action.VAULT_DESTINATION_DISABLED: Severity.MEDIUM,
    Action.VAULT_ERASURE_COMPLETED: Severity.MEDIUM,
    Action.VAULT_ERASURE_REQUESTED: Severity.MEDIUM,
    Action.VAULT_EXPORT_ENDED: Severity.HIGH,
    Action.VAULT_EXPORT_STARTED: Severity.CRITICAL,
    Action.VAULT_HONEYTOKEN_CREATED: Severity.LOW,
    Action.VAULT_HONEYTOKEN_USED: Severity.HIGH,
    Action.VAULT_IMPORT_STARTED: Severity.MEDIUM,
    Action.VAULT_OPENING_FAILED: Severity.HIGH,
    Action.VAULT_RESEAL_STARTED: Severity.LOW,
    Action.VAULT_RETOKENIZATION_ENDED: Severity.MEDIUM,
    Action.VAULT_RETOKENIZATION_STARTED: Severity.HIGH,
    Action.VAULT_REVEAL_ALARMED: Severity.CRITICAL,
    Action.VAULT_REVEAL_RESUMED: Severity.HIGH,
    Action.VAULT_TOKEN_REPLACED: Severity.LOW,
    Action.VAULT_TOKEN_REVEALED: Severity.HIGH,
    Action.WEBHOOKS_ENDPOINT_CHANGED: Severity.MEDIUM,
    Action.WEBHOOKS_ENDPOINT_CREATED: Severity.MEDIUM,
    Action.WEBHOOKS_ENDPOINT_DELETED: Severity.LOW,
    Action.WEBHOOKS_ENDPOINT_DISABLED: Severity.MEDIUM,
    Action.WEBHOOKS_ENDPOINT_ROTATED: Severity.MEDIUM,
}


def severity_of(action: Action) -> Severity | None:
    """Return how grave an act is; None for ordinary business. Fails towards telling."""
    if action in ORDINARY:
        return None
    return SEVERITY.get(action, Severity.MEDIUM)
