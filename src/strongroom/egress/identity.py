# SPDX-License-Identifier: Apache-2.0
"""A client's certificate, for destinations that ask for one. Its key is never in a file.

Python reads certificates from paths only: they stand in anonymous memory for the moment of reading (`memfd_create`,
Linux), which no other process has a name for.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from strongroom.egress.errors import IdentityUnusable
from strongroom.kernel.secret import Secret

_FLAGS: Final = getattr(os, "MFD_CLOEXEC", 0)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TlsIdentity:
    """A certificate with its chain, and its private key, both PEM. Two are the same only where they are one object."""

    certificate: str = field(repr=False)
    private_key: Secret[str] = field(repr=False)


def with_identity(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Let a context show a certificate.

    Raises:
        IdentityUnusable: the two do not belong together, are not PEM, are encrypted, or this machine has no way to
            read them out of memory.
    """
    with (
        _in_memory(identity.certificate) as certificate,
        _in_memory(identity.private_key.expose()) as key,
    ):
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError):  # an ssl.SSLError is an OSError
            raise IdentityUnusable from None


def require_usable(identity: TlsIdentity) -> None:
    """Refuse a certificate that could not be shown. Raises as `with_identity`."""
    with_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)


def _no_password() -> str:
    """OpenSSL would ask the terminal for the passphrase of an encrypted key."""
    raise ValueError("the key is encrypted")


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    make = getattr(os, "memfd_create", None)
    if make is None or not Path("/proc/self/fd").is_dir():
        raise IdentityUnusable("client certificates need Linux here")
    number = make("identity", _FLAGS)
    try:
        os.write(number, text.encode())
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)
