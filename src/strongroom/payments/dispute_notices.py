# SPDX-License-Identifier: Apache-2.0
"""What a verified notice tells of a dispute, applied to its payment. A processor's signed word is believed.

A dispute that comes before its capture is known waits a few looks for it; then it is recorded whatever the sums say,
because the time in which evidence helps has begun.
"""

from dataclasses import replace
from typing import Final

from strongroom.audit import Origin
from strongroom.crypto.ids import new_id
from strongroom.jobs import Claimed
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import DisputeId, is_id
from strongroom.payments.changes import Changes
from strongroom.payments.decisions import Decided
from strongroom.payments.disputes import Opening, settle_dispute
from strongroom.payments.disputes_reading import Disputes
from strongroom.payments.model import Attempt, Connection, DisputeTold, Loaded, Operation
from strongroom.payments.ports import Report
from strongroom.payments.records import NOTICE, NOTICES, Act, Extras, Scribe
from strongroom.payments.store import Change, JobChange, NoticeDone
from strongroom.telemetry.log import Log
from strongroom.telemetry.work_metrics import PaymentMetrics

#: How often a notice is looked at again while a capture's outcome is not known.
LOOKS_MAX: Final = 3
#: What the notice came to.
BELIEVED: Final = "believed"
AGREES: Final = "agrees"
LATER: Final = "later"
DIFFERS: Final = "differs"
UNCORRELATED: Final = "uncorrelated"
_TAKES: Final = frozenset({Operation.CAPTURE, Operation.SALE})


class DisputeNotices:
    """The worker's side of disputes."""

    def __init__(
        self,
        changes: Changes,
        disputes: Disputes,
        scribe: Scribe,
        clock: Clock,
        log: Log,
        metrics: PaymentMetrics,
    ) -> None:
        self._changes = changes
        self._disputes = disputes
        self._scribe = scribe
        self._clock = clock
        self._log = log
        self._metrics = metrics

    async def tell(self, job: Claimed, connection: Connection, report: Report) -> str:
        """Apply what a notice tells. Returns the word for it; of BELIEVED the notice is marked in the same commit."""
        told = report.dispute
        loaded = None if told is None else await self._correlated(connection, report, told)
        if told is None or loaded is None:
            return UNCORRELATED
        if _captures(loaded) and job.tries <= LOOKS_MAX:
            return LATER
        saw: list[Decided] = []
        opening = Opening(DisputeId(new_id("dsp")), connection.connection_id, self._clock.now())

        def decide(known: Loaded) -> tuple[Decided, Change] | None:
            saw.clear()
            now = self._clock.now()
            decided = settle_dispute(known, told, replace(opening, now=now))
            saw.append(decided)
            if not decided.changed:
                return None
            act = Act(NOTICES, Origin(), now)
            record = self._scribe.handled(known.payment, job.object_id, _word(decided), act)
            extras = Extras(
                notice=NoticeDone(job.object_id, _word(decided)),
                audit=[record],
                jobs=[JobChange(NOTICE, job.object_id, None)],
            )
            return decided, self._scribe.change(decided, act, extras)

        await self._changes.apply(loaded, decide)
        decided = saw[-1]
        if decided.discrepancy:
            self._alert(loaded, decided)
        if not decided.changed:
            return DIFFERS if decided.discrepancy else AGREES
        self._metrics.noticed(_word(decided))
        return BELIEVED

    async def _correlated(
        self, connection: Connection, report: Report, told: DisputeTold
    ) -> Loaded | None:
        """Return the payment that a dispute is about: by an attempt of ours, or by the processor's name of it."""
        if report.account not in (None, connection.account) or report.mode != connection.mode:
            return None
        merchant, mode = connection.merchant_id, connection.mode
        attempt_id: str | None = report.reference if is_id("att", report.reference) else None
        if attempt_id is None and told.payment is not None:
            attempt_id = await self._disputes.authorization(
                merchant, mode, connection.connection_id, told.payment
            )
        if attempt_id is None:
            return None
        loaded = await self._changes.reader.load(merchant, mode, None, also_attempt=attempt_id)
        attempt = None if loaded is None else loaded.attempt(attempt_id)
        if attempt is None or attempt.connection_id != connection.connection_id:
            return None
        return loaded

    def _alert(self, loaded: Loaded, decided: Decided) -> None:
        """Say that sums broke: counted once for each payment, told at every notice that says so."""
        if not loaded.payment.discrepancy and decided.changed:
            self._metrics.discrepancies.inc()
        self._log.emit(
            "critical",
            "payments.discrepancy",
            {
                "transaction_id": loaded.payment.payment_id,
                "merchant_id": loaded.payment.merchant_id,
            },
        )


def _captures(loaded: Loaded) -> bool:
    """Tell whether something is under way that takes money."""
    return any(_takes(each) for each in loaded.attempts)


def _takes(attempt: Attempt) -> bool:
    return attempt.is_open and attempt.operation in _TAKES


def _word(decided: Decided) -> str:
    """What is not applied but for the mark on its payment was not believed."""
    return BELIEVED if decided.disputes else DIFFERS
