# SPDX-License-Identifier: Apache-2.0
"""Looks at the certificates by which gateway and worker are known to the vault, where roles run apart."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Final

from strongroom.cli.authorities import DUE, NAMES
from strongroom.cli.diagnosis.files import SecretFile
from strongroom.cli.diagnosis.finding import Finding, fail, ok, warn
from strongroom.cli.installation import Installation
from strongroom.config.internal import port_folder
from strongroom.crypto import CertificateUnreadable, certificate_expiries

NAME: Final = "tls.internal"


def secret_files(here: Installation) -> list[SecretFile]:
    """Name the keys of the internal port that are here."""
    folder = port_folder(here.settings)
    return [
        SecretFile(
            key, f"the key {key.name} of the internal port", f"strongroom pki issue {key.stem}"
        )
        for key in sorted(folder.glob("*.key"))
    ]


def certificates(here: Installation, now: datetime) -> list[Finding]:
    """Look at how long each certificate of the internal port lasts; nothing is said where roles share a process."""
    folder = port_folder(here.settings)
    files = {name: folder / f"{name}.pem" for name in (*NAMES, "authorities")}
    present = {name: file for name, file in files.items() if file.exists()}
    found: list[Finding] = []
    for name, file in present.items():
        again = (
            "strongroom pki rotate --step trust"
            if name == "authorities"
            else f"strongroom pki issue {name}"
        )
        found += _one(name, file, now, again)
    if present and not found:
        return [ok(NAME, "the certificates of the internal port last")]
    return found


def _one(name: str, file: Path, now: datetime, again: str) -> list[Finding]:
    try:
        ends = min(certificate_expiries(file.read_bytes()))
    except OSError as error:
        return [fail(NAME, f"{file}: {error.strerror}", f"ls -l {shlex.quote(str(file))}")]
    except CertificateUnreadable:
        return [fail(NAME, f"{file} is not a certificate in PEM", again)]
    if ends <= now:
        return [
            fail(
                NAME, f"the certificate {name} of the internal port ended on {ends:%Y-%m-%d}", again
            )
        ]
    if ends < now + DUE:
        return [
            warn(
                NAME, f"the certificate {name} of the internal port ends on {ends:%Y-%m-%d}", again
            )
        ]
    return []
