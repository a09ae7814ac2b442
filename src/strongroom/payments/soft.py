# SPDX-License-Identifier: Apache-2.0
"""Which declines may be better later. Pure."""

from strongroom.payments.declines import Advice
from strongroom.payments.model import Attempt, Operation, Outcome


def is_soft_decline(attempt: Attempt) -> bool:
    """Tell whether an attempt was declined with the advice to try later; a verification holds nothing to try for."""
    return (
        attempt.operation in (Operation.AUTHORIZE, Operation.SALE)
        and attempt.outcome is Outcome.DECLINED
        and attempt.advice == Advice.LATER.value
    )
