# SPDX-License-Identifier: Apache-2.0
"""Joins what watches over access: approvals, break-glass, reviews, and when keys were used."""

from collections.abc import Mapping
from typing import Any, Final

from strongroom.audit import Recorder
from strongroom.compose.process import Process
from strongroom.compose.site import platform_secret
from strongroom.db.pool import Database
from strongroom.identity.access.break_glass import BreakGlass
from strongroom.identity.access.ending import Ends
from strongroom.identity.access.reviews import AccessReviews
from strongroom.identity.access.subjects import SOURCES
from strongroom.identity.access.unused import WATCH_SECONDS, AccessWatch
from strongroom.identity.approvals.gate import ApprovalGate
from strongroom.identity.approvals.service import ApprovalService
from strongroom.identity.tenants import EveryTenant
from strongroom.jobs import Task
from strongroom.keys import KeyName
from strongroom.keys.keyring import Keyring

EXPIRY_SECONDS: Final = 30.0
FORGET_SECONDS: Final = 3_600.0
#: With the second that every process takes to read what no longer holds: two.
BREAK_GLASS_SECONDS: Final = 1.0


def reviews_of(process: Process, database: Database, recorder: Recorder) -> AccessReviews:
    """Return the reviews of access. What else has access joins `SOURCES` here."""
    return AccessReviews(database, recorder, process.site.clock, SOURCES, EveryTenant(database))


async def gate_of(
    process: Process, database: Database, keyring: Keyring, recorder: Recorder
) -> ApprovalGate:
    """Return what stands before a listener's marked routes, under that listener's login (`state.approvals`).

    The gateway, the vault and the console have one: each with a core login that may ask for approvals and use them
    (db/grants/core.sql), a keyring that opens `Purpose.IDENTITY`, and a recorder of the core database.
    """
    key = await platform_secret(keyring, KeyName.APPROVAL_FINGERPRINT)
    return ApprovalGate(database, key, recorder, process.site.clock)


async def console_state(
    process: Process,
    database: Database,
    keyring: Keyring,
    recorder: Recorder,
    sessions: Ends,
) -> Mapping[str, Any]:
    """Compose what the console's routes about access stand on, and start the jobs that look after it."""
    clock = process.site.clock
    tenants = EveryTenant(database)
    approvals = ApprovalService(database, recorder, clock)
    glass = BreakGlass(database, recorder, clock, sessions)
    reviews = reviews_of(process, database, recorder)
    watch = AccessWatch(
        database=database,
        recorder=recorder,
        clock=clock,
        sessions=sessions,
        tenants=tenants,
        reviews=reviews,
        metrics=process.site.metrics.security,
    )
    process.periodic(
        [
            Task("approvals", EXPIRY_SECONDS, approvals.expire_past),
            Task("approvals-forgotten", FORGET_SECONDS, approvals.forget_abouts),
            Task("break-glass", BREAK_GLASS_SECONDS, glass.end_past),
            Task("unused-access", WATCH_SECONDS, watch.look),
        ]
    )
    return {
        "break_glass": glass,
        "access_reviews": reviews,
        "access_watch": watch,
        "approvals": await gate_of(process, database, keyring, recorder),
        "approval_service": approvals,
    }
