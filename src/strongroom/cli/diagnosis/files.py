# SPDX-License-Identifier: Apache-2.0
"""Looks at the state folder, the secrets in it, the key store and the certificate."""

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from strongroom.cli.diagnosis.finding import Finding, fail, ok, warn
from strongroom.cli.diagnosis.key_stores import place, remedy
from strongroom.cli.installation import CERTIFICATE_LEFT_MIN, Installation
from strongroom.config import KeyStoreName
from strongroom.config.roles import ServedRole
from strongroom.crypto import CertificateUnreadable, certificate_expiry
from strongroom.db.logins import Login
from strongroom.kernel.errors import StrongroomError
from strongroom.keys import SecretsMissing, roots_of

INITIALISE: Final = "strongroom init"
_OTHERS_WRITE: Final = 0o022
_OTHERS_READ: Final = 0o044
_OTHERS_PASS: Final = 0o001
_OTHERS: Final = 0o077
#: A certificate that someone must fetch needs more notice than one that we make.
_NOTICE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that must be there and be its owner's alone."""

    path: Path
    what: str
    #: What to do where it is gone.
    bring_back: str


def state_folder(here: Installation) -> list[Finding]:
    """Look at who may enter what."""
    settings = here.settings
    folder = settings.state
    if not folder.is_dir():
        return [fail("files.state", f"{folder} is not there: nothing is initialised", INITIALISE)]
    as_root = os.geteuid() == 0
    guest = as_root and here.uses_embedded
    found = _folder(folder, 0o711 if guest else 0o700, guest=guest)
    for inside in (settings.login_folder, folder / "keys", folder / "tls"):
        found += _private_folder(inside)
    return found or [ok("files.state", f"{folder} is closed to others")]


def _folder(folder: Path, wanted: int, *, guest: bool) -> list[Finding]:
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    remedy = f"chmod {wanted:04o} {_quoted(folder)}"
    if status.st_uid != os.geteuid():
        return [
            fail(
                "files.state",
                f"{folder} belongs to another account (uid {status.st_uid}): run as that one",
                f"sudo -u '#{status.st_uid}' strongroom doctor",
            )
        ]
    if mode & _OTHERS_WRITE:
        return [fail("files.state", f"other accounts may write to {folder} ({mode:04o})", remedy)]
    if guest and not mode & _OTHERS_PASS:
        return [
            fail(
                "files.state",
                f"the database's account may not pass through {folder} ({mode:04o})",
                remedy,
            )
        ]
    if mode & _OTHERS_READ:
        return [warn("files.state", f"other accounts may list {folder} ({mode:04o})", remedy)]
    return []


def _private_folder(folder: Path) -> list[Finding]:
    if not folder.is_dir():
        return [fail("files.state", f"{folder} is not there", INITIALISE)]
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS:
        return [
            fail(
                "files.state",
                f"other accounts may enter {folder} ({mode:04o})",
                f"chmod 0700 {_quoted(folder)}",
            )
        ]
    return []


_MAKE_ANEW: Final = "have a new one made: docs/howto/use-openbao-transit.md"


def secret_files(here: Installation) -> list[SecretFile]:
    """Name every file of this installation that is a secret."""
    settings = here.settings
    keys, tls = settings.state / "keys", settings.state / "tls"
    found = [
        SecretFile(
            settings.login_folder / login,
            f"the password of the login {login}",
            INITIALISE if here.uses_embedded else f"{INITIALISE} --administrator URL",
        )
        for login in (Login if settings.login_passwords is None else ())
    ]
    # Made anew these would be other ones: what was sealed with the old ones would stay sealed for ever.
    if settings.key_store is KeyStoreName.FILE:
        if here.uses_default_secret:
            path = keys / "passphrase"
            found.append(SecretFile(path, "the passphrase of the key file", _from_backup(path)))
        path = keys / "roots.sealed"
        found.append(SecretFile(path, "the key file", _from_backup(path)))
        # Parts of the one above, made anew from it.
        apart = [role for role in ServedRole if (keys / f"{role}.passphrase").exists()]
        for role in ServedRole if apart else ():
            for kind, what in (("sealed", "key file"), ("passphrase", "passphrase")):
                path = keys / f"{role}.{kind}"
                found.append(
                    SecretFile(path, f"the {what} of the role {role}", "strongroom pki init")
                )
    if settings.transit_secret_id_file is not None:
        path = settings.transit_secret_id_file
        found.append(SecretFile(path, "the SecretID of the Transit store", _MAKE_ANEW))
    if not settings.plain_http and settings.tls_key is not None:
        found.append(
            SecretFile(settings.tls_key, "the key of the certificate", "set STRONGROOM_TLS_KEY")
        )
    elif not settings.plain_http:
        again = f"rm -f {_quoted(tls / 'server.pem')} && {INITIALISE}"
        found.append(SecretFile(tls / "server.key", "the key of the certificate", again))
        found.append(SecretFile(tls / "ca.key", "the key of the local authority", again))
    return found


def _from_backup(path: Path) -> str:
    return f"restore {path} from your backup; without it nothing that is sealed opens again"


def secrets(files: Sequence[SecretFile]) -> list[Finding]:
    """Look whether each secret is there and its owner's alone."""
    found: list[Finding] = []
    for file in files:
        name = "files.secret"
        try:
            status = file.path.stat()
        except OSError as error:
            sentence = f"{file.what} cannot be read ({file.path}: {error.strerror})"
            found.append(fail(name, sentence, file.bring_back))
            continue
        mode = stat.S_IMODE(status.st_mode)
        if mode & _OTHERS:
            sentence = f"{file.what} is open to other accounts ({file.path}, {mode:04o})"
            found.append(fail(name, sentence, f"chmod 0600 {_quoted(file.path)}"))
        elif status.st_uid != os.geteuid():
            sentence = f"{file.what} belongs to another account (uid {status.st_uid})"
            found.append(fail(name, sentence, f"chown {os.geteuid()} {_quoted(file.path)}"))
        elif status.st_size == 0:
            found.append(fail(name, f"{file.what} is empty ({file.path})", file.bring_back))
    return found or [ok("files.secret", f"{len(files)} secret files, each its owner's alone")]


def references(here: Installation) -> list[Finding]:
    """Follow the references to secrets that are kept elsewhere."""
    from strongroom.compose import wanted_secrets

    name = "secrets.elsewhere"
    try:
        _ = here.secrets
    except SecretsMissing as missing:
        return [
            fail(name, f"{setting}: {fault}", "strongroom secret list, once it is mended")
            for setting, fault in missing.faults.items()
        ]
    wanted = wanted_secrets(here.settings, sorted(Login))
    return [ok(name, f"{len(wanted)} secrets that are kept elsewhere are read")] if wanted else []


async def key_store(here: Installation) -> list[Finding]:
    """Open the key store and ask for its roots."""
    from strongroom.compose import open_key_store

    name, settings = "keys.store", here.settings
    try:
        store = await open_key_store(settings, here.passphrase(), purposes=roots_of(here.roles))
    except StrongroomError as error:
        return [fail(name, error.detail.rstrip("."), remedy(settings, error))]
    try:
        roots = await store.describe()
    except StrongroomError as error:
        return [fail(name, error.detail.rstrip("."), remedy(settings, error))]
    finally:
        await store.close()
    off = sorted(root.purpose for root in roots if not root.enabled)
    if off:
        return [fail(name, f"roots are disabled: {', '.join(off)}", "enable them in the key store")]
    return [ok(name, f"the key store ({place(settings)}) opens and holds {len(roots)} roots")]


def certificate(here: Installation, now: datetime) -> list[Finding]:
    """Look at the certificate, its key and how long it lasts."""
    settings, name = here.settings, "tls.certificate"
    if settings.plain_http:
        return [warn(name, "TLS is off (STRONGROOM_PLAIN_HTTP)", "unset STRONGROOM_PLAIN_HTTP")]
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        return [
            fail(
                name,
                "only one of STRONGROOM_TLS_CERTIFICATE and STRONGROOM_TLS_KEY is set",
                "set both, or none for a local certificate",
            )
        ]
    own = settings.tls_certificate is None or settings.tls_key is None
    folder = settings.state / "tls"
    path = settings.tls_certificate or folder / "server.pem"
    key = settings.tls_key or folder / "server.key"
    again = f"rm -f {_quoted(path)} && {INITIALISE}" if own else "set STRONGROOM_TLS_CERTIFICATE"
    try:
        expiry = certificate_expiry(path.read_bytes())
    except OSError as error:
        return [fail(name, f"{path}: {error.strerror}", again)]
    except CertificateUnreadable:
        return [fail(name, f"{path} is not a certificate in PEM", again)]
    if key.exists() and not _belong_together(path, key):
        return [fail(name, f"{key} is not the key of {path}", again)]
    day = f"{expiry:%Y-%m-%d}"
    if expiry <= now:
        return [fail(name, f"the certificate ended on {day}", again)]
    if expiry < now + (CERTIFICATE_LEFT_MIN if own else _NOTICE):
        remedy = f"{INITIALISE} && restart strongroom serve" if own else f"renew {path}"
        return [warn(name, f"the certificate ends soon, on {day}", remedy)]
    return [ok(name, f"the certificate lasts until {day}")]


def _belong_together(certificate_file: Path, key: Path) -> bool:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key)
    except OSError:  # an ssl.SSLError is one
        return False
    return True


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
