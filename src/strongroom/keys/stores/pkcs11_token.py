# SPDX-License-Identifier: Apache-2.0
"""One session with one PKCS#11 token, and the roots found in it. Everything here runs on the store's worker thread.

A root is an AES-256 secret key with the label of its purpose; its CKA_ID is its version (4 bytes, big-endian), and when
it was made (8 bytes, UNIX seconds) if it was made by us: not every token keeps CKA_START_DATE. It is taken only if it
was never extractable. A wrapped key is format byte ‖ root version ‖ IV ‖ sealed by AES-GCM.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, TokenFlag

from strongroom.crypto import encode_parts, random_bytes
from strongroom.kernel.secret import Secret
from strongroom.keys.errors import CannotUnwrap, KeyStoreRefused, KeyStoreUnavailable, RootDisabled
from strongroom.keys.model import RootInfo
from strongroom.keys.purposes import Purpose

ALGORITHM: Final = "AES-256-GCM"

_FORMAT: Final = b"\x01"
_VERSION_BYTES: Final = 4
_HEADER_BYTES: Final = len(_FORMAT) + _VERSION_BYTES
_TIME_BYTES: Final = 8
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
#: When a root was made that another tool made.
_UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: What is said of bytes that were altered. SoftHSM says it as "general error", which a failing device says too.
ALTERED: Final = (
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
    pkcs11.DataInvalid,
    pkcs11.SignatureInvalid,
    pkcs11.GeneralError,
    pkcs11.FunctionFailed,
)
_PIN_WORDS: Final[Mapping[type[Exception], str]] = {
    pkcs11.PinIncorrect: "the token refused the PIN; it is not tried again",
    pkcs11.PinInvalid: "the token refused the PIN; it is not tried again",
    pkcs11.PinLenRange: "the token refused the PIN; it is not tried again",
    pkcs11.PinLocked: "the token's PIN is locked: its security officer unlocks it",
    pkcs11.PinExpired: "the token's PIN expired: change it with the vendor's tool",
    pkcs11.UserPinNotInitialized: "the token has no user PIN yet: initialise it with the vendor's tool",
}
PIN_REFUSALS: Final = tuple(_PIN_WORDS)


class PinRefused(KeyStoreRefused):
    """The token refused the PIN. Tokens lock after a few wrong ones, so none is tried twice."""


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Which token of which module, and how its roots are labelled."""

    #: The vendor's shared library.
    module: str
    token: str
    #: The purpose follows: `strongroom-card`.
    label_prefix: str

    def label(self, purpose: Purpose) -> str:
        """Return the label of a purpose's root."""
        return self.label_prefix + purpose.value


@dataclass(frozen=True, slots=True)
class _Root:
    key: Any = field(repr=False)
    created: datetime
    enabled: bool


def refused_by(flags: TokenFlag) -> str | None:
    """Say why no PIN is given to a token that says this of itself; None if one may be.

    With one try left it is not ours to spend: a restart loop with a wrong PIN would lock the token for everybody.
    """
    if flags & TokenFlag.USER_PIN_LOCKED:
        return _PIN_WORDS[pkcs11.PinLocked]
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        return "one try of the token's PIN is left: log in once with the vendor's tool, then start again"
    return None


class TokenSession:
    """A session that is logged in. Give it up with `close`."""

    def __init__(self, place: TokenPlace, session: Any, purposes: Iterable[Purpose]) -> None:
        self._place = place
        self._session = session
        self._purposes = tuple(sorted(purposes))
        self._roots: dict[tuple[Purpose, int], _Root] = {}
        self._newest: dict[Purpose, int] = {}

    @classmethod
    def open(
        cls,
        place: TokenPlace,
        pin: Secret[str],
        purposes: Iterable[Purpose],
        *,
        writing: bool = False,
        anew: bool = False,
    ) -> "TokenSession":
        """Load the module, find the token, log in and find the roots.

        Args:
            place: which token.
            pin: the user's PIN. It is given once, whatever the answer.
            purposes: whose roots are looked for.
            writing: whether roots are to be made.
            anew: initialise the module again first: what lost its device sees it again only then.

        Raises:
            PinRefused, KeyStoreRefused: the PIN, or a root that is not what it must be.
            KeyStoreUnavailable: no such module or token, or it does not answer.
        """
        try:
            library = pkcs11.lib(place.module)
            if anew:
                library.reinitialize()
            token = library.get_token(token_label=place.token)
        except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
            raise KeyStoreUnavailable("the PKCS#11 module or its token is not there") from error
        if words := refused_by(token.flags):
            raise PinRefused(words)
        opened = cls(place, _logged_in(token, pin, writing=writing), purposes)
        try:
            opened.find()
        except BaseException:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """End the session."""
        self._roots.clear()
        self._newest.clear()
        with suppress(pkcs11.PKCS11Error):  # it may be gone already
            self._session.close()

    # --- roots -------------------------------------------------------------------------------------

    def find(self) -> None:
        """Look for the roots again: another process may have made a newer version. Raises KeyStoreRefused."""
        found: dict[tuple[Purpose, int], _Root] = {}
        for purpose in self._purposes:
            label = self._place.label(purpose)
            wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}
            for key in list(self._session.get_objects(wanted)):
                version, created = _read_id(key[Attribute.ID], label)
                if (purpose, version) in found:
                    raise KeyStoreRefused(f"the token holds two keys {label} of version {version}")
                found[purpose, version] = _checked(key, label, created)
        self._roots = found
        self._newest = dict(sorted(found))

    def make_root(self, purpose: Purpose, now: datetime) -> int:
        """Have the token make the next version of a root, never extractable. Return the version."""
        version = self._newest.get(purpose, 0) + 1
        self._session.generate_key(
            KeyType.AES,
            _KEY_BYTES * 8,
            id=version.to_bytes(_VERSION_BYTES, "big")
            + int(now.timestamp()).to_bytes(_TIME_BYTES, "big"),
            label=self._place.label(purpose),
            store=True,
            template={
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.MODIFIABLE: False,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
                Attribute.WRAP: False,
                Attribute.UNWRAP: False,
                Attribute.SIGN: False,
                Attribute.VERIFY: False,
            },
        )
        self.find()
        return version

    def holds(self, purpose: Purpose) -> bool:
        """Tell whether the token has a root of this purpose."""
        return purpose in self._newest

    def describe(self) -> list[RootInfo]:
        """Look at the token, and say what the newest version of each root is.

        Raises:
            KeyStoreRefused: a root that this role is granted is not there.
        """
        self.find()
        missing = [purpose for purpose in self._purposes if not self.holds(purpose)]
        if missing:
            raise KeyStoreRefused(f"the token has no root for: {', '.join(missing)}")
        return [
            RootInfo(
                purpose,
                f"{self._place.token}#{self._place.label(purpose)}/{version}",
                ALGORITHM,
                self._roots[purpose, version].created,
                enabled=self._roots[purpose, version].enabled,
            )
            for purpose, version in self._newest.items()
        ]

    # --- wrapping ----------------------------------------------------------------------------------

    def wrap(self, purpose: Purpose, plaintext: bytes, bound: Mapping[str, str]) -> bytes:
        """Seal under the newest version of a purpose's root."""
        version = self._newest.get(purpose)
        if version is None:
            raise KeyStoreRefused(f"the token has no {purpose} root: strongroom key-store init")
        iv = random_bytes(_IV_BYTES)
        parameters = GCMParams(iv, _associated(purpose, version, bound), _TAG_BYTES * 8)
        sealed: bytes = self._usable(purpose, version).encrypt(
            plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
        )
        if len(sealed) != len(plaintext) + _TAG_BYTES:
            raise KeyStoreUnavailable("the token sealed with another tag than was asked for")
        return _FORMAT + version.to_bytes(_VERSION_BYTES, "big") + iv + sealed

    def unwrap(self, purpose: Purpose, wrapped: bytes, bound: Mapping[str, str]) -> bytes:
        """Open with the version of the root that sealed."""
        if len(wrapped) <= _HEADER_BYTES + _IV_BYTES + _TAG_BYTES or wrapped[:1] != _FORMAT:
            raise CannotUnwrap
        version = int.from_bytes(wrapped[1:_HEADER_BYTES], "big")
        if (purpose, version) not in self._roots:
            self.find()  # another process may have made it meanwhile
        if (purpose, version) not in self._roots:
            raise CannotUnwrap
        key = self._usable(purpose, version)
        iv, sealed = wrapped[_HEADER_BYTES:][:_IV_BYTES], wrapped[_HEADER_BYTES + _IV_BYTES :]
        parameters = GCMParams(iv, _associated(purpose, version, bound), _TAG_BYTES * 8)
        try:
            opened: bytes = key.decrypt(
                sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
            )
        except ALTERED as error:
            self._probe(key)  # raises if it is the token that fails, not the bytes
            raise CannotUnwrap from error
        return opened

    def _usable(self, purpose: Purpose, version: int) -> Any:
        root = self._roots[purpose, version]
        if not root.enabled:
            raise RootDisabled
        return root.key

    def _probe(self, key: Any) -> None:
        """Open what the same key has just sealed. Raises what the token says when it cannot."""
        parameters = GCMParams(random_bytes(_IV_BYTES), b"probe", _TAG_BYTES * 8)
        sealed = key.encrypt(b"probe", mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        opened = key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        if opened != b"probe":
            raise KeyStoreUnavailable("the token does not open what it seals")


def _logged_in(token: Any, pin: Secret[str], *, writing: bool) -> Any:
    try:
        return token.open(rw=writing, user_pin=pin.expose())
    except pkcs11.UserAlreadyLoggedIn:
        # A login is the process's own, whichever session made it.
        return token.open(rw=writing)
    except PIN_REFUSALS as error:
        raise PinRefused(_PIN_WORDS[type(error)]) from None  # the error may quote its argument


def _read_id(number: bytes, label: str) -> tuple[int, datetime]:
    """Return a root's version, and when it was made."""
    version = int.from_bytes(number[:_VERSION_BYTES], "big")
    if len(number) not in (_VERSION_BYTES, _VERSION_BYTES + _TIME_BYTES) or version < 1:
        raise KeyStoreRefused(f"the key {label} has no version as its CKA_ID")
    made = int.from_bytes(number[_VERSION_BYTES:], "big")
    try:
        return version, datetime.fromtimestamp(made, UTC) if made else _UNDATED
    except (OverflowError, ValueError, OSError):
        return version, _UNDATED


def _checked(key: Any, label: str, created: datetime) -> _Root:
    """Return a key as a root. Raises KeyStoreRefused for one that could ever have left the token."""
    if key[Attribute.KEY_TYPE] != KeyType.AES or key[Attribute.VALUE_LEN] != _KEY_BYTES:
        raise KeyStoreRefused(f"the key {label} is not of AES-256")
    kept = (
        key[Attribute.SENSITIVE]
        and key[Attribute.ALWAYS_SENSITIVE]
        and not key[Attribute.EXTRACTABLE]
        and key[Attribute.NEVER_EXTRACTABLE]
    )
    if not kept:
        raise KeyStoreRefused(f"the key {label} is extractable, or once was: it is no root")
    enabled = bool(key[Attribute.ENCRYPT] and key[Attribute.DECRYPT])
    return _Root(key, created, enabled)


def _associated(purpose: Purpose, version: int, bound: Mapping[str, str]) -> bytes:
    entries = [text for entry in bound.items() for text in entry]
    return encode_parts(("pkcs11", ALGORITHM, purpose, str(version), *entries))
