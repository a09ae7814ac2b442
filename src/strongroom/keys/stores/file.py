# SPDX-License-Identifier: Apache-2.0
"""Roots in one file under a passphrase: for a laptop, a test and a first look, never for production.

Refuses a file that others can read. A wrapped key is format byte ‖ root version (4 bytes) ‖ sealed value.
"""

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from strongroom.crypto import (
    DATA_KEY_BYTES,
    Algorithm,
    CannotOpen,
    Sealer,
    encode_parts,
    open_with_passphrase,
    random_bytes,
    seal_with_passphrase,
)
from strongroom.kernel.secret import Secret
from strongroom.keys.context import bound_context, check_plaintext
from strongroom.keys.errors import (
    CannotUnwrap,
    KeyFileUnsafe,
    KeyStoreRefused,
    KeyStoreUnavailable,
)
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.purposes import Purpose

LARGEST_FILE_BYTES: Final = 1024 * 1024

_FILE_FORMAT: Final = 1
_FORMAT: Final = b"\x01"
_VERSION_BYTES: Final = 4
_HEADER_BYTES: Final = len(_FORMAT) + _VERSION_BYTES


class _Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Purpose
    version: int
    key: bytes
    made_at: datetime

    def __repr__(self) -> str:
        return f"_Root({self.purpose}, version={self.version})"


class _Roots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    roots: tuple[_Root, ...]


@dataclass(frozen=True, slots=True)
class _RootBinding:
    """Purpose, root version and context, as associated data."""

    purpose: str
    version: int
    context: Mapping[str, str]
    algorithm: Algorithm = Algorithm.A256GCM

    def encoded(self) -> bytes:
        entries = [text for entry in self.context.items() for text in entry]
        return encode_parts((self.algorithm, self.purpose, str(self.version), *entries))


class FileKeyStore:
    """Implements `KeyStore` over a passphrase-sealed file that was read once."""

    def __init__(self, path: Path, passphrase: Secret[str], roots: tuple[_Root, ...]) -> None:
        self._path = path
        self._passphrase = passphrase
        #: Versions that were looked for in the file and are not there: a forged row does not make us read it again.
        self._missed: set[int] = set()
        self._keep(roots)

    @property
    def name(self) -> str:
        """The store's kind."""
        return "file"

    @classmethod
    def create(cls, path: Path, passphrase: Secret[str], now: datetime) -> "FileKeyStore":
        """Make a file with the first version of every root, and open it. Blocks for a tenth of a second.

        Raises KeyFileUnsafe when there is a file already (nothing is ever overwritten) or the folder
        cannot be written, and PassphraseTooShort.
        """
        roots = tuple(_new_root(purpose, 1, now) for purpose in Purpose)
        _write(path, _sealed(passphrase, roots), replace=False)
        return cls(path, passphrase, roots)

    @classmethod
    def open(cls, path: Path, passphrase: Secret[str]) -> "FileKeyStore":
        """Read the file. Blocks for a tenth of a second. Raises KeyFileUnsafe."""
        try:
            opened = open_with_passphrase(passphrase, _read(path))
            content = msgspec.json.decode(opened, type=_Roots)
        except CannotOpen as error:
            raise KeyFileUnsafe("the key file does not open with this passphrase") from error
        except msgspec.MsgspecError as error:
            raise KeyFileUnsafe("the key file is of another release") from error
        if content.format != _FILE_FORMAT:
            raise KeyFileUnsafe("the key file is of another release")
        return cls(path, passphrase, content.roots)

    @classmethod
    def merged(cls, stores: "Sequence[FileKeyStore]") -> "FileKeyStore":
        """Return one store over the roots of several, each once: a process with several roles opens each role's file.

        What it rotates goes to the first one's file.
        """
        first = stores[0]
        roots = {
            (root.purpose, root.version): root
            for store in stores
            for root in store._roots  # noqa: SLF001 - of the same class
        }
        return cls(first._path, first._passphrase, tuple(roots.values()))  # noqa: SLF001 - likewise

    def split(
        self, path: Path, passphrase: Secret[str], purposes: frozenset[Purpose]
    ) -> "FileKeyStore":
        """Write a file with these roots alone, in every version, under a passphrase of its own; replaces one there.

        Whoever is given that file and passphrase can unwrap nothing of the other roots. Blocks for a tenth of a
        second. Raises KeyFileUnsafe, PassphraseTooShort, KeyStoreUnavailable.
        """
        self._check_open()
        roots = tuple(root for root in self._roots if root.purpose in purposes)
        _write(path, _sealed(passphrase, roots), replace=True)
        return FileKeyStore(path, passphrase, roots)

    def holds(self) -> frozenset[tuple[Purpose, int]]:
        """Return which versions of which roots are in here."""
        return frozenset((root.purpose, root.version) for root in self._roots)

    def rotate_root(self, purpose: Purpose, now: datetime) -> None:
        """Add the next version of a root and save it. What older versions wrapped goes on unwrapping here.

        Another process must open the file anew before it can unwrap what the new version wraps.
        """
        roots = (*self._roots, _new_root(purpose, self._newest_of(purpose) + 1, now))
        _write(self._path, _sealed(self._passphrase, roots), replace=True)
        self._keep(roots)

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make and wrap a data key."""
        plaintext = random_bytes(DATA_KEY_BYTES)
        return NewDataKey(Secret(plaintext), await self.wrap(purpose, plaintext, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Wrap under the newest version of the purpose's root."""
        check_plaintext(plaintext)
        version = self._newest_of(purpose)
        binding = _RootBinding(purpose, version, bound_context(purpose, context))
        sealed = self._sealers[purpose, version].seal(plaintext, binding)
        return _FORMAT + version.to_bytes(_VERSION_BYTES, "big") + sealed

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Unwrap under the version of the root that wrapped."""
        self._check_open()
        bound = bound_context(purpose, context)
        if len(wrapped) < _HEADER_BYTES or wrapped[:1] != _FORMAT:
            raise CannotUnwrap
        version = int.from_bytes(wrapped[1:_HEADER_BYTES], "big")
        sealer = self._sealers.get((purpose, version))
        if sealer is None:
            # Another process may have added a version since this one read the file.
            await self._read_again(version)
            sealer = self._sealers.get((purpose, version))
        if sealer is None:
            raise CannotUnwrap
        try:
            binding = _RootBinding(purpose, version, bound)
            return Secret(sealer.open(wrapped[_HEADER_BYTES:], binding))
        except CannotOpen as error:
            raise CannotUnwrap from error

    async def describe(self) -> Sequence[RootInfo]:
        """Say what the newest version of each root is. A root in a file is never disabled."""
        self._check_open()
        return [
            RootInfo(
                root.purpose,
                f"{self._path.name}#{root.purpose}/{root.version}",
                Algorithm.A256GCM,
                root.made_at,
                enabled=True,
            )
            for root in self._roots
            if root.version == self._newest[root.purpose]
        ]

    async def close(self) -> None:
        """Forget the roots."""
        self._keep(())

    async def _read_again(self, version: int) -> None:
        """Take up what was added to the file, once for each version that is asked for in vain."""
        if version in self._missed:
            return
        self._missed.add(version)
        try:
            fresh = await asyncio.to_thread(FileKeyStore.open, self._path, self._passphrase)
        except KeyFileUnsafe:
            return
        known = {(root.purpose, root.version): root for root in (*self._roots, *fresh._roots)}  # noqa: SLF001 - of the same class
        if len(known) > len(self._roots):
            self._keep(tuple(known.values()))
            self._missed.discard(version)

    def _keep(self, roots: tuple[_Root, ...]) -> None:
        self._roots = roots
        self._sealers = {
            (root.purpose, root.version): Sealer(root.key, Algorithm.A256GCM, root.purpose)
            for root in roots
        }
        self._newest = {
            root.purpose: root.version for root in sorted(roots, key=lambda root: root.version)
        }

    def _newest_of(self, purpose: Purpose) -> int:
        self._check_open()
        version = self._newest.get(purpose)
        if version is None:
            raise KeyStoreRefused(f"the key file has no {purpose} root: it is of another release")
        return version

    def _check_open(self) -> None:
        if not self._roots:
            raise KeyStoreUnavailable


def _new_root(purpose: Purpose, version: int, now: datetime) -> _Root:
    return _Root(purpose, version, random_bytes(DATA_KEY_BYTES), now)


def _sealed(passphrase: Secret[str], roots: tuple[_Root, ...]) -> bytes:
    return seal_with_passphrase(passphrase, msgspec.json.encode(_Roots(_FILE_FORMAT, roots)))


def _read(path: Path) -> bytes:
    """Read a small regular file that belongs to its reader alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileUnsafe(f"the key file cannot be read: {error.strerror}") from error
    try:
        # The open file is asked, not the path: nobody can swap it in between.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileUnsafe("the key file is not a regular file")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileUnsafe("the key file is open to others than its owner: chmod 600")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileUnsafe(f"the key file cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE_BYTES:
        raise KeyFileUnsafe("the key file is too large to be one")
    return content


def _write(path: Path, content: bytes, *, replace: bool) -> None:
    """Put the whole file in place or nothing: a crash leaves at most a stray `.new` file beside it."""
    draft = path.with_name(f".{path.name}.{random_bytes(8).hex()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename, fails if there is a file already
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # a name is durable only when its folder is
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileUnsafe(f"the key file cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
