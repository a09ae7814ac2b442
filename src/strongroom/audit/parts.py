# SPDX-License-Identifier: Apache-2.0
"""What works on one database's log under the sealer's login: its sealer, its operators' view, its exporter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from strongroom.audit.exporting import Exporter
from strongroom.audit.overview import Overview
from strongroom.audit.ports import SecurityStream, Sink
from strongroom.audit.seal import Sealer
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.keys import DataKeys
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import AuditMetrics


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogParts:
    """What all of them stand on. `tree` is the log's name for people, `origin` that of its first generation."""

    database: Database
    keys: DataKeys
    sinks: Sequence[Sink]
    clock: Clock
    tree: str
    origin: str
    log: Log
    metrics: AuditMetrics
    stream: SecurityStream | None = None

    def sealer(self) -> Sealer:
        """Make a sealer that does nothing until it is told to; whoever asked closes it."""
        return Sealer(
            self.database,
            self.keys,
            sinks=self.sinks,
            clock=self.clock,
            tree=self.tree,
            origin=self.origin,
            log=self.log,
            metrics=self.metrics,
            stream=self.stream,
        )

    def overview(self) -> Overview:
        """Make the operators' view."""
        return Overview(
            self.database,
            self.keys,
            self.clock,
            sinks=self.sinks,
            tree=self.tree,
            origin=self.origin,
        )

    def exporter(self) -> Exporter:
        """Make the exporter."""
        return Exporter(
            self.database,
            self.keys,
            self.clock,
            tree=self.tree,
            origin=self.origin,
            stream=self.stream,
        )
