# SPDX-License-Identifier: Apache-2.0
"""Hashes passwords with Argon2id (RFC 9106), on threads of its own, so few at once that no caller exhausts the machine.

Unknown people cost the same work as known ones. SHA-1 stands here for looking into lists of leaked passwords, and
for nothing else.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, Final, TypeVar, final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from strongroom.crypto.errors import CryptoRefused
from strongroom.crypto.random import random_bytes
from strongroom.kernel.errors import Unavailable
from strongroom.kernel.invariant import invariant
from strongroom.kernel.secret import Secret

Result = TypeVar("Result")

#: RFC 9106 §4's second recommended memory and passes, on one lane. More than the least that OWASP's Password Storage
#: Cheat Sheet and ASVS 5.0 appendix C ask of Argon2id: 19 MiB with two passes, or 12 MiB with three.
PASSES: Final = 3
MEMORY_KIBIBYTES: Final = 64 * 1024
LANES: Final = 1
HASH_BYTES: Final = 32
SALT_BYTES: Final = 16
#: What a kept hash may ask of this machine: it is read before anything about it is known.
MOST_MEMORY_KIBIBYTES: Final = 256 * 1024
MOST_PASSES: Final = 16
MOST_LANES: Final = 4
#: Hashes under way, each with its memory; and those that may wait for them. Beyond that a caller is told to come back.
AT_ONCE: Final = 2
WAITING_MAX: Final = 32
SHA1_HEX: Final = 40

invariant(MEMORY_KIBIBYTES <= MOST_MEMORY_KIBIBYTES, "our own hashes can be checked")


class PasswordsBusy(Unavailable):
    """More passwords are being checked than this process does at once."""

    code = "passwords_busy"
    retry_after_seconds: ClassVar[int] = 2


class PasswordHashUnreadable(CryptoRefused):
    """A kept password hash has not the form that was written: the row was altered or is damaged."""

    code = "password_hash_unreadable"


@final
class PasswordHasher:
    """Makes and checks hashes for one process."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting_max: int = WAITING_MAX) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=PASSES,
            memory_cost=MEMORY_KIBIBYTES,
            parallelism=LANES,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=argon2.Type.ID,
        )
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._under_way = 0
        self._under_way_max = at_once + waiting_max
        #: Stands for the hash of whoever has none: the form and cost of ours, and nothing that leads to it.
        self._decoy = (
            f"$argon2id$v=19$m={MEMORY_KIBIBYTES},t={PASSES},p={LANES}"
            f"${_base64(random_bytes(SALT_BYTES))}${_base64(random_bytes(HASH_BYTES))}"
        )

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, secret: Secret[bytes]) -> str:
        """Return an encoded Argon2id hash with a salt of its own. Takes about a tenth of a second and 64 MiB.

        Raises:
            PasswordsBusy: too many are under way.
        """
        return await self._run(lambda: self._argon2.hash(secret.expose()))

    async def verify(self, encoded: str | None, secret: Secret[bytes]) -> bool:
        """Tell whether the secret is the one that was hashed. Without a hash: False, after the same work.

        Raises:
            PasswordsBusy: too many are under way.
            PasswordHashUnreadable: what was kept is no hash of ours.
        """
        return await self._run(lambda: self._verify(encoded or self._decoy, secret))

    def _verify(self, encoded: str, secret: Secret[bytes]) -> bool:
        try:
            cost = argon2.extract_parameters(encoded)
            if (
                cost.memory_cost > MOST_MEMORY_KIBIBYTES
                or cost.time_cost > MOST_PASSES
                or cost.parallelism > MOST_LANES
            ):
                raise PasswordHashUnreadable
            return self._argon2.verify(encoded, secret.expose())
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError):
            raise PasswordHashUnreadable from None

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Run on a thread. A caller who leaves does not let another one in: its work counts until it has ended."""
        if self._under_way >= self._under_way_max:
            raise PasswordsBusy
        self._under_way += 1
        loop = asyncio.get_running_loop()
        running = self._threads.submit(work)

        def ended(_: Future[Result]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._one_less)

        running.add_done_callback(ended)
        return await asyncio.wrap_future(running)

    def _one_less(self) -> None:
        self._under_way -= 1


def sha1_hex(data: bytes) -> str:
    """Return the SHA-1 in capital hex digits: the form in which lists of leaked passwords are published."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()


def _base64(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")
