# SPDX-License-Identifier: Apache-2.0
"""Secrets on this machine: `env:` and `file:`. A file's pending value stands beside it, in `NAME.pending`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from strongroom.config import SecretReference
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import SecretUnreadable

LARGEST_BYTES: Final = 64 * 1024
_PENDING: Final = ".pending"


class EnvironmentSecrets:
    """Implements `SecretSource` over this process's variables, which do not change while it runs."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Return a variable."""
        text = self._variables.get(reference.name, "")
        if not text:
            raise SecretUnreadable(f"the variable {reference.name} is empty")
        return Secret(text)

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return nothing: a variable has one value."""
        del reference
        return None


class FileSecrets:
    """Implements `SecretKeeper` over files, each written whole or not at all."""

    async def read(self, reference: SecretReference) -> Secret[str]:
        """Return a file's text, without the white space around it."""
        found = _read(Path(reference.name))
        if found is None:
            raise SecretUnreadable(f"{reference.name}: there is no such file")
        return found

    async def pending(self, reference: SecretReference) -> Secret[str] | None:
        """Return the text of the file beside it."""
        return _read(_beside(reference))

    async def create(self, reference: SecretReference, value: Secret[str]) -> None:
        """Write the file beside it, unless there is one."""
        _put_beside(_beside(reference), value)

    async def finish(self, reference: SecretReference) -> None:
        """Put the file beside it in its place, in one step: readers see the old or the new one."""
        _put_in_place(_beside(reference), Path(reference.name))


def _beside(reference: SecretReference) -> Path:
    path = Path(reference.name)
    return path.with_name(path.name + _PENDING)


def _read(path: Path) -> Secret[str] | None:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from None
    if len(content) > LARGEST_BYTES:
        raise SecretUnreadable(f"{path}: too large to be a secret")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:  # its own error holds the bytes
        raise SecretUnreadable(f"{path}: not UTF-8") from None
    if not text:
        raise SecretUnreadable(f"{path}: the file is empty")
    return Secret(text)


def _put_beside(path: Path, value: Secret[str]) -> None:
    draft = path.with_name(f"{path.name}.new")
    _write(draft, value)
    try:
        os.link(draft, path)  # unlike a rename, fails if there is a file already
    except FileExistsError:
        pass
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _put_in_place(pending: Path, path: Path) -> None:
    try:
        # The owner stays who it was: a server under another account goes on reading it.
        status = path.stat()
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(pending, status.st_uid, status.st_gid)
        pending.replace(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error
    _sync_folder(path.parent)


def _write(path: Path, value: Secret[str]) -> None:
    try:
        path.unlink(missing_ok=True)  # what a process that was killed left
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(value.expose())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # a name is durable only when its folder is
    finally:
        os.close(folder)
