# SPDX-License-Identifier: Apache-2.0
"""Why payments refuse.

Refused
├── NotThere
│   ├── PaymentUnknown
│   ├── RefundUnknown
│   └── AttemptUnknown
├── Conflict
│   ├── PaymentNotReady        its state does not allow this
│   ├── PaymentBusy            something is under way that must end first
│   ├── PaymentUnresolved      whether an earlier attempt happened is not known yet
│   └── IdempotencyKeySpent    the key made an attempt of this payment long ago
├── AmountBeyond      422      more than is left
├── CommandNotTaken   422      this processor does not take it; nothing was sent
├── NoConnection      422      no processor is connected
└── ConnectionRefused 422      a connection may not be that
"""

from strongroom.kernel.errors import Conflict, NotThere, Refused


class PaymentUnknown(NotThere):
    """There is no such payment."""

    code = "payment_unknown"


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
