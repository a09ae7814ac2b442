# SPDX-License-Identifier: Apache-2.0
"""Tokens for Google Cloud: of the machine, of a file, kept while they last. Fakes answer on loopback."""

import asyncio
import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from peer import Behaviour, Sent, answer, cut, peer, says
from strongroom.egress.fixed import ServiceAway
from strongroom.egress.google_identity import (
    EVERYTHING_SCOPE,
    KMS_SCOPE,
    REFRESH_AHEAD_SECONDS,
    CachedTokens,
    Granted,
    IdentityRefused,
    file_tokens,
    machine_tokens,
)
from strongroom.kernel.secret import Secret

FLAVOUR = "metadata-flavor: Google\r\ncontent-type: application/json\r\n"
GRANTED = b'{"access_token":"ya29.machine","expires_in":3599,"token_type":"Bearer"}'


class Time:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Grants:
    """Grants `token-1`, `token-2`, … for an hour each, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Granted:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Granted(Secret(f"token-{self.asked}"), 3_600)


# --- kept while they last ---------------------------------------------------------------------------


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    grants, time = Grants(), Time()
    tokens = CachedTokens(grants, now=time)
    assert (await tokens.token()).expose() == "token-1"
    time.seconds += 3_600 - REFRESH_AHEAD_SECONDS - 1
    assert (await tokens.token()).expose() == "token-1"
    time.seconds += 2
    assert (await tokens.token()).expose() == "token-2"
    assert grants.asked == 2


async def test_many_who_need_one_ask_once_and_one_who_gives_up_takes_it_from_nobody() -> None:
    grants = Grants()
    grants.gate.clear()
    tokens = CachedTokens(grants, now=Time())
    waiting = [asyncio.create_task(tokens.token()) for _ in range(10)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tokens.token(), 0.01)
    grants.gate.set()
    assert {(await each).expose() for each in waiting} == {"token-1"}
    assert grants.asked == 1


async def test_while_no_new_one_is_granted_the_present_one_serves_to_its_end() -> None:
    grants, time = Grants(), Time()
    tokens = CachedTokens(grants, now=time)
    await tokens.token()
    grants.error = ServiceAway()
    time.seconds += 3_599
    assert (await tokens.token()).expose() == "token-1"
    time.seconds += 2
    with pytest.raises(ServiceAway):
        await tokens.token()


async def test_who_waits_for_a_token_when_it_closes_hears_that_there_is_none() -> None:
    grants = Grants()
    grants.gate.clear()
    tokens = CachedTokens(grants, now=Time())
    waiting = [asyncio.create_task(tokens.token()) for _ in range(3)]
    await asyncio.sleep(0)
    await tokens.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {ServiceAway}


async def test_a_forgotten_token_is_not_used_again() -> None:
    grants = Grants()
    tokens = CachedTokens(grants, now=Time())
    await tokens.token()
    tokens.forget()
    assert (await tokens.token()).expose() == "token-2"


# --- the machine's ----------------------------------------------------------------------------------


async def test_the_machines_token_is_asked_of_the_metadata_server() -> None:
    async with peer(says(answer(GRANTED, headers=FLAVOUR))) as server:
        tokens = machine_tokens(server.url)
        assert (await tokens.token()).expose() == "ya29.machine"
        await tokens.token()
        await tokens.close()
    (sent,) = server.requests
    assert sent.headers["metadata-flavor"] == "Google"
    assert sent.target == "/computeMetadata/v1/instance/service-accounts/default/token"


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (says(answer(b"", 404, FLAVOUR)), IdentityRefused),
        (says(answer(GRANTED)), IdentityRefused),  # some other server that answers under the name
        (says(answer(b"", 302, "location: http://127.0.0.1:1/\r\n")), IdentityRefused),
        (says(answer(b"", 503, FLAVOUR)), ServiceAway),
        (says(answer(b"", 429, FLAVOUR)), ServiceAway),
        (says(answer(b"{}", headers=FLAVOUR)), ServiceAway),
        (says(answer(b'{"a":' + b"[" * 50_000, headers=FLAVOUR)), ServiceAway),
        (cut(), ServiceAway),
    ],
)
async def test_a_machine_without_a_token_is_told_apart_from_a_server_that_is_away(
    behaviour: Behaviour, expected: type[Exception]
) -> None:
    async with peer(behaviour) as server:
        tokens = machine_tokens(server.url)
        with pytest.raises(expected):
            await tokens.token()
        await tokens.close()
    assert len(server.requests) == 1


# --- a file's ---------------------------------------------------------------------------------------


def federation(folder: Path, url: str) -> dict[str, object]:
    subject = folder / "subject"
    subject.write_text("a-jwt-of-the-cluster")
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{url}/v1/token",
        "credential_source": {"file": str(subject)},
    }


def key_file(_folder: Path, url: str) -> dict[str, object]:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "client_email": "vault@shop-1.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "private_key_id": "1",
        "token_uri": f"{url}/token",
    }


@pytest.mark.parametrize("scope", [KMS_SCOPE, EVERYTHING_SCOPE])
@pytest.mark.parametrize("made", [federation, key_file])
async def test_a_file_of_credentials_is_exchanged_for_a_token(
    made: Callable[[Path, str], dict[str, object]], scope: str, tmp_path: Path
) -> None:
    granted = b'{"access_token":"ya29.file","expires_in":3599,"token_type":"Bearer","issued_token_type":"x"}'
    async with peer(says(answer(granted))) as server:
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(made(tmp_path, server.url)))
        tokens = file_tokens(path, scope)
        assert (await tokens.token()).expose() == "ya29.file"
        assert (await tokens.token()).expose() == "ya29.file"
    assert scope in asked_for(server.requests[0].body)
    assert len(server.requests) == 1


def asked_for(body: bytes) -> str:
    """The scope of a request for a token: a field of a federation, in an assertion of a key."""
    fields = dict(parse_qsl(body.decode()))
    if "assertion" not in fields:
        return fields["scope"]
    claims = fields["assertion"].split(".")[1]
    return str(json.loads(urlsafe_b64decode(claims + "=="))["scope"])


def test_it_stands_on_nothing_that_production_has_not() -> None:
    """Google's library has parts that need `requests`, which only the tests' other tools bring along."""
    program = (
        "import sys; sys.modules['requests'] = None\n"
        "from pathlib import Path\n"
        "from strongroom.egress import google_identity as identity\n"
        "from google.oauth2 import service_account\n"
        "from google.auth import identity_pool, transport\n"
        "import google.auth.transport.urllib3\n"
        "try: identity._granted(Path('/dev/null'), identity.KMS_SCOPE)\n"
        "except identity.IdentityRefused: print('as it should')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "as it should\n"


async def test_a_file_that_google_refuses_is_told_without_what_it_holds(tmp_path: Path) -> None:
    refused = answer(b'{"error":"invalid_grant","error_description":"a-jwt-of-the-cluster"}', 400)
    async with peer(says(refused)) as server:
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(federation(tmp_path, server.url)))
        with pytest.raises(IdentityRefused) as raised:
            await file_tokens(path).token()
    assert raised.value.__cause__ is None
    assert "a-jwt" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"type":"other"}', '{"type":"service_account"}']
)
async def test_what_is_no_file_of_credentials_is_refused(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(IdentityRefused):
        await file_tokens(path).token()


async def test_a_server_of_tokens_that_is_away_is_away(tmp_path: Path) -> None:
    async def behave(_sent: Sent, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with peer(behave) as server:
        path = tmp_path / "credentials.json"
        path.write_text(json.dumps(federation(tmp_path, server.url)))
        with pytest.raises(ServiceAway):
            await file_tokens(path).token()
