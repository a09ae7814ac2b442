# SPDX-License-Identifier: Apache-2.0
"""What a refusal of our own does to a payment: it is declined by us, no attempt is made, nothing is sent. Pure."""

from dataclasses import replace
from typing import Final

import msgspec

from strongroom.kernel.events import EventType
from strongroom.payments.brakes.decisions import BLOCKED
from strongroom.payments.brakes.model import Brake, Tripped
from strongroom.payments.decisions import Asking, Card, Decided
from strongroom.payments.declines import ADVICE, Advice, DeclineCode
from strongroom.payments.model import Loaded
from strongroom.payments.states import moved
from strongroom.payments.wishes import start_authorization

CODE: Final = DeclineCode.BLOCKED_BY_MERCHANT
#: Authentication was asked for where nobody is there to prove anything.
NOT_AUTHENTICATED: Final = DeclineCode.AUTHENTICATION_REQUIRED


def refuse(loaded: Loaded, card: Card | None, asking: Asking, by: Tripped) -> Decided:
    """Decline a payment instead of asking a processor.

    It is as after a decline of a processor's: another card may be tried. Which brake it was stands in the audit log.

    Raises:
        PaymentNotReady, PaymentUnresolved, Invalid: it could not be charged anyhow (`start_authorization`).
    """
    started = start_authorization(loaded, card, asking)
    code = NOT_AUTHENTICATED if by.action is Brake.AUTHENTICATE else CODE
    advice = Advice.NEVER if by.name == BLOCKED else ADVICE[code]
    declined = msgspec.structs.replace(
        started.payment,
        token_id=None,
        connection_id=loaded.payment.connection_id,
        decline_code=code.value,
        advice=advice.value,
        status=loaded.payment.status,
    )
    return replace(
        started,
        payment=moved(declined, loaded.attempts),
        attempts=(),
        happened=(EventType.PAYMENT_DECLINED,),
    )
