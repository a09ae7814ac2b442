# SPDX-License-Identifier: Apache-2.0
"""Roots in the Transit engine of OpenBao or HashiCorp Vault, by its HTTP API: one key per purpose. No fallback.

Data keys are made here and encrypted there with the context as associated data. The engine's own `datakey` is not
used: many servers take no associated data for it and say nothing, so that what it wraps would be bound to nothing.
Whether a server binds is tried before anything is wrapped, once for each root.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from strongroom.crypto import DATA_KEY_BYTES, encode_parts, random_bytes
from strongroom.egress.fixed import (
    CALL_TIMEOUT_SECONDS,
    FixedService,
    ServiceAway,
    ServiceUrlRefused,
)
from strongroom.egress.model import Answered
from strongroom.kernel.secret import Secret
from strongroom.keys.context import WRAPPED_LABEL, associated, check_plaintext
from strongroom.keys.errors import (
    CannotUnwrap,
    KeyStoreRefused,
    KeyStoreUnavailable,
    RootDisabled,
)
from strongroom.keys.model import NewDataKey, RootInfo
from strongroom.keys.purposes import Purpose
from strongroom.keys.stores.answers import read_answer
from strongroom.keys.stores.transit_login import TransitIdentity
from strongroom.keys.stores.transit_wire import (
    Decrypted,
    Described,
    Encrypted,
    Root,
    packed,
    refusal,
    spelt,
)

#: Authenticated encryption with keys of 256 bits.
ALGORITHMS: Final = frozenset({"aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"})

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PATH: Final = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,64}(?:/(?!\.)[A-Za-z0-9_.-]{1,64}){0,7}")
_OK: Final = 200
_FORBIDDEN: Final = 403


class TransitKeyStore:
    """Implements `KeyStore` over a Transit engine. Made by `open`; give it up with `close`."""

    def __init__(
        self,
        service: FixedService,
        identity: TransitIdentity,
        key_names: Mapping[Purpose, str],
        mount: str,
        headers: Mapping[str, str],
        call_timeout_seconds: float,
    ) -> None:
        self._service = service
        self._identity = identity
        self._key_names = dict(key_names)
        self._mount = mount
        self._headers = headers
        self._call_timeout_seconds = call_timeout_seconds
        #: Whether a root is derived: it was made so or not, and a call must know.
        self._derived: dict[Purpose, bool] = {}
        #: The roots that were found fit to wrap.
        self._fit: set[Purpose] = set()
        self._closed = False

    @property
    def name(self) -> str:
        """The store's kind."""
        return "transit"

    @classmethod
    def open(
        cls,
        key_names: Mapping[Purpose, str],
        identity: TransitIdentity,
        *,
        url: str,
        mount: str = "transit",
        namespace: str | None = None,
        authorities: Path | None = None,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> "TransitKeyStore":
        """Make a client; it owns the identity's login. Asks nothing yet: `describe` does.

        Args:
            key_names: the keys of the roots that this role is granted.
            identity: how this process gets its tokens.
            url: scheme, host and port of the server, or of what stands before several.
            mount: path of the engine.
            namespace: sent with every call, the login included.
            authorities: PEM file whose authorities are trusted instead of the machine's.
            call_timeout_seconds: for the whole of a call, a login included.

        Raises:
            KeyStoreRefused: a name, the mount, the namespace or the address is none, or the PEM file is not to be read.
        """
        if not all(_NAME.fullmatch(name) for name in key_names.values()):
            raise KeyStoreRefused("a root's name is none of the Transit engine")
        if not all(_PATH.fullmatch(path) for path in (mount, namespace or "root")):
            raise KeyStoreRefused("the mount or namespace of the Transit engine is no path")
        headers = {"content-type": "application/json", "x-vault-request": "true"}
        if namespace:
            headers["x-vault-namespace"] = namespace
        try:
            service = FixedService(
                url, authorities=authorities, call_timeout_seconds=call_timeout_seconds
            )
        except ServiceUrlRefused as error:
            raise KeyStoreRefused(
                "the address or the authorities of the Transit store are none"
            ) from error
        return cls(service, identity, key_names, mount, headers, call_timeout_seconds)

    async def generate(self, purpose: Purpose, context: Mapping[str, str]) -> NewDataKey:
        """Make a data key here and have it encrypted."""
        plaintext = random_bytes(DATA_KEY_BYTES)
        return NewDataKey(Secret(plaintext), await self.wrap(purpose, plaintext, context))

    async def wrap(self, purpose: Purpose, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Call encrypt; the key's newest version encrypts."""
        check_plaintext(plaintext)
        bound = associated(purpose, context)
        async with self._bounded():
            await self._require_fit(purpose)
            derived = await self._is_derived(purpose)
            return await self._encrypted(purpose, plaintext, bound, bound if derived else None)

    async def unwrap(
        self, purpose: Purpose, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret[bytes]:
        """Call decrypt, with the version of the key that encrypted."""
        bound = associated(purpose, context)
        text = spelt(wrapped)
        async with self._bounded():
            # Also of a root that is fit no more: what it wrapped has to be got out of it.
            derived = await self._is_derived(purpose)
            return await self._decrypted(purpose, text, bound, bound if derived else None)

    async def describe(self) -> Sequence[RootInfo]:
        """Read every root of this role, and look anew whether it is fit to be one."""
        found = []
        for purpose in sorted(self._key_names):
            async with self._bounded():
                found.append(await self._described(purpose))
        return found

    async def close(self) -> None:
        """Give up the login and close the connections."""
        self._closed = True
        await self._identity.close(self._service, self._headers)
        await self._service.close()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound the whole of a call, and say in our words that there was no answer."""
        if self._closed:
            raise KeyStoreUnavailable
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                yield
        except (ServiceAway, TimeoutError) as error:
            raise KeyStoreUnavailable from error

    # --- what a root must be ----------------------------------------------------------------------

    async def _is_derived(self, purpose: Purpose) -> bool:
        derived = self._derived.get(purpose)
        return (await self._root(purpose)).derived if derived is None else derived

    async def _require_fit(self, purpose: Purpose) -> None:
        """Refuse a root that could leave its store or that binds nothing; looked at before it first wraps."""
        if purpose not in self._fit:
            root = await self._root(purpose)
            self._require_kept(purpose, root)
            await self._require_binding(purpose, derived=root.derived)
            self._fit.add(purpose)

    def _require_kept(self, purpose: Purpose, root: Root) -> None:
        fault = _fault_of(self._key_name(purpose), root)
        if fault is not None:
            self._fit.discard(purpose)
            raise fault

    async def _root(self, purpose: Purpose) -> Root:
        name = self._key_name(purpose)
        answered = await self._call("GET", f"keys/{name}")
        if answered.status != _OK:
            raise refusal(answered, name)
        root = read_answer(answered, Described).data
        self._derived[purpose] = root.derived
        return root

    async def _require_binding(self, purpose: Purpose, *, derived: bool) -> None:
        """Have some bytes wrapped for one context and see that they do not unwrap for another.

        A server from before associated data passes over it in silence.
        """
        one, other = (encode_parts((WRAPPED_LABEL, "binding test", each)) for each in "12")
        derivation = one if derived else None
        wrapped = await self._encrypted(purpose, random_bytes(DATA_KEY_BYTES), one, derivation)
        try:
            await self._decrypted(purpose, spelt(wrapped), other, derivation)
        except CannotUnwrap:
            return
        raise KeyStoreRefused(
            "the Transit server binds no associated data: it is too old for a key store"
        )

    async def _described(self, purpose: Purpose) -> RootInfo:
        root = await self._root(purpose)
        if not root.soft_deleted:
            self._require_kept(purpose, root)
        created = root.keys.get(str(root.latest_version))
        if created is None:
            raise KeyStoreUnavailable
        made = datetime.fromtimestamp(created, UTC)
        period = timedelta(seconds=root.auto_rotate_period)
        return RootInfo(
            purpose=purpose,
            key_id=f"{self._mount}/{self._key_name(purpose)}/{root.latest_version}",
            algorithm=root.type,
            created=made,
            enabled=not root.soft_deleted,
            rotates_at=made + period if period else None,
        )

    # --- calls --------------------------------------------------------------------------------------

    async def _encrypted(
        self, purpose: Purpose, plaintext: bytes, bound: bytes, derivation: bytes | None
    ) -> bytes:
        name = self._key_name(purpose)
        request = {"plaintext": plaintext, "associated_data": bound}
        if derivation is not None:
            request["context"] = derivation
        answered = await self._call("POST", f"encrypt/{name}", msgspec.json.encode(request))
        if answered.status != _OK:
            raise refusal(answered, name)
        return packed(read_answer(answered, Encrypted).data.ciphertext)

    async def _decrypted(
        self, purpose: Purpose, text: str, bound: bytes, derivation: bytes | None
    ) -> Secret[bytes]:
        name = self._key_name(purpose)
        request: dict[str, str | bytes] = {"ciphertext": text, "associated_data": bound}
        if derivation is not None:
            request["context"] = derivation
        answered = await self._call("POST", f"decrypt/{name}", msgspec.json.encode(request))
        if answered.status != _OK:
            raise refusal(answered, name, unwrapping=True)
        plaintext = read_answer(answered, Decrypted).data.plaintext
        if not plaintext:
            raise KeyStoreUnavailable
        return Secret(plaintext)

    async def _call(self, method: str, path: str, body: bytes | None = None) -> Answered:
        """Call once; once more where the token was refused and another one is to be had.

        A refused call did nothing, so that the second one is the only one.
        """
        token = await self._identity.token(self._service, self._headers)
        answered = await self._sent(method, path, body, token)
        if answered.status == _FORBIDDEN and self._identity.refused(token):
            another = await self._identity.token(self._service, self._headers)
            if another is not token:
                answered = await self._sent(method, path, body, another)
        return answered

    async def _sent(
        self, method: str, path: str, body: bytes | None, token: Secret[str]
    ) -> Answered:
        return await self._service.call(
            method,
            f"/v1/{self._mount}/{path}",
            headers={**self._headers, "x-vault-token": token.expose()},
            body=body,
        )

    def _key_name(self, purpose: Purpose) -> str:
        name = self._key_names.get(purpose)
        if name is None:
            raise KeyStoreRefused(f"this role is not granted the {purpose} root")
        return name


def _fault_of(name: str, root: Root) -> KeyStoreRefused | None:
    """Say why a key is no root, if it is none."""
    if root.soft_deleted:
        return RootDisabled()
    if root.type not in ALGORITHMS:
        return KeyStoreRefused(f"the Transit key {name} is not of 256 bits and authenticated")
    if root.exportable or root.allow_plaintext_backup:
        return KeyStoreRefused(f"the Transit key {name} can be exported from its store")
    if root.convergent_encryption:
        return KeyStoreRefused(f"the Transit key {name} is convergent: equal keys wrap equally")
    return None
