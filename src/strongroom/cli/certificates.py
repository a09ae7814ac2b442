# SPDX-License-Identifier: Apache-2.0
"""Watches this process's certificates of the vault's internal port: serves with new ones, and says when they end.

The vault's server is taken over by another on the same port, and no request is lost. A caller needs nothing of this:
its client looks at the files before each connection.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from strongroom.config import Settings
from strongroom.config.internal import InternalFiles, internal_files
from strongroom.config.roles import CALLERS, ServedRole, asks_port, offers_port
from strongroom.crypto import CertificateUnreadable, certificate_expiries
from strongroom.http.server import AuthorityMissing, PortTaken, Servers
from strongroom.telemetry.log import Log
from strongroom.telemetry.metrics import Metrics

INTERNAL: Final = "vault_internal"
#: How often the files are looked at.
WATCH_SECONDS: Final = 1.0
#: How long the server before answers beside its successor: longer than callers keep an idle connection.
DRAIN_SECONDS: Final = 8.0
#: Likewise where somebody was revoked, who is out within two seconds of it. A call under way still ends; one that the
#: server before has not accepted is dropped before anything was sent, which is `not_sent`.
REVOKED_DRAIN_SECONDS: Final = 0.3

State = tuple[tuple[Path, int, int, int], ...]


class CertificateWatch:
    """The internal port's files, as one process sees them."""

    def __init__(
        self,
        settings: Settings,
        roles: frozenset[ServedRole],
        servers: Servers,
        metrics: Metrics,
        log: Log,
        *,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._settings = settings
        self._serves = offers_port(roles)
        callers = (
            [role for role in ServedRole if role in roles & CALLERS] if asks_port(roles) else []
        )
        #: Whose certificates are this process's: the server's, and the one that it calls with.
        self._mine = [*([ServedRole.VAULT] if self._serves else []), *callers[:1]]
        self._servers = servers
        self._metrics = metrics
        self._log = log
        self._drain_seconds = drain_seconds
        self._state = self._look_at()

    async def look(self) -> None:
        """Say when certificates end; where they are others, serve with them."""
        self._tell()
        state = self._look_at()
        if state == self._state or not self._serves:
            return
        files = internal_files(self._settings, ServedRole.VAULT)
        try:
            await self._servers.renew(
                INTERNAL,
                self._drain_for(state, files.revoked),
                files.authorities,
                files.revoked,
            )
        except (AuthorityMissing, PortTaken, OSError) as error:
            # Half written, or wrong: what serves goes on, and the next look tries again.
            self._log.emit(
                "warning", "certificates.not_renewed", {"error_class": type(error).__name__}
            )
            return
        self._state = state
        self._log.emit("info", "certificates.renewed", {"listener": INTERNAL})

    def _drain_for(self, state: State, revoked: Sequence[Path]) -> float:
        """Return how long the server before goes on: hardly, if a list of the revoked is another than it was."""
        before = {entry[0]: entry for entry in self._state}
        changed = {entry[0] for entry in state if before.get(entry[0], entry) != entry}
        return self._drain_seconds if changed.isdisjoint(revoked) else REVOKED_DRAIN_SECONDS

    def _look_at(self) -> State:
        found = []
        for file in sorted({file for files in self._files() for file in files.watched}):
            try:
                status = file.stat()
            except OSError:
                continue
            found.append((file, status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(found)

    def _files(self) -> Sequence[InternalFiles]:
        return [internal_files(self._settings, role) for role in self._mine]

    def _tell(self) -> None:
        for role, files in zip(self._mine, self._files(), strict=True):
            name = "server" if role is ServedRole.VAULT else role.value
            for label, file in ((name, files.certificate), ("authorities", files.authorities)):
                try:
                    ends = min(certificate_expiries(file.read_bytes()))
                except (OSError, CertificateUnreadable):
                    continue  # the health of whoever needs it says so
                self._metrics.certificate_ends.labels(label).set(ends.timestamp())
