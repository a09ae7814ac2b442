# SPDX-License-Identifier: Apache-2.0
"""The key store suite over the file, AWS KMS (a moto server) and the strict fake."""

import functools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiobotocore.session import AioSession, get_session
from moto.server import ThreadedMotoServer

from contracts.fakes import FakeKeyStore
from contracts.key_store import CONTEXT, KeyStoreContract, Rotate
from strongroom.kernel.secret import Secret
from strongroom.keys import (
    CannotUnwrap,
    KeyStore,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.stores.aws_kms import AwsKmsKeyStore
from strongroom.keys.stores.file import FileKeyStore

PASSPHRASE = Secret("correct horse battery staple")
REGION = "me-central-1"


class TestFakeKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self) -> KeyStore:
        return FakeKeyStore()


class TestFileKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[KeyStore]:
        store = FileKeyStore.create(tmp_path / "roots", PASSPHRASE, datetime.now(UTC))
        yield store
        await store.close()

    @pytest.fixture
    def rotate(self, store: FileKeyStore) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            store.rotate_root(purpose, datetime.now(UTC))

        return rotate


@functools.cache  # it reads AWS's large service descriptions once
def aws_session() -> AioSession:
    session = get_session()
    session.set_credentials("testing", "testing")
    return session


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
async def moto_roots(moto_endpoint: str) -> dict[Purpose, str]:
    """One KMS key per purpose: half of them named by ARN, half by alias."""
    roots: dict[Purpose, str] = {}
    async with aws_session().create_client(
        "kms", region_name=REGION, endpoint_url=moto_endpoint
    ) as client:
        for number, purpose in enumerate(Purpose):
            made = await client.create_key(Description=f"strongroom {purpose}")
            alias = f"alias/strongroom-{purpose}"
            await client.create_alias(AliasName=alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
            roots[purpose] = alias if number % 2 else made["KeyMetadata"]["Arn"]
    return roots


class TestAwsKmsKeyStore(KeyStoreContract):
    # A blob begins with the id of its key. For an id it does not know KMS answers AccessDenied, so as not to
    # say which keys exist; we hand that on as refused.
    first_altered_byte = 36
    refuses_foreign_bytes_with = (CannotUnwrap, KeyStoreRefused)

    @pytest.fixture
    async def store(
        self, moto_endpoint: str, moto_roots: dict[Purpose, str]
    ) -> AsyncIterator[KeyStore]:
        store = await AwsKmsKeyStore.open(
            moto_roots, region=REGION, endpoint_url=moto_endpoint, session=aws_session()
        )
        yield store
        await store.close()

    @pytest.fixture
    def rotate(self, moto_endpoint: str, moto_roots: dict[Purpose, str]) -> Rotate:
        async def rotate(purpose: Purpose) -> None:
            async with aws_session().create_client(
                "kms", region_name=REGION, endpoint_url=moto_endpoint
            ) as client:
                root = await client.describe_key(KeyId=moto_roots[purpose])
                await client.rotate_key_on_demand(KeyId=root["KeyMetadata"]["KeyId"])

        return rotate

    async def test_a_role_has_only_the_roots_it_was_granted(
        self, moto_endpoint: str, moto_roots: dict[Purpose, str]
    ) -> None:
        audit_only = await AwsKmsKeyStore.open(
            {Purpose.AUDIT: moto_roots[Purpose.AUDIT]},
            region=REGION,
            endpoint_url=moto_endpoint,
            session=aws_session(),
        )
        assert [root.purpose for root in await audit_only.describe()] == [Purpose.AUDIT]
        with pytest.raises(KeyStoreRefused):
            await audit_only.generate(Purpose.CARD, CONTEXT)
        await audit_only.close()

    async def test_a_root_that_does_not_exist_is_refused(self, moto_endpoint: str) -> None:
        store = await AwsKmsKeyStore.open(
            {Purpose.CARD: "alias/strongroom-none"},
            region=REGION,
            endpoint_url=moto_endpoint,
            session=aws_session(),
        )
        with pytest.raises(KeyStoreRefused):
            await store.generate(Purpose.CARD, CONTEXT)
        with pytest.raises(KeyStoreRefused):
            await store.describe()
        await store.close()


# --- what moto gets wrong, on the strict fake --------------------------------------------------------------

FAULTS = [
    ("disabled", RootDisabled),
    ("pending deletion", RootDisabled),
    ("throttled", KeyStoreUnavailable),
    ("away", KeyStoreUnavailable),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[fault for fault, _ in FAULTS])
async def test_a_failing_root_wraps_and_unwraps_nothing(
    fault: str, expected: type[Exception]
) -> None:
    store = FakeKeyStore()
    new = await store.generate(Purpose.CARD, CONTEXT)
    match fault:
        case "disabled":
            store.disable(Purpose.CARD)
        case "pending deletion":
            store.schedule_deletion(Purpose.CARD)
        case "throttled":
            store.throttled = True
        case _:
            store.away = True
    for call in (
        store.generate(Purpose.CARD, CONTEXT),
        store.wrap(Purpose.CARD, b"x", CONTEXT),
        store.unwrap(Purpose.CARD, new.wrapped, CONTEXT),
    ):
        with pytest.raises(expected):
            await call


async def test_a_disabled_root_is_described_as_such_and_leaves_the_others_alone() -> None:
    store = FakeKeyStore()
    store.disable(Purpose.CARD)
    assert [root.purpose for root in await store.describe() if not root.enabled] == [Purpose.CARD]
    await store.generate(Purpose.AUDIT, CONTEXT)
    store.enable(Purpose.CARD)
    await store.generate(Purpose.CARD, CONTEXT)
