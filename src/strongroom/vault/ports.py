# SPDX-License-Identifier: Apache-2.0
"""The vault as its routes see it."""

from dataclasses import dataclass

from strongroom.audit import Recorder
from strongroom.kernel.clock import Clock
from strongroom.telemetry.metrics import VaultMetrics
from strongroom.vault.bulk import BulkMaker
from strongroom.vault.changes import TokenChanger
from strongroom.vault.containers.feed import RuleFeed
from strongroom.vault.create import TokenMaker
from strongroom.vault.search.service import TokenSearch
from strongroom.vault.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Vault:
    """The parts that routes call; `compose` joins them."""

    maker: TokenMaker
    bulk: BulkMaker
    tokens: Tokens
    recorder: Recorder
    clock: Clock
    metrics: VaultMetrics
    rules: RuleFeed
    changer: TokenChanger
    search: TokenSearch
