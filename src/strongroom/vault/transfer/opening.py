# SPDX-License-Identifier: Apache-2.0
"""The key pairs that other providers encrypt to: made here, their private parts sealed, opened for one import.

Each is an OpenPGP key (Curve25519) and a P-256 key for JWE. An earlier pair goes on opening what was sealed for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec

from strongroom.audit import Action, Recorder
from strongroom.crypto import Algorithm, CannotOpen, Place, hkdf_sha256
from strongroom.crypto.ids import new_id
from strongroom.db.pool import Database
from strongroom.kernel.clock import Clock
from strongroom.kernel.ids import ImportId, ImportKeyId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.secret import Secret
from strongroom.keys import DataKey, DataKeyDestroyed, DataKeys, KeyName
from strongroom.vault.errors import CannotReadCard, MerchantErased
from strongroom.vault.finding import Caller
from strongroom.vault.residency import Residency
from strongroom.vault.transfer import jwe, pgp
from strongroom.vault.transfer.errors import ImportKeyUnknown
from strongroom.vault.transfer.store import QUERIES

PURPOSE: Final = "transfer"
PRIVATE_FIELD: Final = "private"
PIECE_FIELD: Final = "piece"
_DIGEST_INFO: Final = b"strongroom import digest 1"
_SEEN_INFO: Final = b"strongroom import seen 1"
_DERIVED_KEY_BYTES: Final = 32


class _Private(msgspec.Struct, frozen=True):
    """What is sealed of a pair."""

    pgp: bytes
    jwk: dict[str, str]


@dataclass(frozen=True, slots=True)
class ImportKey:
    """The public parts of a pair."""

    key_id: ImportKeyId
    #: An OpenPGP certificate, armored.
    certificate: str
    jwk: Mapping[str, str]
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenKeys:
    """Private parts of a tenant's pairs, newest first, for one import."""

    pgp: tuple[Secret[bytes], ...]
    jwks: tuple[Secret[dict[str, str]], ...]


class ImportKeys:
    """The import keys of every tenant."""

    def __init__(
        self,
        database: Database,
        keyring: DataKeys,
        residency: Residency,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._residency = residency
        self._recorder = recorder
        self._clock = clock

    async def require_home(self, merchant: MerchantId) -> None:
        """Let a merchant pass whose cards rest here. Raises as `Residency.require`."""
        await self._residency.require(merchant)

    async def _key(self, merchant: MerchantId, mode: Mode, version: int | None = None) -> DataKey:
        """Return a transfer key; without a version the one that seals now.

        Raises:
            MerchantElsewhere: this merchant's cards rest in another region.
            MerchantErased: it was destroyed.
            KeyStoreUnavailable: it is not open and the key store does not answer.
        """
        await self._residency.require(merchant)
        try:
            if version is None:
                return await self._keyring.current(merchant, mode, KeyName.TRANSFER)
            return await self._keyring.version(merchant, mode, KeyName.TRANSFER, version)
        except DataKeyDestroyed:
            raise MerchantErased from None

    async def make(self, caller: Caller) -> ImportKey:
        """Make a new pair; from now on it is the one to encrypt to. Raises as `seal_piece`."""
        merchant, mode = caller.scope
        key_id = ImportKeyId(new_id("imk"))
        private, certificate = pgp.make_key(key_id)
        secret_jwk, public_jwk = jwe.make_key(key_id)
        data_key = await self._key(merchant, mode)
        clear = msgspec.msgpack.encode(_Private(private.expose(), secret_jwk.expose()))
        place = _place(mode, merchant, key_id, PRIVATE_FIELD, data_key.version)
        sealed = data_key.sealer(Algorithm.A256CBC_HS512, PURPOSE).seal(clear, place)
        now = self._clock.now()
        made = ImportKey(key_id, certificate, public_jwk, caller.principal.subject, now)
        async with self._database.transaction([merchant]) as tx:
            await tx.run(
                QUERIES["insert_import_key"],
                merchant,
                mode,
                key_id,
                certificate,
                msgspec.json.encode(public_jwk, order="sorted").decode(),
                sealed,
                data_key.version,
                made.created_by,
                now,
            )
            record = self._recorder.make(
                Action.KEYS_DATA_KEY_CREATED,
                actor=made.created_by,
                merchant=merchant,
                mode=mode,
                thing=key_id,
                origin=caller.origin,
                now=now,
                details={"purpose": "import"},
            )
            await self._recorder.insert(tx, record)
        return made

    async def newest(self, merchant: MerchantId, mode: Mode) -> ImportKey:
        """Return the pair to encrypt to.

        Raises:
            ImportKeyUnknown: there is none yet.
        """
        async with self._database.transaction([merchant]) as read:
            row = await read.row(QUERIES["newest_import_key"], merchant, mode)
        if row is None:
            raise ImportKeyUnknown
        return ImportKey(
            ImportKeyId(row["key_id"]),
            row["certificate"],
            msgspec.json.decode(row["public_jwk"], type=dict[str, str]),
            row["created_by"],
            row["created_at"],
        )

    async def opened(self, merchant: MerchantId, mode: Mode) -> OpenKeys:
        """Open a tenant's pairs.

        Raises:
            ImportKeyUnknown: there is none.
            MerchantElsewhere: this merchant's cards rest in another region.
            CannotReadCard: one was altered or moved, or its key is lost.
        """
        async with self._database.transaction([merchant]) as read:
            rows = await read.rows(QUERIES["import_keys"], merchant, mode)
        if not rows:
            raise ImportKeyUnknown
        found: Sequence[_Private] = [await self._private(merchant, mode, row) for row in rows]
        return OpenKeys(
            tuple(Secret(each.pgp) for each in found), tuple(Secret(each.jwk) for each in found)
        )

    async def _private(self, merchant: MerchantId, mode: Mode, row: Mapping[str, Any]) -> _Private:
        version = row["key_version"]
        key = await self._key(merchant, mode, version)
        place = _place(mode, merchant, row["key_id"], PRIVATE_FIELD, version)
        try:
            clear = key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(row["sealed_private"], place)
        except CannotOpen:
            raise CannotReadCard("an import key does not open") from None
        return msgspec.msgpack.decode(clear, type=_Private)

    async def digest_key(self, merchant: MerchantId, mode: Mode) -> Secret[bytes]:
        """Return the key of a tenant's import digests.

        An unkeyed hash of a file with one card would be a hash of its number (PCI DSS 3.5.1.1).
        """
        return await self._derived(merchant, mode, _DIGEST_INFO)

    async def seen_key(self, merchant: MerchantId, mode: Mode) -> Secret[bytes]:
        """Return the key under which dry runs remember the cards of their rows, whatever is rotated meanwhile."""
        return await self._derived(merchant, mode, _SEEN_INFO)

    async def _derived(self, merchant: MerchantId, mode: Mode, info: bytes) -> Secret[bytes]:
        # The oldest version that lives, so that digests of one file compare for as long as it does. None is destroyed
        # while an import is under way, whose digest would then be of two keys.
        current = await self._key(merchant, mode)
        older = await self._keyring.older(merchant, mode, KeyName.TRANSFER)
        key = older[-1] if older else current
        return Secret(hkdf_sha256(key.secret.expose(), info, _DERIVED_KEY_BYTES))

    async def seal_piece(
        self, merchant: MerchantId, mode: Mode, import_id: ImportId, begins: int, content: bytes
    ) -> tuple[bytes, int]:
        """Seal a piece of an upload for its place in its file; return it and the key's version.

        Raises:
            MerchantElsewhere, MerchantErased, KeyStoreUnavailable: as every key of a merchant's cards.
        """
        key = await self._key(merchant, mode)
        place = _place(mode, merchant, f"{import_id}.{begins}", PIECE_FIELD, key.version)
        return key.sealer(Algorithm.A256CBC_HS512, PURPOSE).seal(content, place), key.version

    async def open_piece(
        self,
        merchant: MerchantId,
        mode: Mode,
        import_id: ImportId,
        begins: int,
        sealed: bytes,
        version: int,
    ) -> bytes:
        """Open a piece.

        Raises:
            CannotReadCard: it was altered or moved, or its key is lost.
        """
        key = await self._key(merchant, mode, version)
        place = _place(mode, merchant, f"{import_id}.{begins}", PIECE_FIELD, version)
        try:
            return key.sealer(Algorithm.A256CBC_HS512, PURPOSE).open(sealed, place)
        except CannotOpen:
            raise CannotReadCard("a piece of an upload does not open") from None


def _place(
    mode: Mode, merchant: MerchantId, owner: str, field: LiteralString, version: int
) -> Place:
    return Place(
        algorithm=Algorithm.A256CBC_HS512,
        mode=mode,
        merchant=merchant,
        object_id=owner,
        field=field,
        key_version=version,
        purpose=PURPOSE,
    )
