# SPDX-License-Identifier: Apache-2.0
"""The one door to OpenPGP (RFC 9580): make import keys, seal for a receiver, open a message as a stream.

A message is opened by a child process, because the library works from file to file and holds the interpreter meanwhile:
pipes in, pipes out, nothing on a disk, its memory and processor time bounded. The child dumps no core and no debugger
reads it, as the vault itself.
"""

import asyncio
import contextlib
import os
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TypeVar

import pysequoia

from strongroom.kernel.ids import ImportKeyId
from strongroom.kernel.invariant import Bug
from strongroom.kernel.secret import Secret
from strongroom.vault.transfer.errors import ContentRefused, RecipientRefused
from strongroom.vault.transfer.model import CLEAR_PER_SEALED_MAX

Pipe = TypeVar("Pipe")
_READ_BYTES: Final = 64 * 1024
#: By its path: as a module it would load the whole vault first.
_CHILD: Final = Path(__file__).with_name("pgp_child.py")
#: Any message may have so much in clear, however short it is.
_CLEAR_BYTES_FREE: Final = 1024 * 1024
_CERTIFICATE_BYTES_MAX: Final = 12 * 1024


class MessageRefused(ContentRefused):
    """This is no OpenPGP message that was sealed for an import key of this tenant, or it was cut or altered."""

    def __init__(self, problem: str = "pgp_refused") -> None:
        super().__init__(problem, (type(self).__doc__ or "").strip())


def make_key(key_id: ImportKeyId) -> tuple[Secret[bytes], str]:
    """Make a key: its private part, and its certificate, armored."""
    made = pysequoia.Tsk.generate(user_id=f"Strongroom import key {key_id}")
    return Secret(bytes(made)), str(made.extract_certificate())


class Recipient:
    """A receiver that has an OpenPGP certificate."""

    def __init__(self, given: str) -> None:
        """Take a certificate.

        Raises:
            RecipientRefused: it is none, has no key that can encrypt now, is revoked, or brings a private key.
        """
        try:
            with warnings.catch_warnings(action="ignore"):
                certificate = pysequoia.Cert.from_bytes(
                    given.encode()[: _CERTIFICATE_BYTES_MAX + 1]
                )
                private = certificate.has_secret_keys
            pysequoia.encrypt(b"", recipients=[certificate])
        except Exception:  # noqa: BLE001 - the library's errors are of no type, and hold its back trace
            raise RecipientRefused from None
        if private or certificate.is_revoked:
            raise RecipientRefused
        self._certificate = certificate
        self.fingerprint = certificate.fingerprint

    def seal(self, clear: bytes) -> bytes:
        """Return a binary OpenPGP message that only the receiver opens."""
        return bytes(pysequoia.encrypt(clear, recipients=[self._certificate], armor=False))


async def open_stream(sealed: AsyncIterator[bytes], key: Secret[bytes]) -> AsyncIterator[bytes]:
    """Yield what a message holds, as it is opened; whoever stops early ends the child.

    What is yielded before the end may turn out to be of a message that was cut: who writes it down reads it twice.

    Raises:
        MessageRefused: `pgp_refused`, or `pgp_bomb`: it swells to more than `CLEAR_PER_SEALED_MAX` times its size.
    """
    reading, writing = os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_CHILD),
            str(reading),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(reading,),
            env={},
            limit=_READ_BYTES,
        )
    finally:
        os.close(reading)
    with os.fdopen(writing, "wb") as secret, contextlib.suppress(BrokenPipeError):
        secret.write(key.expose())
    fed = _Fed()
    feeding = asyncio.create_task(fed.feed(sealed, child))
    given = 0
    try:
        while part := await present(child.stdout).read(_READ_BYTES):
            given += len(part)
            if given > _CLEAR_BYTES_FREE + CLEAR_PER_SEALED_MAX * fed.bytes:
                raise MessageRefused("pgp_bomb")
            yield part
        await feeding
        if await child.wait() != 0:
            raise MessageRefused
    finally:
        feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        while await present(child.stdout).read(_READ_BYTES):
            pass  # what is left in the pipe, so that it closes
        await asyncio.gather(feeding, child.wait(), return_exceptions=True)


def present(pipe: Pipe | None) -> Pipe:
    """Return a pipe that was asked for."""
    if pipe is None:
        raise Bug("a child was asked for its pipes")
    return pipe


class _Fed:
    """Hands a message to the child."""

    def __init__(self) -> None:
        self.bytes = 0

    async def feed(self, sealed: AsyncIterator[bytes], child: asyncio.subprocess.Process) -> None:
        given = present(child.stdin)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            async for part in sealed:
                self.bytes += len(part)
                given.write(part)
                await given.drain()
            given.close()
