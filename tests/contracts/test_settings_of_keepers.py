# SPDX-License-Identifier: Apache-2.0
"""Variables that name a keeper in a cloud, to the call that arrives there: AWS KMS, Google Secret Manager."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import pytest

from contracts.fake_aws_kms import REGION, FakeAwsKms
from contracts.fake_secret_keepers import GOOGLE_TOKEN, FakeSecretManager
from peer import Peer, answer, peer, says
from strongroom.compose import open_key_store, open_secrets, wanted_secrets
from strongroom.config import load_settings
from strongroom.egress.google_identity import EVERYTHING_SCOPE
from strongroom.kernel.secret import Secret
from strongroom.keys import Purpose, SecretsMissing
from strongroom.keys.secrets import google

#: A merchant's key of cards, a merchant's credentials, and a key that is nobody's.
CARD: Final = {"merchant": "mer_1", "mode": "live", "name": "card", "version": "1"}
CREDENTIALS: Final = CARD | {"name": "credentials"}
NOBODYS: Final = CARD | {"merchant": "platform", "mode": "platform"}


@pytest.mark.parametrize(
    ("variables", "aliases"),
    [
        ({}, ["strongroom-card", "strongroom-credential", "strongroom-card"]),
        (
            {"AWS_KMS_MERCHANT_KEYS": "card"},
            ["strongroom-card-mer_1", "strongroom-credential", "strongroom-card"],
        ),
        (
            {"AWS_KMS_MERCHANT_KEYS": "card,credential"},
            ["strongroom-card-mer_1", "strongroom-credential-mer_1", "strongroom-card"],
        ),
        (
            {"AWS_KMS_MERCHANT_KEYS": "credential", "AWS_KMS_KEY_PREFIX": "alias/shop-"},
            ["shop-card", "shop-credential-mer_1", "shop-card"],
        ),
    ],
)
async def test_aws_kms_is_asked_for_the_keys_that_the_settings_name(
    variables: dict[str, str], aliases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    fake = FakeAwsKms()
    for alias in aliases:
        fake.add(f"alias/{alias}")
    async with peer(fake.behaviour()) as server:
        given = {
            "KEY_STORE": "aws-kms",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT": server.url,
        } | variables
        settings = load_settings({f"STRONGROOM_{name}": text for name, text in given.items()})
        store = await open_key_store(settings, Secret("not needed"))
        try:
            for purpose, context in (
                (Purpose.CARD, CARD),
                (Purpose.CREDENTIAL, CREDENTIALS),
                (Purpose.CARD, NOBODYS),
            ):
                await store.generate(purpose, context)
        finally:
            await store.close()
        assert [sent.json()["KeyId"] for sent in server.requests] == [
            f"alias/{alias}" for alias in aliases
        ]
        signed = {sent.headers["authorization"].split("/")[2] for sent in server.requests}
        assert signed == {REGION}


# --- Google Secret Manager ---------------------------------------------------------------------------------


@pytest.fixture
async def secret_manager(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    """A stand-in at the one address that a process calls, which no setting changes."""
    fake = FakeSecretManager({"shop-1/db": [b"one", b'{"password": "hunter2"}']})
    async with peer(fake.behaviour()) as listening:
        monkeypatch.setattr(google, "ENDPOINT", listening.url)
        yield listening


@pytest.fixture
async def exchange() -> AsyncIterator[Peer]:
    """Where the subject of a federation is exchanged for a token."""
    granted = {
        "access_token": GOOGLE_TOKEN,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3_600,
    }
    async with peer(says(answer(json.dumps(granted).encode()))) as listening:
        yield listening


def credentials_in(folder: Path, exchange: Peer) -> Path:
    """Write a file of credentials, as workload identity federation has it."""
    subject, credentials = folder / "subject", folder / "credentials.json"
    subject.write_text("a-jwt-of-the-cluster")
    federation = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{exchange.url}/v1/token",
        "credential_source": {"file": str(subject)},
    }
    credentials.write_text(json.dumps(federation))
    return credentials


@pytest.mark.parametrize(
    ("reference", "value", "version"),
    [
        ("gcp-sm:shop-1/db#password", "hunter2", "latest"),
        ("gcp-sm:shop-1/db@1", "one", "1"),
    ],
)
@pytest.mark.parametrize(
    "variable", ["STRONGROOM_GCP_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"]
)
async def test_a_setting_that_refers_to_secret_manager_is_read_there(
    variable: str,
    reference: str,
    value: str,
    version: str,
    secret_manager: Peer,
    exchange: Peer,
    tmp_path: Path,
) -> None:
    """With the credentials that the settings name, and the one scope that Secret Manager takes."""
    settings = load_settings(
        {
            "STRONGROOM_KEY_FILE_PASSPHRASE": reference,
            variable: str(credentials_in(tmp_path, exchange)),
        }
    )
    book = open_secrets(settings)
    wanted = wanted_secrets(settings, [])
    assert not exchange.requests, "nothing is read before it is asked for"
    await book.load(wanted)
    assert book.at_hand(wanted["STRONGROOM_KEY_FILE_PASSPHRASE"]).expose() == value
    (read,) = secret_manager.requests
    assert read.target == f"/v1/projects/shop-1/secrets/db/versions/{version}:access"
    (exchanged,) = exchange.requests
    assert parse_qs(exchanged.body.decode())["scope"] == [EVERYTHING_SCOPE]


async def test_secret_manager_that_gives_nothing_is_told_by_the_setting(
    secret_manager: Peer, exchange: Peer, tmp_path: Path
) -> None:
    settings = load_settings(
        {
            "STRONGROOM_KEY_FILE_PASSPHRASE": "gcp-sm:shop-1/none",
            "STRONGROOM_GCP_CREDENTIALS": str(credentials_in(tmp_path, exchange)),
        }
    )
    with pytest.raises(SecretsMissing) as missing:
        await open_secrets(settings).load(wanted_secrets(settings, []))
    told = missing.value.faults["STRONGROOM_KEY_FILE_PASSPHRASE"]
    assert told == "gcp-sm:shop-1/none: there is no such secret, or no such version"
    assert secret_manager.requests


def test_secret_manager_is_googles() -> None:
    assert google.ENDPOINT == "https://secretmanager.googleapis.com"
