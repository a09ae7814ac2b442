# SPDX-License-Identifier: Apache-2.0
"""Looks whether a key is overdue to be rotated (PCI DSS 3.7.4), and says so: metrics, and a line in the log."""

from collections.abc import Sequence
from typing import Final

from strongroom.compose.process import Process
from strongroom.compose.vault_work import periods_of
from strongroom.db.logins import Domain
from strongroom.jobs import Task
from strongroom.keys import Purpose
from strongroom.keys.store import PostgresDataKeyTable

WATCH_SECONDS: Final = 900.0


class KeyPeriodWatch:
    """Over the keys of some roots in one database, and over those roots."""

    def __init__(
        self,
        process: Process,
        domain: Domain,
        table: PostgresDataKeyTable,
        purposes: Sequence[Purpose],
    ) -> None:
        self._process = process
        self._domain = domain
        self._table = table
        self._purposes = purposes
        self._known: set[str] = set()

    async def look(self) -> None:
        """Look once. Every process of the role says the same; whoever is told counts the alert once."""
        periods, now = periods_of(self._process), self._process.site.clock.now()
        ages: dict[str, float] = dict.fromkeys(self._known, 0.0)
        overdue: dict[str, int] = dict.fromkeys(self._known, 0)
        async for row in self._table.everybodys(self._purposes):
            due = periods.rotates_at(row)
            if due is not None:
                age = (now - row.made_at).total_seconds()
                ages[row.name] = max(ages.get(row.name, 0.0), age)
                overdue[row.name] = overdue.get(row.name, 0) + (due <= now)
        for root in await (await self._process.key_store()).describe():
            if root.purpose in self._purposes:
                name = f"root:{root.purpose}"
                ages[name] = (now - root.created).total_seconds()
                overdue[name] = int(periods.root_rotates_at(root) <= now)
        self._say(ages, overdue)

    def _say(self, ages: dict[str, float], overdue: dict[str, int]) -> None:
        site = self._process.site
        for name, age in ages.items():
            site.metrics.keys.age.labels(self._domain, name).set(age)
            site.metrics.keys.overdue.labels(self._domain, name).set(overdue[name])
            if overdue[name]:
                site.log.emit(
                    "warning", "keys.overdue", {"key_purpose": name, "total": overdue[name]}
                )
        self._known |= ages.keys()


def watch_periods(
    process: Process, domain: Domain, table: PostgresDataKeyTable, purposes: Sequence[Purpose]
) -> None:
    """Watch from here on."""
    watch = KeyPeriodWatch(process, domain, table, purposes)
    process.periodic([Task(f"key-periods-{domain}", WATCH_SECONDS, watch.look)])
