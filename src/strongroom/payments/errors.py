# SPDX-License-Identifier: Apache-2.0
"""Why payments refuse.

Refused
├── NotThere
│   ├── PaymentUnknown
│   ├── DisputeUnknown
│   ├── RefundUnknown
│   ├── AttemptUnknown
│   ├── EntryUnknown
│   ├── IncidentUnknown
│   └── RulesUnknown
├── Conflict
│   ├── PaymentNotReady        its state does not allow this
│   ├── PaymentBusy            something is under way that must end first
│   ├── PaymentUnresolved      whether an earlier attempt happened is not known yet
│   ├── RulesChanged           somebody else changed the routing rules first
│   ├── BrakesChanged          somebody else has set the brakes meanwhile
│   ├── ListFull               no more entries may be put
│   └── IdempotencyKeySpent    the key made an attempt of this payment long ago
├── PaymentThrottled  429      the merchant's brakes let it wait; nothing was sent
├── AmountBeyond      422      more than is left
├── CommandNotTaken   422      this processor does not take it; nothing was sent
├── NoConnection      422      no processor is connected
└── ConnectionRefused 422      a connection may not be that

Unavailable
└── ConnectionsResting 503     those that a rule names do not answer at present
"""

from strongroom.kernel.errors import Conflict, NotThere, Refused, Unavailable


class PaymentUnknown(NotThere):
    """There is no such payment."""

    code = "payment_unknown"


class DisputeUnknown(NotThere):
    """There is no such dispute."""

    code = "dispute_unknown"


class RefundUnknown(NotThere):
    """There is no such refund."""

    code = "refund_unknown"


class AttemptUnknown(NotThere):
    """There is no such attempt."""

    code = "attempt_unknown"


class PaymentNotReady(Conflict):
    """The payment's present state does not allow this."""

    code = "payment_not_ready"


class PaymentBusy(Conflict):
    """Something is under way on this payment that must end first; ask again in a moment."""

    code = "payment_busy"


class PaymentUnresolved(Conflict):
    """Whether an earlier attempt of this payment happened is not known yet; nothing else is sent until it is."""

    code = "payment_unresolved"


class IdempotencyKeySpent(Conflict):
    """This Idempotency-Key made an attempt of this payment before, longer ago than answers are kept."""

    code = "idempotency_key_spent"


class PaymentThrottled(Refused):
    """The merchant's brakes let no more of these through for now; nothing was sent."""

    code = "payment_throttled"
    status = 429

    def __init__(self, retry_after_seconds: int = 1) -> None:
        super().__init__()
        #: When asking again may help.
        self.better_after_seconds = retry_after_seconds


class EntryUnknown(NotThere):
    """There is no such entry on either list."""

    code = "entry_unknown"


class IncidentUnknown(NotThere):
    """There is no such incident that lasts."""

    code = "incident_unknown"


class BrakesChanged(Conflict):
    """Somebody else has set the brakes since that version was read: read them again."""

    code = "brakes_changed"


class ListFull(Conflict):
    """The lists have as many entries as they may have; remove some, or let some expire."""

    code = "list_full"


class AmountBeyond(Refused):
    """The amount is more than what is left."""

    code = "amount_beyond_left"
    status = 422


class CommandNotTaken(Refused):
    """This processor does not take such a request; it was not sent."""

    code = "command_not_taken"
    status = 422


class NoConnection(Refused):
    """No processor is connected for this merchant and mode."""

    code = "no_connection"
    status = 422


class ConnectionRefused(Refused):
    """A connection may not be that."""

    code = "connection_refused"
    status = 422


class ConnectionsResting(Unavailable):
    """No connection that the merchant's rule names answers at present; nothing was sent. Ask again in a moment."""

    code = "connections_resting"


class RulesUnknown(NotThere):
    """There is no such version of routing rules."""

    code = "routing_rules_unknown"


class RulesChanged(Conflict):
    """Somebody else changed the routing rules meanwhile; read them, and change those."""

    code = "routing_rules_changed"
