# SPDX-License-Identifier: Apache-2.0
"""Google Cloud KMS as a key store: the suite over the fake of its API, and what only this store can meet.

Nothing here has spoken with Google: the fake was written from the API's documentation.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from contracts.fake_google_kms import TOKEN, FakeGoogleKms, created, key_name
from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from peer import Behaviour, Peer, answer, cut, peer, reset, says, silent
from strongroom.egress.fixed import ServiceAway
from strongroom.egress.google_identity import CachedTokens, Granted, IdentityRefused
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    CannotUnwrap,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.stores.gcp_kms import GcpKmsKeyStore


def tokens(*texts: str) -> CachedTokens:
    """Tokens that are granted in turn; the last one repeats."""
    left = list(texts or (TOKEN,))

    async def grant() -> Granted:
        return Granted(Secret(left.pop(0) if len(left) > 1 else left[0]), 3_600)

    return CachedTokens(grant)


def refusing(error: Exception) -> CachedTokens:
    async def grant() -> Granted:
        raise error

    return CachedTokens(grant)


@asynccontextmanager
async def store_at(
    behaviour: Behaviour, *, granted: CachedTokens | None = None, seconds: float = 5
) -> AsyncIterator[tuple[GcpKmsKeyStore, Peer]]:
    async with peer(behaviour) as server:
        store = GcpKmsKeyStore.open(
            {purpose: key_name(purpose) for purpose in Purpose},
            granted or tokens(),
            endpoint=server.url,
            call_timeout_seconds=seconds,
        )
        yield store, server
        await store.close()


class TestGcpKmsKeyStore(KeyStoreContract):
    @pytest.fixture
    def fake(self) -> FakeGoogleKms:
        return FakeGoogleKms()

    @pytest.fixture
    async def store(self, fake: FakeGoogleKms) -> AsyncIterator[KeyStore]:
        async with store_at(fake.behaviour()) as (store, _):
            yield store

    @pytest.fixture
    def rotate(self, fake: FakeGoogleKms) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            fake.keys[key_name(purpose)].rotate()

        return rotate


CALLS: dict[str, Callable[[KeyStore], Any]] = {
    "generate": lambda store: store.generate(Purpose.CARD, CONTEXT),
    "wrap": lambda store: store.wrap(Purpose.CARD, b"key", CONTEXT),
    "unwrap": lambda store: store.unwrap(Purpose.CARD, b"wrapped", CONTEXT),
    "describe": lambda store: store.describe(),
}


@pytest.mark.parametrize("state", ["DISABLED", "DESTROY_SCHEDULED", "DESTROYED"])
async def test_a_version_that_is_off_neither_wraps_nor_unwraps(state: str) -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour()) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        fake.keys[key_name(Purpose.CARD)].versions[1].state = state
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.wrap(Purpose.CARD, b"x", CONTEXT),
            store.unwrap(Purpose.CARD, new.wrapped, CONTEXT),
        ):
            with pytest.raises(RootDisabled):
                await call
        off = [root.purpose for root in await store.describe() if not root.enabled]
        assert off == [Purpose.CARD]
        await store.generate(Purpose.AUDIT, CONTEXT)


async def test_what_an_older_version_wrapped_opens_until_it_is_off() -> None:
    fake = FakeGoogleKms()
    key = fake.keys[key_name(Purpose.CARD)]
    async with store_at(fake.behaviour()) as (store, _):
        before = await store.generate(Purpose.CARD, CONTEXT)
        key.rotate()
        after = await store.generate(Purpose.CARD, CONTEXT)
        for new in (before, after):
            opened = await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
            assert opened.expose() == new.plaintext.expose()
        key.versions[1].state = "DISABLED"
        with pytest.raises(RootDisabled):
            await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT)
        await store.unwrap(Purpose.CARD, after.wrapped, CONTEXT)


async def test_a_root_is_described_by_its_primary_version() -> None:
    fake = FakeGoogleKms()
    key = fake.keys[key_name(Purpose.CARD)]
    key.next_rotation = "2026-05-01T00:00:00Z"
    async with store_at(fake.behaviour()) as (store, _):
        roots = {root.purpose: root for root in await store.describe()}
        card = roots[Purpose.CARD]
        assert card.key_id == key_name(Purpose.CARD) + "/cryptoKeyVersions/1"
        assert card.algorithm == "GOOGLE_SYMMETRIC_ENCRYPTION HSM"
        assert card.created == created()
        assert card.rotates_at == datetime(2026, 5, 1, tzinfo=UTC)
        assert roots[Purpose.AUDIT].rotates_at is None
        key.rotate()
        (card,) = [root for root in await store.describe() if root.purpose is Purpose.CARD]
        assert card.key_id.endswith("/2")
        assert card.created == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


async def test_a_key_that_signs_is_no_root() -> None:
    fake = FakeGoogleKms()
    fake.keys[key_name(Purpose.CARD)].purpose = "ASYMMETRIC_SIGN"
    async with store_at(fake.behaviour()) as (store, _):
        for call in CALLS.values():
            with pytest.raises(KeyStoreRefused) as raised:
                await call(store)
            assert type(raised.value) is KeyStoreRefused, "it is not off: it is another kind"


async def test_a_role_has_only_the_roots_it_was_granted() -> None:
    fake = FakeGoogleKms()
    fake.denied = {key_name(Purpose.CARD)}
    async with store_at(fake.behaviour()) as (store, server):
        for call in CALLS.values():
            with pytest.raises(KeyStoreRefused):
                await call(store)
        asked = len(server.requests)
        audit_only = GcpKmsKeyStore.open(
            {Purpose.AUDIT: key_name(Purpose.AUDIT)}, tokens(), endpoint=server.url
        )
        assert [root.purpose for root in await audit_only.describe()] == [Purpose.AUDIT]
        with pytest.raises(KeyStoreRefused):
            await audit_only.generate(Purpose.CARD, CONTEXT)
        assert len(server.requests) == asked + 1
        await audit_only.close()


async def test_a_key_that_is_not_there_is_refused_by_its_name() -> None:
    fake = FakeGoogleKms()
    del fake.keys[key_name(Purpose.CARD)]
    async with store_at(fake.behaviour()) as (store, _):
        for call in CALLS.values():
            with pytest.raises(KeyStoreRefused, match=key_name(Purpose.CARD)):
                await call(store)
        assert key_name(Purpose.CARD) not in fake.keys  # nothing was made


@pytest.mark.parametrize(
    "damage",
    [
        {"ciphertextCrc32c": "1"},
        {"ciphertext": "AAAA"},
        {"ciphertext": ""},
        {"verifiedPlaintextCrc32c": False},
        {"verifiedAdditionalAuthenticatedDataCrc32c": False},
        {"name": key_name(Purpose.AUDIT) + "/cryptoKeyVersions/1"},
    ],
    ids=str,
)
async def test_a_wrapped_key_that_came_damaged_is_not_kept(damage: dict[str, Any]) -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour()) as (store, _):
        fake.damage = damage
        with pytest.raises(KeyStoreUnavailable):
            await store.generate(Purpose.CARD, CONTEXT)


@pytest.mark.parametrize(
    "damage", [{"plaintextCrc32c": "1"}, {"plaintext": "AAAA"}, {"plaintext": ""}], ids=str
)
async def test_a_key_that_came_damaged_is_not_used(damage: dict[str, Any]) -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour()) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        fake.damage = damage
        with pytest.raises(KeyStoreUnavailable):
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)


async def test_another_key_than_was_asked_for_is_not_described() -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour()) as (store, _):
        fake.damage = {"name": key_name(Purpose.AUDIT)}
        with pytest.raises(KeyStoreUnavailable):
            await store.describe()


async def test_what_is_sent_is_bound_and_carries_checksums_that_the_fake_checks() -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour()) as (store, server):
        await store.wrap(Purpose.CARD, b"key", {"merchant": "mer_1"})
        (sent,) = server.requests
        assert sent.target == f"/v1/{key_name(Purpose.CARD)}:encrypt"
        body = sent.json()
        bound = msgspec.json.decode(
            msgspec.json.encode(body["additionalAuthenticatedData"]), type=bytes
        )
        # What is stored was wrapped under these bytes: they never change.
        assert bound == (b"24:strongroom wrapped key 18:merchant5:mer_118:strongroom:purpose4:card")


def fault(status: int, word: str, message: str = "told in Google's words", **more: Any) -> bytes:
    body = {"error": {"code": status, "status": word, "message": message} | more}
    return answer(msgspec.json.encode(body), status)


DISABLED: dict[str, Any] = {"details": [{"violations": [{"type": "KEY_DISABLED", "subject": "x"}]}]}

#: What is answered, and what becomes of it when wrapping and describing; when unwrapping only if it is another.
ANSWERS: dict[str, tuple[Behaviour, type[Exception], type[Exception] | None]] = {
    "invalid": (says(fault(400, "INVALID_ARGUMENT")), KeyStoreRefused, CannotUnwrap),
    "damaged on its way": (
        says(fault(400, "INVALID_ARGUMENT", "The ciphertext_crc32c did not match.")),
        KeyStoreUnavailable,
        None,
    ),
    "disabled": (says(fault(400, "FAILED_PRECONDITION", **DISABLED)), RootDisabled, None),
    "no billing": (says(fault(400, "FAILED_PRECONDITION")), KeyStoreRefused, None),
    "not granted": (says(fault(403, "PERMISSION_DENIED")), KeyStoreRefused, None),
    "no such key": (says(fault(404, "NOT_FOUND")), KeyStoreRefused, None),
    "bad token": (says(fault(401, "UNAUTHENTICATED")), KeyStoreRefused, None),
    "refused in a new way": (says(fault(418, "NEW_WORD")), KeyStoreRefused, None),
    "throttled": (says(fault(429, "RESOURCE_EXHAUSTED")), KeyStoreUnavailable, None),
    "throttled in a new way": (says(fault(429, "NEW")), KeyStoreUnavailable, None),
    "aborted": (says(fault(409, "ABORTED")), KeyStoreUnavailable, None),
    "too slow inside": (says(fault(504, "DEADLINE_EXCEEDED")), KeyStoreUnavailable, None),
    "broken inside": (says(fault(500, "INTERNAL")), KeyStoreUnavailable, None),
    "away": (says(fault(503, "UNAVAILABLE")), KeyStoreUnavailable, None),
    "a proxy's page": (says(answer(b"<html>bad gateway", 502)), KeyStoreUnavailable, None),
    "a page that refuses": (says(answer(b"<html>no", 403)), KeyStoreRefused, None),
    "sent elsewhere": (
        says(answer(b"", 307, "location: http://127.0.0.1:1/\r\n")),
        KeyStoreUnavailable,
        None,
    ),
    "not JSON": (says(answer(b"not json")), KeyStoreUnavailable, None),
    "nested without end": (says(answer(b'{"a":' + b"[" * 50_000)), KeyStoreUnavailable, None),
    "a refusal nested without end": (
        says(answer(b'{"error":' + b"[" * 50_000, 400)),
        KeyStoreRefused,
        None,
    ),
    "a list": (says(answer(b"[]")), KeyStoreUnavailable, None),
    "nothing in it": (says(answer(b"{}")), KeyStoreUnavailable, None),
    "not base64": (
        says(answer(b'{"name":"x","plaintext":"%","ciphertext":"%","plaintextCrc32c":"1"}')),
        KeyStoreUnavailable,
        None,
    ),
    "endless": (says(answer(b" " * 300_000)), KeyStoreUnavailable, None),
    "cut in the middle": (cut(answer(b'{"plaintext": "eA=="}')[:-4]), KeyStoreUnavailable, None),
    "no HTTP": (cut(b"SSH-2.0-OpenSSH\r\n\r\n"), KeyStoreUnavailable, None),
    "hung up": (cut(), KeyStoreUnavailable, None),
    "reset": (reset(), KeyStoreUnavailable, None),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_becomes_one_of_our_errors_after_one_attempt(name: str, call: str) -> None:
    behaviour, expected, unwrapping = ANSWERS[name]
    if call == "unwrap" and unwrapping is not None:
        expected = unwrapping
    async with store_at(behaviour) as (store, server):
        with pytest.raises(expected) as raised:
            await CALLS[call](store)
        assert type(raised.value) is expected
        assert "Google's words" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"])
async def test_a_store_that_is_slow_is_given_up(said: bytes, call: str) -> None:
    async with store_at(silent(said), seconds=0.2) as (store, _):
        async with asyncio.timeout(5):
            with pytest.raises(KeyStoreUnavailable):
                await CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_is_not_there_is_unavailable(call: str) -> None:
    async with store_at(says(answer())) as (_, gone):
        pass
    store = GcpKmsKeyStore.open({Purpose.CARD: key_name(Purpose.CARD)}, tokens(), endpoint=gone.url)
    with pytest.raises(KeyStoreUnavailable):
        await CALLS[call](store)
    await store.close()


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ServiceAway(), KeyStoreUnavailable), (IdentityRefused(), KeyStoreRefused)],
)
async def test_without_a_token_nothing_is_asked(
    error: Exception, expected: type[Exception]
) -> None:
    async with store_at(says(answer()), granted=refusing(error)) as (store, server):
        with pytest.raises(expected):
            await store.generate(Purpose.CARD, CONTEXT)
    assert not server.requests


async def test_a_token_that_google_refused_is_replaced_for_the_next_call() -> None:
    fake = FakeGoogleKms()
    async with store_at(fake.behaviour(), granted=tokens("old", TOKEN)) as (store, server):
        with pytest.raises(KeyStoreRefused):
            await store.generate(Purpose.CARD, CONTEXT)
        assert len(server.requests) == 1
        await store.generate(Purpose.CARD, CONTEXT)


async def test_google_is_not_asked_to_unwrap_nothing() -> None:
    async with store_at(says(answer())) as (store, server):
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, b"", CONTEXT)
    assert not server.requests


@pytest.mark.parametrize(
    "name",
    [
        "",
        "alias/strongroom-card",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k:encrypt",
        "projects/p/locations/l/keyRings/../cryptoKeys/k",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k?x",
    ],
)
def test_a_name_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(KeyStoreRefused):
        GcpKmsKeyStore.open({Purpose.CARD: name}, tokens())


@pytest.mark.parametrize(
    "endpoint", ["not an address", "ftp://x", "https://", "https://x/path", "https://u:p@x"]
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(KeyStoreRefused):
        GcpKmsKeyStore.open({}, tokens(), endpoint=endpoint)
