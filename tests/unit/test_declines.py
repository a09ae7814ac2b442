# SPDX-License-Identifier: Apache-2.0
"""Every decline has one advice, and the simulator declines in the vocabulary that merchants see."""

from strongroom.payments.declines import ADVICE, DeclineCode
from strongroom.simulator import cards


def test_every_decline_says_what_may_be_done() -> None:
    assert set(ADVICE) == set(DeclineCode)


def test_the_simulator_speaks_the_vocabulary() -> None:
    assert {
        DeclineCode(code): advice for code, advice in cards.ADVICE.items()
    }.items() <= ADVICE.items()
