# SPDX-License-Identifier: Apache-2.0
"""Where the certificates of the vault's internal port are: the files that are set, else those of `strongroom pki`."""

from dataclasses import dataclass
from pathlib import Path

from strongroom.config.roles import ServedRole
from strongroom.config.settings import Settings


@dataclass(frozen=True, slots=True)
class InternalFiles:
    """PEM files of one role on an internal port."""

    authorities: Path
    certificate: Path
    key: Path
    revoked: tuple[Path, ...] = ()

    @property
    def watched(self) -> tuple[Path, ...]:
        """What a change of makes another certificate."""
        return (self.authorities, self.certificate, self.key, *self.revoked)


def port_folder(settings: Settings) -> Path:
    """Return where `strongroom pki` keeps the vault's internal port."""
    return settings.state / "pki" / "vault"


def internal_files(settings: Settings, role: ServedRole) -> InternalFiles:
    """Return what a role shows on the vault's internal port, and whom it takes. Looks for no file but the lists."""
    folder = port_folder(settings)
    name = "server" if role is ServedRole.VAULT else role.value
    return InternalFiles(
        settings.internal_ca or folder / "authorities.pem",
        settings.internal_certificate or folder / f"{name}.pem",
        settings.internal_key or folder / f"{name}.key",
        settings.internal_crl or tuple(sorted(folder.glob("revoked-*.pem"))),
    )
