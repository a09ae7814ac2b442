# SPDX-License-Identifier: Apache-2.0
"""The Transit engine of OpenBao or HashiCorp Vault as a key store: the suite over a fake, and what only it can meet.

The suite runs against a real server as well where there is one: tests/contracts/test_transit_server.py.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.fake_transit import MADE, MOUNT, NAMESPACE, FakeTransit, key_name
from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from peer import Behaviour, Peer, answer, cut, peer, reset, says, silent
from strongroom.keys import (
    CannotUnwrap,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.stores.transit import TransitKeyStore
from strongroom.keys.stores.transit_login import TokenFile

TOKEN = "hvs.a-token-that-a-file-holds"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def open_store(url: Any, token_file: Any, **more: Any) -> TransitKeyStore:
    return TransitKeyStore.open(
        {purpose: key_name(purpose) for purpose in Purpose},
        TokenFile(token_file),
        **{"url": url, "mount": MOUNT, "namespace": NAMESPACE} | more,
    )


@asynccontextmanager
async def store_at(
    behaviour: Behaviour, token_file: Path, **more: Any
) -> AsyncIterator[tuple[TransitKeyStore, Peer]]:
    async with peer(behaviour) as server:
        store = open_store(server.url, token_file, **more)
        yield store, server
        await store.close()


def faked() -> FakeTransit:
    fake = FakeTransit()
    fake.add_token(TOKEN)
    return fake


class TestTransitKeyStore(KeyStoreContract):
    @pytest.fixture
    def fake(self) -> FakeTransit:
        return faked()

    @pytest.fixture
    async def store(self, fake: FakeTransit, token_file: Path) -> AsyncIterator[KeyStore]:
        async with store_at(fake.behaviour(), token_file) as (store, _):
            yield store

    @pytest.fixture
    def rotate(self, fake: FakeTransit) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            fake.keys[key_name(purpose)].rotate()

        return rotate


class TestDerivedTransitKeyStore(TestTransitKeyStore):
    """Keys that derive one for each context, which is then bound twice."""

    @pytest.fixture
    def fake(self) -> FakeTransit:
        fake = faked()
        for key in fake.keys.values():
            key.settings["derived"] = True
        return fake


CALLS: dict[str, Callable[[KeyStore], Any]] = {
    "generate": lambda store: store.generate(Purpose.CARD, CONTEXT),
    "wrap": lambda store: store.wrap(Purpose.CARD, b"key", CONTEXT),
    "unwrap": lambda store: store.unwrap(
        Purpose.CARD, b"\x01\x00\x00\x00\x01" + bytes(60), CONTEXT
    ),
    "describe": lambda store: store.describe(),
}


# --- what a root must be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"exportable": True},
        {"allow_plaintext_backup": True},
        {"derived": True, "convergent_encryption": True},
        {"type": "aes128-gcm96"},
        {"type": "rsa-4096"},
    ],
    ids=str,
)
async def test_a_key_that_is_no_root_wraps_nothing_and_still_opens(
    settings: dict[str, Any], token_file: Path
) -> None:
    fake = faked()
    async with store_at(fake.behaviour(), token_file) as (store, server):
        new = await store.generate(Purpose.CARD, CONTEXT)
    async with store_at(fake.behaviour(), token_file) as (store, server):
        fake.keys[key_name(Purpose.CARD)].settings = dict(settings)
        for call in ("generate", "wrap", "describe"):
            with pytest.raises(KeyStoreRefused, match=key_name(Purpose.CARD)):
                await CALLS[call](store)
        assert not any("encrypt" in sent.target for sent in server.requests)
        if "derived" not in settings:
            await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
        await store.generate(Purpose.AUDIT, CONTEXT)


async def test_a_root_that_becomes_exportable_wraps_no_more_once_it_was_looked_at(
    token_file: Path,
) -> None:
    fake = faked()
    async with store_at(fake.behaviour(), token_file) as (store, _):
        await store.generate(Purpose.CARD, CONTEXT)
        fake.keys[key_name(Purpose.CARD)].settings["exportable"] = True
        for _ in range(2):
            with pytest.raises(KeyStoreRefused):
                await store.describe()
        with pytest.raises(KeyStoreRefused):
            await store.generate(Purpose.CARD, CONTEXT)


async def test_a_server_that_binds_nothing_is_refused(token_file: Path) -> None:
    fake = faked()
    fake.ignores_associated_data = True
    async with store_at(fake.behaviour(), token_file) as (store, _):
        for _ in range(2):
            with pytest.raises(KeyStoreRefused, match="too old"):
                await store.generate(Purpose.CARD, CONTEXT)


async def test_whether_a_server_binds_is_tried_once_for_each_root(token_file: Path) -> None:
    async with store_at(faked().behaviour(), token_file) as (store, server):
        for purpose in (Purpose.CARD, Purpose.CARD, Purpose.AUDIT):
            await store.generate(purpose, CONTEXT)
            await store.describe()
    encrypted = [sent.target for sent in server.requests if "/encrypt/" in sent.target]
    assert len(encrypted) == 2 + 1 + 2


async def test_a_key_that_is_not_there_is_refused_and_not_made(token_file: Path) -> None:
    fake = faked()
    del fake.keys[key_name(Purpose.CARD)]
    async with store_at(fake.behaviour(), token_file) as (store, server):
        for call in CALLS.values():
            with pytest.raises(KeyStoreRefused, match=f"no key {key_name(Purpose.CARD)}"):
                await call(store)
    # A server makes a key that is not there when it is asked to encrypt, if the policy lets it.
    assert not any("/encrypt/" in sent.target for sent in server.requests)


async def test_a_root_that_is_off(token_file: Path) -> None:
    fake = faked()
    async with store_at(fake.behaviour(), token_file) as (store, _):
        new = await store.generate(Purpose.CARD, CONTEXT)
        fake.keys[key_name(Purpose.CARD)].settings["soft_deleted"] = True
        for call in (
            store.generate(Purpose.CARD, CONTEXT),
            store.unwrap(Purpose.CARD, new.wrapped, CONTEXT),
        ):
            with pytest.raises(RootDisabled):
                await call
        off = [root.purpose for root in await store.describe() if not root.enabled]
        assert off == [Purpose.CARD]


async def test_what_an_older_version_wrapped_opens_until_it_is_off(token_file: Path) -> None:
    fake = faked()
    key = fake.keys[key_name(Purpose.CARD)]
    async with store_at(fake.behaviour(), token_file) as (store, _):
        before = await store.generate(Purpose.CARD, CONTEXT)
        key.rotate()
        after = await store.generate(Purpose.CARD, CONTEXT)
        for new in (before, after):
            opened = await store.unwrap(Purpose.CARD, new.wrapped, CONTEXT)
            assert opened.expose() == new.plaintext.expose()
        key.min_decryption_version = 2
        with pytest.raises(RootDisabled):
            await store.unwrap(Purpose.CARD, before.wrapped, CONTEXT)
        await store.unwrap(Purpose.CARD, after.wrapped, CONTEXT)


async def test_a_root_is_described_by_its_newest_version(token_file: Path) -> None:
    fake = faked()
    key = fake.keys[key_name(Purpose.CARD)]
    async with store_at(fake.behaviour(), token_file) as (store, _):
        key.rotate()
        key.settings["auto_rotate_period"] = 90 * 86_400
        roots = {root.purpose: root for root in await store.describe()}
        made = datetime.fromtimestamp(MADE, UTC) + timedelta(days=1)
        assert roots[Purpose.CARD].key_id == f"{MOUNT}/strongroom-card/2"
        assert roots[Purpose.CARD].algorithm == "aes256-gcm96"
        assert roots[Purpose.CARD].created == made
        assert roots[Purpose.CARD].rotates_at == made + timedelta(days=90)
        assert roots[Purpose.AUDIT].rotates_at is None


# --- what is kept -----------------------------------------------------------------------------------


async def test_what_is_kept_has_one_spelling(token_file: Path) -> None:
    """The server takes version 0 for 1 and base64 of several spellings: none of that reaches it."""
    async with store_at(faked().behaviour(), token_file) as (store, _):
        wrapped = await store.wrap(Purpose.CARD, b"key", CONTEXT)
        assert wrapped[:5] == b"\x01\x00\x00\x00\x01"
        for other in (b"\x01\x00\x00\x00\x00" + wrapped[5:], b"\x02" + wrapped[1:]):
            with pytest.raises(CannotUnwrap):
                await store.unwrap(Purpose.CARD, other, CONTEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vault:v0:AAAA",
        "vault:v1:",
        "vault:v1:AA",
        "vault:v1:A A=",
        "other:v1:AAAA",
        "vault:v1:AA\nAA",
    ],
)
async def test_a_wrapped_key_in_no_known_spelling_is_not_kept(text: str, token_file: Path) -> None:
    fake = faked()
    async with store_at(fake.behaviour(), token_file) as (store, server):
        await store.generate(Purpose.CARD, CONTEXT)
        server.behaviour = says(answer(msgspec.json.encode({"data": {"ciphertext": text}})))
        with pytest.raises(KeyStoreUnavailable):
            await store.generate(Purpose.CARD, CONTEXT)


async def test_the_associated_data_is_stable(token_file: Path) -> None:
    async with store_at(faked().behaviour(), token_file) as (store, server):
        await store.wrap(Purpose.CARD, b"key", {"merchant": "mer_1"})
        sent = server.requests[-1]
        assert sent.target == f"/v1/{MOUNT}/encrypt/strongroom-card"
        assert sent.headers["x-vault-namespace"] == NAMESPACE
        body = sent.json()
        # What is stored was wrapped under these bytes: they never change.
        assert base64.b64decode(body["associated_data"]) == (
            b"24:strongroom wrapped key 18:merchant5:mer_118:strongroom:purpose4:card"
        )
        assert set(body) == {"plaintext", "associated_data"}


# --- what a server may answer -----------------------------------------------------------------------


def fault(status: int, *errors: str) -> bytes:
    return answer(msgspec.json.encode({"errors": list(errors)}), status)


#: What is answered, and what becomes of it; when unwrapping only if it is another.
ANSWERS: dict[str, tuple[Behaviour, type[Exception], type[Exception] | None]] = {
    "altered": (
        says(fault(400, "cipher: message authentication failed")),
        KeyStoreRefused,
        CannotUnwrap,
    ),
    "altered, in older words": (
        says(fault(400, "invalid ciphertext: unable to decrypt")),
        KeyStoreRefused,
        CannotUnwrap,
    ),
    "version is off": (
        says(fault(400, "ciphertext or signature version is disallowed by policy (too old)")),
        RootDisabled,
        None,
    ),
    "refused in new words": (says(fault(400, "told in new words")), KeyStoreRefused, None),
    "refused without words": (says(answer(b"<html>", 400)), KeyStoreRefused, None),
    "no such key": (says(fault(400, "encryption key not found")), KeyStoreRefused, None),
    "no such path": (says(fault(404, "no handler for route")), KeyStoreRefused, None),
    "not granted": (says(fault(403, "permission denied")), KeyStoreRefused, None),
    "lags behind": (
        says(fault(412, "required index state not present")),
        KeyStoreUnavailable,
        None,
    ),
    "throttled": (
        says(fault(429, "request path: rate limit quota exceeded")),
        KeyStoreUnavailable,
        None,
    ),
    "a standby": (says(fault(473)), KeyStoreUnavailable, None),
    "sealed": (says(fault(503, "Vault is sealed")), KeyStoreUnavailable, None),
    "broken inside": (says(fault(500, "internal error")), KeyStoreUnavailable, None),
    "sent elsewhere": (
        says(answer(b"", 307, "location: http://127.0.0.1:1/\r\n")),
        KeyStoreUnavailable,
        None,
    ),
    "nothing": (says(answer(b"", 204)), KeyStoreUnavailable, None),
    "not JSON": (says(answer(b"not json")), KeyStoreUnavailable, None),
    "nested without end": (says(answer(b'{"a":' + b"[" * 50_000)), KeyStoreUnavailable, None),
    "a refusal nested without end": (
        says(answer(b'{"error":' + b"[" * 50_000, 400)),
        KeyStoreRefused,
        None,
    ),
    "nothing in it": (says(answer(b"{}")), KeyStoreUnavailable, None),
    "not base64": (
        says(answer(b'{"data":{"ciphertext":"%","plaintext":"%","keys":{},"type":"x"}}')),
        KeyStoreUnavailable,
        None,
    ),
    "an empty key": (
        says(answer(b'{"data":{"ciphertext":"","plaintext":"","keys":{}}}')),
        KeyStoreUnavailable,
        None,
    ),
    "endless": (says(answer(b" " * 300_000)), KeyStoreUnavailable, None),
    "cut in the middle": (cut(answer(b'{"data":{}}')[:-4]), KeyStoreUnavailable, None),
    "no HTTP": (cut(b"SSH-2.0-OpenSSH\r\n\r\n"), KeyStoreUnavailable, None),
    "hung up": (cut(), KeyStoreUnavailable, None),
    "reset": (reset(), KeyStoreUnavailable, None),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_becomes_one_of_our_errors_after_one_attempt(
    name: str, call: str, token_file: Path
) -> None:
    behaviour, expected, unwrapping = ANSWERS[name]
    if call == "unwrap" and unwrapping is not None:
        expected = unwrapping
    async with store_at(faked().behaviour(), token_file) as (store, server):
        await store.generate(Purpose.CARD, CONTEXT)  # it knows its root
        server.behaviour, before = behaviour, len(server.requests)
        with pytest.raises(expected) as raised:
            await CALLS[call](store)
        assert type(raised.value) is expected
        assert "told in new words" not in str(raised.value)
        assert len(server.requests) == before + 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"])
async def test_a_store_that_is_slow_is_given_up(said: bytes, call: str, token_file: Path) -> None:
    async with store_at(silent(said), token_file, call_timeout_seconds=0.2) as (store, _):
        async with asyncio.timeout(5):
            with pytest.raises(KeyStoreUnavailable):
                await CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_is_not_there_is_unavailable(call: str, token_file: Path) -> None:
    async with store_at(says(answer()), token_file) as (_, gone):
        pass
    store = open_store(gone.url, token_file)
    with pytest.raises(KeyStoreUnavailable):
        await CALLS[call](store)
    await store.close()


async def test_bytes_that_are_no_wrapped_key_are_not_sent(token_file: Path) -> None:
    async with store_at(says(answer()), token_file) as (store, server):
        for none in (
            b"",
            b"\x01",
            b"\x01\x00\x00\x00\x01",
            b"x" * 40,
            b"\x01\x00\x00\x00\x01" + bytes(20_000),
        ):
            with pytest.raises(CannotUnwrap):
                await store.unwrap(Purpose.CARD, none, CONTEXT)
    assert not server.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "not an address"},
        {"url": "https://bao.example/v1"},
        {"mount": ""},
        {"mount": "../sys"},
        {"mount": "a//b"},
        {"mount": "transit?x"},
        {"namespace": "a b"},
        {"namespace": "a\r\nx-vault-token: b"},
        {"authorities": Path("/nowhere.pem")},
    ],
    ids=str,
)
def test_settings_that_make_no_client_are_refused(wrong: dict[str, Any], token_file: Path) -> None:
    with pytest.raises(KeyStoreRefused):
        open_store(**({"url": "https://bao.example", "token_file": token_file} | wrong))
