# SPDX-License-Identifier: Apache-2.0
"""Joins what watches over access: approvals, break-glass, reviews, and when keys were used."""

from collections.abc import Mapping
from typing import Any, Final

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.db.pool import Database
from strongroom.identity.approvals.gate import ApprovalGate
from strongroom.identity.approvals.service import ApprovalService
from strongroom.identity.tenants import EveryTenant
from strongroom.jobs import Task
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring

EXPIRY_SECONDS: Final = 30.0


async def gate_of(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder
) -> ApprovalGate:
    """Return what stands before a listener's marked routes, under that listener's login (`state.approvals`)."""
    key = await platform_secret(keyring, KeyName.APPROVAL_FINGERPRINT)
    return ApprovalGate(database, key, recorder, process.site.clock)


async def console_state(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder
) -> Mapping[str, Any]:
    """Compose what the console's routes about access stand on, and start the jobs that look after it."""
    clock = process.site.clock
    tenants = EveryTenant(database)
    approvals = ApprovalService(database, recorder, clock, tenants)
    process.periodic([Task("approvals", EXPIRY_SECONDS, approvals.expire_past)])
    return {
        "approvals": await gate_of(process, database, keyring, recorder),
        "approval_service": approvals,
    }
