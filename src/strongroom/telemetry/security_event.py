# SPDX-License-Identifier: Apache-2.0
"""A security event, as a value: apart from what prints it, because the audit log's front door stays light."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that somebody who watches over security is told."""

    action: str
    #: `low`, `medium`, `high` or `critical`.
    severity: str
    actor: str
    merchant: str | None
    thing: str | None
    outcome: str
    audit_event_id: str
    leaf_hash: bytes
