# SPDX-License-Identifier: Apache-2.0
"""How a process is logged in to the Transit store: by AppRole, renewed and replaced in time, or by a file."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.fake_transit import (
    APPROLE_MOUNT,
    MOUNT,
    NAMESPACE,
    ROLE_ID,
    SECRET_ID,
    FakeTransit,
    key_name,
)
from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from peer import Behaviour, Peer, Sent, answer, cut, peer, says
from strongroom.keys import KeyStore, KeyStoreRefused, KeyStoreUnavailable, Purpose
from strongroom.keys.stores.transit import TransitKeyStore
from strongroom.keys.stores.transit_login import YOUNG_SECONDS, AppRole, TokenFile, TransitIdentity


@pytest.fixture
def secret_id(tmp_path: Path) -> Path:
    path = tmp_path / "secret-id"
    path.touch(stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(SECRET_ID + "\n")
    return path


def by_role(fake: FakeTransit, secret_id: Path) -> AppRole:
    return AppRole(ROLE_ID, secret_id, APPROLE_MOUNT, now=lambda: fake.now)


@asynccontextmanager
async def store_at(
    behaviour: Behaviour, identity: TransitIdentity, seconds: float = 5
) -> AsyncIterator[tuple[TransitKeyStore, Peer]]:
    async with peer(behaviour) as server:
        store = TransitKeyStore.open(
            {purpose: key_name(purpose) for purpose in Purpose},
            identity,
            url=server.url,
            mount=MOUNT,
            namespace=NAMESPACE,
            call_timeout_seconds=seconds,
        )
        yield store, server
        await store.close()


async def wrap(store: KeyStore) -> bytes:
    return await store.wrap(Purpose.CARD, b"key", CONTEXT)


class TestTransitKeyStoreByAppRole(KeyStoreContract):
    @pytest.fixture
    def fake(self) -> FakeTransit:
        return FakeTransit()

    @pytest.fixture
    def rotate(self, fake: FakeTransit) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            fake.keys[key_name(purpose)].rotate()

        return rotate

    @pytest.fixture
    async def store(self, fake: FakeTransit, secret_id: Path) -> AsyncIterator[KeyStore]:
        async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
            yield store
        assert not fake.tokens, "a closed store leaves no token behind"


# --- AppRole ----------------------------------------------------------------------------------------


async def test_a_process_logs_in_once_and_renews_before_the_lease_ends(secret_id: Path) -> None:
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        await asyncio.gather(*(wrap(store) for _ in range(10)))
        assert (fake.logins, fake.renewals) == (1, 0)
        for renewals in (1, 2, 3):
            fake.now += fake.lease_seconds * 0.7
            await asyncio.gather(*(wrap(store) for _ in range(10)))
            assert (fake.logins, fake.renewals) == (1, renewals)


async def test_near_the_longest_life_of_a_token_it_logs_in_anew(secret_id: Path) -> None:
    fake = FakeTransit()
    fake.longest_seconds = 100
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        for _ in range(20):
            await wrap(store)
            fake.now += 15
        assert fake.logins == 4, "every 80 to 100 seconds"


async def test_a_process_that_slept_through_its_lease_logs_in_anew(secret_id: Path) -> None:
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        await wrap(store)
        fake.now += fake.lease_seconds * 2
        await wrap(store)
        assert (fake.logins, fake.renewals) == (2, 0)


async def test_a_token_that_was_revoked_is_replaced_once_within_the_call(secret_id: Path) -> None:
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, server):
        await wrap(store)
        fake.now += YOUNG_SECONDS
        fake.tokens.clear()
        before = len(server.requests)
        await wrap(store)
        assert [sent.target.rpartition("/v1/")[2] for sent in server.requests[before:]] == [
            f"{MOUNT}/encrypt/strongroom-card",
            f"auth/{APPROLE_MOUNT}/login",
            f"{MOUNT}/encrypt/strongroom-card",
        ]


async def test_a_missing_grant_is_no_reason_to_log_in_again_and_again(secret_id: Path) -> None:
    fake = FakeTransit()
    fake.policy = lambda _method, path: not path.endswith("strongroom-card")
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        for _ in range(5):
            with pytest.raises(KeyStoreRefused, match="strongroom-card"):
                await wrap(store)
        assert fake.logins == 1
        fake.now += YOUNG_SECONDS
        for _ in range(5):
            with pytest.raises(KeyStoreRefused):
                await wrap(store)
        assert fake.logins == 2
        await store.generate(Purpose.AUDIT, CONTEXT)


async def test_a_role_needs_no_more_than_the_howto_grants(secret_id: Path) -> None:
    """docs/howto/use-openbao-transit.md: read the key, encrypt, decrypt."""
    granted = {
        ("GET", f"{MOUNT}/keys/strongroom-card"),
        ("POST", f"{MOUNT}/encrypt/strongroom-card"),
        ("POST", f"{MOUNT}/decrypt/strongroom-card"),
    }
    fake = FakeTransit()
    fake.policy = lambda method, path: (method, path) in granted
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        wrapped = await wrap(store)
        await store.unwrap(Purpose.CARD, wrapped, CONTEXT)
        with pytest.raises(KeyStoreRefused):
            await store.generate(Purpose.AUDIT, CONTEXT)


async def test_a_secret_id_that_was_replaced_in_its_file_is_used_at_the_next_login(
    secret_id: Path,
) -> None:
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        await wrap(store)
        fake.secret_ids = {"another"}
        await asyncio.to_thread(secret_id.write_text, "another")
        fake.now += fake.lease_seconds * 2
        await wrap(store)
        assert fake.logins == 2


async def test_a_login_that_is_refused_is_refused_without_what_was_shown(secret_id: Path) -> None:
    fake = FakeTransit()
    fake.secret_ids.clear()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        with pytest.raises(KeyStoreRefused, match="login") as raised:
            await wrap(store)
        assert SECRET_ID not in str(raised.value)
        assert type(raised.value) is KeyStoreRefused


@pytest.mark.parametrize(
    "behaviour",
    [
        says(answer(b"{}", 503)),
        says(answer(b"{}", 429)),
        says(answer(b"{}")),
        says(answer(b"no")),
        cut(),
    ],
)
async def test_a_login_without_an_answer_is_a_store_that_is_away(
    behaviour: Behaviour, secret_id: Path
) -> None:
    async with store_at(behaviour, by_role(FakeTransit(), secret_id)) as (store, server):
        with pytest.raises(KeyStoreUnavailable):
            await wrap(store)
        assert len(server.requests) == 1


async def test_while_no_new_token_is_to_be_had_the_present_one_serves_to_its_end(
    secret_id: Path,
) -> None:
    fake = FakeTransit()
    real = fake.behaviour()

    async def no_logins(sent: Sent, writer: asyncio.StreamWriter) -> bytes | None:
        if "/auth/" in sent.target:
            return answer(b"{}", 503)
        return await real(sent, writer)

    async with store_at(real, by_role(fake, secret_id)) as (store, server):
        await wrap(store)
        server.behaviour = no_logins
        fake.now += fake.lease_seconds * 0.9
        await wrap(store)
        fake.now += fake.lease_seconds * 0.2
        with pytest.raises(KeyStoreUnavailable):
            await wrap(store)
        server.behaviour = real
        await wrap(store)


async def test_a_store_that_is_closed_without_an_answer_closes_all_the_same(
    secret_id: Path,
) -> None:
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, secret_id)) as (store, _):
        await wrap(store)
        fake.gate.clear()
        async with asyncio.timeout(4):
            await store.close()
        fake.gate.set()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 9_000])
async def test_a_file_that_holds_no_secret_id_is_refused(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "secret-id"
    if content is not None:
        path.write_bytes(content)
    fake = FakeTransit()
    async with store_at(fake.behaviour(), by_role(fake, path)) as (store, server):
        with pytest.raises(KeyStoreRefused, match="SecretID"):
            await wrap(store)
        assert not server.requests


# --- a file's token ---------------------------------------------------------------------------------


async def test_a_token_that_was_replaced_in_its_file_is_used_once_the_old_one_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    fake = FakeTransit()
    fake.add_token("one")
    async with store_at(fake.behaviour(), TokenFile(path)) as (store, _):
        await wrap(store)
        del fake.tokens["one"]
        fake.add_token("two")
        path.write_text("two")
        await wrap(store)
    assert "two" in fake.tokens, "it is not ours to revoke"


async def test_a_token_that_is_refused_and_still_in_its_file_is_not_tried_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "token"
    path.write_text("none")
    async with store_at(FakeTransit().behaviour(), TokenFile(path)) as (store, server):
        for calls in (1, 2, 3):
            with pytest.raises(KeyStoreRefused):
                await wrap(store)
            assert len(server.requests) == calls
