# SPDX-License-Identifier: Apache-2.0
"""What AWS KMS may answer when it does not do what was asked, and what we make of it. One attempt each."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiobotocore.session import AioSession, get_session

from strongroom.keys import (
    CannotUnwrap,
    KeyStoreRefused,
    KeyStoreUnavailable,
    Purpose,
    RootDisabled,
)
from strongroom.keys.stores.aws_kms import CALLS_AT_ONCE, AwsKmsKeyStore

CONTEXT = {"merchant": "mer_1"}


class Stub:
    """A server that answers every request with the same bytes, or hangs up, and counts."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.held = 0
        self.most_held = 0
        self.full = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
                self.requests.append(await reader.readexactly(length))
                self.held += 1
                self.most_held = max(self.held, self.most_held)
                if self.held == CALLS_AT_ONCE:
                    self.full.set()
                await self.release.wait()
                self.held -= 1
                if self.answer is not None:
                    writer.write(self.answer)
                    await writer.drain()
                if self.answer in HANGS_UP_AFTER:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(status: int, body: object) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    ).encode() + content


def fault(status: int, code: str) -> bytes:
    return answer(status, {"__type": code, "message": "told in AWS's words"})


@functools.cache  # it reads AWS's large service descriptions once
def session() -> AioSession:
    made = get_session()
    made.set_credentials("testing", "testing")
    return made


@asynccontextmanager
async def store_at(
    stub: Stub, *, call_timeout_seconds: float = 5, port: int | None = None
) -> AsyncIterator[AwsKmsKeyStore]:
    async with await asyncio.start_server(stub.serve, "127.0.0.1", 0) as server:
        port = port or server.sockets[0].getsockname()[1]
        store = await AwsKmsKeyStore.open(
            dict.fromkeys(Purpose, "alias/root"),
            region="me-central-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            session=session(),
            call_timeout_seconds=call_timeout_seconds,
        )
        yield store
        stub.release.set()
        await store.close()


CALLS: dict[str, Callable[[AwsKmsKeyStore], object]] = {
    "generate": lambda store: store.generate(Purpose.CARD, CONTEXT),
    "wrap": lambda store: store.wrap(Purpose.CARD, b"key", CONTEXT),
    "unwrap": lambda store: store.unwrap(Purpose.CARD, b"wrapped", CONTEXT),
    "describe": lambda store: store.describe(),
}

CUT = answer(200, {"Plaintext": "eA=="})[:-4]
NO_HTTP = b"SSH-2.0-OpenSSH\r\n\r\n"
HANGS_UP_AFTER = (None, CUT, NO_HTTP)

ANSWERS = [
    ("disabled", fault(400, "DisabledException"), RootDisabled),
    ("pending deletion", fault(400, "KMSInvalidStateException"), RootDisabled),
    ("altered or other context", fault(400, "InvalidCiphertextException"), CannotUnwrap),
    ("wrapped by another root", fault(400, "IncorrectKeyException"), CannotUnwrap),
    ("throttled", fault(400, "ThrottlingException"), KeyStoreUnavailable),
    ("over a limit", fault(400, "LimitExceededException"), KeyStoreUnavailable),
    ("key material away", fault(500, "KeyUnavailableException"), KeyStoreUnavailable),
    ("a dependency is slow", fault(503, "DependencyTimeoutException"), KeyStoreUnavailable),
    ("broken inside", fault(500, "KMSInternalException"), KeyStoreUnavailable),
    ("broken in a new way", fault(500, "NewException"), KeyStoreUnavailable),
    ("a proxy's page", answer(502, b"<html>bad gateway</html>"), KeyStoreUnavailable),
    ("not granted", fault(400, "AccessDeniedException"), KeyStoreRefused),
    ("no such key", fault(400, "NotFoundException"), KeyStoreRefused),
    ("another kind of key", fault(400, "InvalidKeyUsageException"), KeyStoreRefused),
    ("credentials ran out", fault(400, "ExpiredTokenException"), KeyStoreRefused),
    ("refused in a new way", fault(400, "NewException"), KeyStoreRefused),
    ("not JSON", answer(200, b"not json"), KeyStoreUnavailable),
    ("not base64", answer(200, {"Plaintext": "%", "CiphertextBlob": "%"}), KeyStoreUnavailable),
    ("broken base64", answer(200, {"Plaintext": "eA", "CiphertextBlob": "e"}), KeyStoreUnavailable),
    ("nothing in it", answer(200, {}), KeyStoreUnavailable),
    ("a list", answer(200, []), KeyStoreUnavailable),
    ("cut in the middle", CUT, KeyStoreUnavailable),
    ("no HTTP", NO_HTTP, KeyStoreUnavailable),
    ("hung up", None, KeyStoreUnavailable),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [(reply, expected) for _, reply, expected in ANSWERS],
    ids=[name for name, *_ in ANSWERS],
)
async def test_an_answer_becomes_one_of_our_errors_after_one_attempt(
    reply: bytes | None, expected: type[Exception], call: str
) -> None:
    stub = Stub(reply)
    async with store_at(stub) as store:
        with pytest.raises(expected) as raised:
            await CALLS[call](store)  # type: ignore[misc]
        assert type(raised.value) is expected
        assert "AWS's words" not in str(raised.value)
    assert len(stub.requests) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_is_not_there_is_unavailable(call: str) -> None:
    async with await asyncio.start_server(Stub(None).serve, "127.0.0.1", 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    async with store_at(Stub(None), port=port) as store:
        with pytest.raises(KeyStoreUnavailable):
            await CALLS[call](store)  # type: ignore[misc]


async def test_a_store_that_does_not_answer_is_given_up_and_so_are_those_who_queue() -> None:
    stub = Stub(None)
    stub.release.clear()
    async with store_at(stub, call_timeout_seconds=0.3) as store:
        calls = [store.generate(Purpose.CARD, CONTEXT) for _ in range(CALLS_AT_ONCE * 3)]
        async with asyncio.timeout(5):
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {KeyStoreUnavailable}


async def test_no_more_than_the_bound_reach_the_store_at_once() -> None:
    new = answer(200, {"Plaintext": "A" * 43 + "=", "CiphertextBlob": "eA=="})
    stub = Stub(new)
    stub.release.clear()
    async with store_at(stub) as store:
        calls = [
            asyncio.create_task(store.generate(Purpose.CARD, CONTEXT))
            for _ in range(CALLS_AT_ONCE * 3)
        ]
        async with asyncio.timeout(5):
            await stub.full.wait()
            stub.release.set()
            assert {len((await call).plaintext.expose()) for call in calls} == {32}
    assert stub.most_held == CALLS_AT_ONCE
    assert len(stub.requests) == CALLS_AT_ONCE * 3


async def test_a_call_names_its_key_its_context_and_its_purpose() -> None:
    stub = Stub(fault(500, "KMSInternalException"))
    async with store_at(stub) as store:
        for call in CALLS.values():
            with pytest.raises(KeyStoreUnavailable):
                await call(store)  # type: ignore[misc]
    bodies = [json.loads(request) for request in stub.requests]
    assert all(body["KeyId"] == "alias/root" for body in bodies)
    assert [body.get("EncryptionContext") for body in bodies] == [
        *[{"merchant": "mer_1", "strongroom:purpose": "card"}] * 3,
        None,
    ]


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        ("Enabled", True),
        ("Creating", False),
        ("Disabled", False),
        ("PendingDeletion", False),
        ("PendingImport", False),
        ("Unavailable", False),
        ("Updating", False),
    ],
)
async def test_a_root_is_enabled_only_if_its_state_says_so(
    state: str,
    enabled: bool,  # noqa: FBT001 - a table's column
) -> None:
    metadata = {
        "Arn": "arn:x",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CreationDate": 1.7e9,
        "KeyState": state,
    }
    async with store_at(Stub(answer(200, {"KeyMetadata": metadata}))) as store:
        assert {root.enabled for root in await store.describe()} == {enabled}


async def test_a_data_key_of_another_length_is_not_taken() -> None:
    async with store_at(
        Stub(answer(200, {"Plaintext": "eA==", "CiphertextBlob": "eA=="}))
    ) as store:
        with pytest.raises(KeyStoreUnavailable):
            await store.generate(Purpose.CARD, CONTEXT)
        assert (await store.unwrap(Purpose.CARD, b"wrapped", CONTEXT)).expose() == b"x"


async def test_aws_is_not_asked_to_unwrap_nothing() -> None:
    stub = Stub(None)
    async with store_at(stub) as store:
        with pytest.raises(CannotUnwrap):
            await store.unwrap(Purpose.CARD, b"", CONTEXT)
    assert not stub.requests


async def test_settings_that_make_no_client_are_refused() -> None:
    with pytest.raises(KeyStoreRefused):
        await AwsKmsKeyStore.open(
            {}, region="me-central-1", endpoint_url="not an address", session=session()
        )
