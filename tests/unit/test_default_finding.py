# SPDX-License-Identifier: Apache-2.0
"""How an outcome is found at a connection that names no way: asking, or a replay that carries no card, or waiting."""

import pytest

from strongroom.payments.connections import surest
from strongroom.payments.model import Finding
from strongroom.payments.ports import Adapter
from strongroom.payments.processors.adyen import AdyenAdapter
from strongroom.payments.processors.checkout import CheckoutAdapter
from strongroom.payments.processors.simulator import SimulatorAdapter
from strongroom.payments.processors.stripe import StripeAdapter


class CannotBeAskedNorPrepared:
    """What it repeats carries a card, and nobody tells of it: the only way it has."""

    findings = frozenset({Finding.BY_REPLAY})


@pytest.mark.parametrize(
    ("adapter", "finding"),
    [
        (SimulatorAdapter(), Finding.BY_REFERENCE),
        (CheckoutAdapter(), Finding.BY_REFERENCE),
        (StripeAdapter(), Finding.BY_REPLAY),
        (AdyenAdapter(), Finding.BY_NOTICE),
        (CannotBeAskedNorPrepared(), Finding.BY_REPLAY),
    ],
)
def test_a_replay_with_a_card_in_it_comes_last(adapter: Adapter, finding: Finding) -> None:
    assert surest(adapter) is finding
