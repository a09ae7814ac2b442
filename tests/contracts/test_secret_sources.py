# SPDX-License-Identifier: Apache-2.0
"""Secrets that are kept elsewhere: Secrets Manager (a moto server), strict fakes of Google's and of a KV engine."""

import functools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiobotocore.session import AioSession, get_session
from moto.server import ThreadedMotoServer

from contracts.fake_secret_keepers import (
    GOOGLE_TOKEN,
    NAMESPACE,
    VAULT_TOKEN,
    FakeKv,
    FakeSecretManager,
)
from peer import Peer, answer, cut, peer, says
from strongroom.compose import open_secrets
from strongroom.config import Settings, parse_reference
from strongroom.egress.fixed import FixedService
from strongroom.egress.google_identity import CachedTokens, Granted
from strongroom.kernel.secret import Secret
from strongroom.keys import SecretsMissing, SecretUnreadable
from strongroom.keys.secrets.aws import AwsSecrets
from strongroom.keys.secrets.google import GoogleSecrets
from strongroom.keys.secrets.local import FileSecrets
from strongroom.keys.secrets.openbao import VaultSecrets
from strongroom.keys.secrets.ports import SecretKeeper
from strongroom.keys.stores.transit_login import TokenFile

REGION = "me-central-1"


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


@pytest.fixture
def aws(moto_endpoint: str) -> AwsSecrets:
    return AwsSecrets(region=REGION, endpoint_url=moto_endpoint, session=aws_session())


async def put_aws(endpoint: str, name: str, text: str) -> None:
    async with aws_session().create_client(
        "secretsmanager", region_name=REGION, endpoint_url=endpoint
    ) as client:
        await client.create_secret(Name=name, SecretString=text)


async def stages(endpoint: str, name: str) -> dict[str, str]:
    """Return what stands at each stage of a secret."""
    async with aws_session().create_client(
        "secretsmanager", region_name=REGION, endpoint_url=endpoint
    ) as client:
        described = await client.describe_secret(SecretId=name)
        found = {}
        for version, names in described["VersionIdsToStages"].items():
            for stage in names:
                answered = await client.get_secret_value(SecretId=name, VersionId=version)
                found[stage] = answered["SecretString"]
        return found


# --- Secrets Manager ---------------------------------------------------------------------------------------


async def test_secrets_manager_is_read_whole_and_by_field(
    aws: AwsSecrets, moto_endpoint: str
) -> None:
    await put_aws(moto_endpoint, "read/db", '{"password": "hunter2", "user": "app"}')
    await put_aws(moto_endpoint, "read/plain", "hunter3")
    for text, expected in {
        "aws-sm:read/db#password": "hunter2",
        "aws-sm:read/db#user@AWSCURRENT": "app",
        "aws-sm:read/plain": "hunter3",
    }.items():
        assert (await aws.read(parse_reference(text))).expose() == expected
    for text in (
        "aws-sm:read/none",
        "aws-sm:read/plain#password",
        "aws-sm:read/db#none",
        "aws-sm:read/db#user@AWSPREVIOUS",
    ):
        with pytest.raises(SecretUnreadable) as refused:
            await aws.read(parse_reference(text))
        assert "hunter" not in refused.value.detail


async def test_secrets_manager_away_is_unreadable() -> None:
    away = AwsSecrets(region=REGION, endpoint_url="http://127.0.0.1:9", session=aws_session())
    with pytest.raises(SecretUnreadable, match="does not answer"):
        await away.read(parse_reference("aws-sm:db"))


# --- the steps of a rotation, on every keeper --------------------------------------------------------------


@pytest.fixture(params=["file", "aws-sm:whole", "aws-sm:field"])
async def kept(
    request: pytest.FixtureRequest, tmp_path: Path, moto_endpoint: str, aws: AwsSecrets
) -> tuple[SecretKeeper, str]:
    """Return a keeper and a reference to a secret whose value is `one`."""
    match request.param:
        case "file":
            (tmp_path / "secret").write_text("one\n", "utf-8")
            return FileSecrets(), f"file:{tmp_path / 'secret'}"
        case "aws-sm:whole":
            name = f"rotated/{tmp_path.name}"
            await put_aws(moto_endpoint, name, "one")
            return aws, f"aws-sm:{name}"
        case _:
            name = f"rotated-field/{tmp_path.name}"
            await put_aws(moto_endpoint, name, '{"user": "app", "password": "one"}')
            return aws, f"aws-sm:{name}#password"


async def test_a_value_is_pending_until_it_is_finished(kept: tuple[SecretKeeper, str]) -> None:
    keeper, text = kept
    reference = parse_reference(text)
    assert await keeper.pending(reference) is None
    await keeper.finish(reference)  # nothing is pending: nothing happens
    await keeper.create(reference, Secret("two"))
    await keeper.create(reference, Secret("three"))  # one is there, which may be in use by now
    pending = await keeper.pending(reference)
    assert pending is not None
    assert pending.expose() == "two"
    assert (await keeper.read(reference)).expose() == "one"
    await keeper.finish(reference)
    assert (await keeper.read(reference)).expose() == "two"
    assert await keeper.pending(reference) is None
    await keeper.finish(reference)
    assert (await keeper.read(reference)).expose() == "two"
    await keeper.create(reference, Secret("three"))
    await keeper.finish(reference)
    assert (await keeper.read(reference)).expose() == "three"


async def test_secrets_manager_keeps_the_version_before_and_the_other_fields(
    aws: AwsSecrets, moto_endpoint: str
) -> None:
    await put_aws(moto_endpoint, "stages/db", '{"user": "app", "password": "one"}')
    reference = parse_reference("aws-sm:stages/db#password")
    await aws.create(reference, Secret("two"))
    await aws.finish(reference)
    found = await stages(moto_endpoint, "stages/db")
    assert set(found) == {"AWSCURRENT", "AWSPREVIOUS"}
    assert found["AWSCURRENT"] == '{"user":"app","password":"two"}'
    assert found["AWSPREVIOUS"] == '{"user": "app", "password": "one"}'


async def test_a_rotated_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one", "utf-8")
    reference = parse_reference(f"file:{path}")
    (tmp_path / "secret.pending.new").write_text("a draft of one that was killed", "utf-8")
    await FileSecrets().create(reference, Secret("two"))
    assert sorted(os.listdir(tmp_path)) == ["secret", "secret.pending"]
    assert (tmp_path / "secret.pending").stat().st_mode & 0o777 == 0o600
    await FileSecrets().finish(reference)
    assert os.listdir(tmp_path) == ["secret"]
    assert path.stat().st_mode & 0o777 == 0o600


# --- Google Secret Manager ---------------------------------------------------------------------------------


@pytest.fixture
async def google_fake() -> AsyncIterator[tuple[FakeSecretManager, GoogleSecrets, Peer]]:
    fake = FakeSecretManager({"shop-1/db": [b"one", b'{"password": "hunter2"}']})

    async def grant() -> Granted:
        return Granted(Secret(GOOGLE_TOKEN), 600.0)

    async with peer(fake.behaviour()) as listening:
        source = GoogleSecrets(FixedService(listening.url), CachedTokens(grant))
        yield fake, source, listening
        await source.close()


async def test_google_is_read_by_version_and_field(
    google_fake: tuple[FakeSecretManager, GoogleSecrets, Peer],
) -> None:
    fake, source, _ = google_fake
    for text, expected in {
        "gcp-sm:shop-1/db#password": "hunter2",
        "gcp-sm:shop-1/db@1": "one",
        "gcp-sm:shop-1/db": '{"password": "hunter2"}',
    }.items():
        assert (await source.read(parse_reference(text))).expose() == expected
    fake.secrets["shop-1/db"].append(b'{"password": "hunter3"}')
    changed = await source.read(parse_reference("gcp-sm:shop-1/db#password"))
    assert changed.expose() == "hunter3"


GOOGLE_FAULTS = [
    "no secret",
    "no version",
    "disabled",
    "denied",
    "damaged",
    "binary",
    "away",
    "html",
]


@pytest.mark.parametrize("fault", GOOGLE_FAULTS)
async def test_what_google_does_not_give_is_unreadable(
    fault: str, google_fake: tuple[FakeSecretManager, GoogleSecrets, Peer]
) -> None:
    fake, source, listening = google_fake
    text = {"no secret": "gcp-sm:shop-1/none", "no version": "gcp-sm:shop-1/db@9"}.get(
        fault, "gcp-sm:shop-1/db"
    )
    match fault:
        case "disabled":
            fake.secrets["shop-1/db"].append(None)
        case "denied":
            fake.denied = True
        case "damaged":
            fake.damaged = True
        case "binary":
            fake.secrets["shop-1/db"].append(b"\xff\xfehunter2")
        case "away":
            listening.behaviour = cut()
        case "html":
            listening.behaviour = says(answer(b"<html>hunter2"))
        case _:
            pass
    with pytest.raises(SecretUnreadable) as refused:
        await source.read(parse_reference(text))
    assert "hunter" not in refused.value.detail
    assert "hunter" not in repr(refused.value.__cause__)


# --- a KV engine -------------------------------------------------------------------------------------------


@pytest.fixture
async def kv(tmp_path: Path) -> AsyncIterator[tuple[FakeKv, VaultSecrets, Peer, Path]]:
    fake = FakeKv({"secret/shop/db": [{"password": "one"}, {"password": "hunter2", "port": 5432}]})
    fake.namespace = NAMESPACE
    token = tmp_path / "token"
    token.write_text(VAULT_TOKEN, "utf-8")
    async with peer(fake.behaviour()) as listening:
        source = VaultSecrets(
            FixedService(listening.url), TokenFile(token), {"x-vault-namespace": NAMESPACE}
        )
        yield fake, source, listening, token
        await source.close()


async def test_a_kv_engine_is_read_by_field_and_version(
    kv: tuple[FakeKv, VaultSecrets, Peer, Path],
) -> None:
    fake, source, _, _ = kv
    for text, expected in {
        "vault:secret/shop/db#password": "hunter2",
        "vault:secret/shop/db#password@1": "one",
    }.items():
        assert (await source.read(parse_reference(text))).expose() == expected
    fake.secrets["secret/shop/db"].append({"password": "hunter3"})
    changed = await source.read(parse_reference("vault:secret/shop/db#password"))
    assert changed.expose() == "hunter3"


async def test_a_token_that_ended_is_read_anew(
    kv: tuple[FakeKv, VaultSecrets, Peer, Path],
) -> None:
    _, source, _, token = kv
    token.write_text("hvs.another", "utf-8")
    reference = parse_reference("vault:secret/shop/db#password")
    with pytest.raises(SecretUnreadable, match="may not read"):
        await source.read(reference)
    token.write_text(VAULT_TOKEN, "utf-8")
    assert (await source.read(reference)).expose() == "hunter2"


KV_FAULTS = {
    "no secret": "vault:secret/none#password",
    "no version": "vault:secret/shop/db#password@9",
    "no field": "vault:secret/shop/db#none",
    "a number": "vault:secret/shop/db#port",
    "another mount": "vault:kv/shop/db#password",
}


@pytest.mark.parametrize("fault", [*KV_FAULTS, "deleted", "sealed", "away", "html", "no token"])
async def test_what_a_kv_engine_does_not_give_is_unreadable(
    fault: str, kv: tuple[FakeKv, VaultSecrets, Peer, Path]
) -> None:
    fake, source, listening, token = kv
    match fault:
        case "deleted":
            fake.secrets["secret/shop/db"].append(None)
        case "sealed":
            fake.sealed = True
        case "away":
            listening.behaviour = cut()
        case "html":
            listening.behaviour = says(answer(b"<html>hunter2"))
        case "no token":
            token.unlink()
        case _:
            pass
    with pytest.raises(SecretUnreadable) as refused:
        await source.read(parse_reference(KV_FAULTS.get(fault, "vault:secret/shop/db#password")))
    assert "hunter" not in refused.value.detail


# --- joined by the settings --------------------------------------------------------------------------------


async def test_the_settings_say_where_the_keepers_are(
    moto_endpoint: str,
    kv: tuple[FakeKv, VaultSecrets, Peer, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("PIN_OF_THE_TEST", "four")
    await put_aws(moto_endpoint, "joined/db", '{"password": "three"}')
    _, _, listening, token = kv
    settings = Settings(
        aws_region=REGION,
        aws_endpoint=moto_endpoint,
        transit_url=listening.url,
        transit_namespace=NAMESPACE,
        transit_token_file=token,
    )
    book = open_secrets(settings)
    wanted = {
        "env:PIN_OF_THE_TEST": "four",
        f"file:{token}": VAULT_TOKEN,
        "aws-sm:joined/db#password": "three",
        "vault:secret/shop/db#password": "hunter2",
    }
    await book.load({text: parse_reference(text) for text in wanted})
    for text, value in wanted.items():
        assert book.at_hand(parse_reference(text)).expose() == value


async def test_a_keeper_that_no_setting_names_is_told() -> None:
    texts = ("aws-sm:db", "vault:secret/db#password")
    with pytest.raises(SecretsMissing) as missing:
        await open_secrets(Settings()).load({text: parse_reference(text) for text in texts})
    assert "STRONGROOM_AWS_REGION is not set" in missing.value.faults["aws-sm:db"]
    assert "STRONGROOM_TRANSIT_URL is not set" in missing.value.faults["vault:secret/db#password"]
