# SPDX-License-Identifier: Apache-2.0
"""Settings of the key stores: what can be read, what a store needs, and that each opens as it was set."""

from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.compose import open_key_store
from strongroom.config import KeyStoreName, SettingRefused, Settings, load_settings
from strongroom.config.key_stores import PURPOSES
from strongroom.kernel.secret import Secret
from strongroom.keys import KeyStoreRefused, Purpose

RING = "projects/shop-1/locations/me-central2/keyRings/strongroom"
GOOGLE = {"STRONGROOM_KEY_STORE": "gcp-kms", "STRONGROOM_GCP_KMS_KEY_RING": RING}
TRANSIT = {
    "STRONGROOM_KEY_STORE": "transit",
    "STRONGROOM_TRANSIT_URL": "https://bao.example:8200",
    "STRONGROOM_TRANSIT_ROLE_ID": "role",
    "STRONGROOM_TRANSIT_SECRET_ID_FILE": "/run/secrets/secret-id",
}


def test_the_purposes_are_those_of_the_roots() -> None:
    assert set(PURPOSES) == set(Purpose)


def test_they_are_read() -> None:
    settings = load_settings(GOOGLE | {"STRONGROOM_AWS_KMS_MERCHANT_KEYS": "card, credential"})
    assert settings.key_store is KeyStoreName.GCP_KMS
    assert settings.gcp_kms_key_ring == RING
    assert settings.gcp_credentials is None
    assert settings.aws_kms_merchant_keys == ("card", "credential")
    settings = load_settings(TRANSIT | {"STRONGROOM_TRANSIT_NAMESPACE": "pci"})
    assert settings.key_store is KeyStoreName.TRANSIT
    assert settings.transit_url == "https://bao.example:8200"
    assert settings.transit_secret_id_file == Path("/run/secrets/secret-id")
    assert settings.transit_namespace == "pci"


def test_a_file_of_google_credentials_is_found_where_googles_tools_look() -> None:
    google = {"GOOGLE_APPLICATION_CREDENTIALS": "/run/google.json"}
    assert load_settings(google).gcp_credentials == Path("/run/google.json")
    ours = google | {"STRONGROOM_GCP_CREDENTIALS": "/run/ours.json"}
    assert load_settings(ours).gcp_credentials == Path("/run/ours.json")


REFUSED = {
    "STRONGROOM_KEY_STORE": ("vault", "AWS-KMS"),
    "STRONGROOM_AWS_KMS_MERCHANT_KEYS": ("cards", "card;audit", "*"),
    "STRONGROOM_GCP_KMS_KEY_RING": ("strongroom", RING + "/cryptoKeys/x", RING + "?x", RING + "\n"),
    "STRONGROOM_GCP_KMS_ENDPOINT": ("localhost:5000", "https://x/path"),
    "STRONGROOM_TRANSIT_URL": (
        "bao.example",
        "https://bao.example/v1",
        "https://user:secret@bao.example",
        "https://bao.example:0",
        "ftp://bao.example",
        "https://bao example",
    ),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_what_cannot_be_read_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingRefused, match=name) as refused:
        load_settings({name: value})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"STRONGROOM_KEY_STORE": "gcp-kms"}, ["GCP_KMS_KEY_RING"]),
        (
            {"STRONGROOM_KEY_STORE": "transit"},
            ["TRANSIT_URL", "TRANSIT_ROLE_ID", "TRANSIT_SECRET_ID_FILE"],
        ),
        (
            {name: TRANSIT[name] for name in TRANSIT if not name.endswith("ROLE_ID")},
            ["TRANSIT_ROLE_ID"],
        ),
        (TRANSIT | {"STRONGROOM_TRANSIT_TOKEN_FILE": "/run/token"}, ["TRANSIT_TOKEN_FILE"]),
    ],
)
def test_all_that_a_store_needs_is_named_at_once(
    variables: dict[str, str], named: list[str]
) -> None:
    with pytest.raises(SettingRefused) as refused:
        load_settings(variables)
    assert [name for name in named if f"STRONGROOM_{name}:" in str(refused.value)] == named
    assert str(refused.value).count("STRONGROOM_") == len(named)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"STRONGROOM_KEY_STORE": "aws-kms", "STRONGROOM_AWS_REGION": "me-central-1"}, "aws_kms"),
        (GOOGLE, "gcp_kms"),
        (GOOGLE | {"STRONGROOM_GCP_CREDENTIALS": "/nowhere.json"}, "gcp_kms"),
        (TRANSIT, "transit"),
        (
            {
                "STRONGROOM_KEY_STORE": "transit",
                "STRONGROOM_TRANSIT_URL": "https://bao.example",
                "STRONGROOM_TRANSIT_TOKEN_FILE": "/run/token",
            },
            "transit",
        ),
    ],
)
async def test_each_store_opens_as_it_is_set_and_asks_nobody(
    variables: dict[str, str], name: str
) -> None:
    store = await open_key_store(load_settings(variables), Secret("not needed"))
    assert store.name == name
    await store.close()


async def test_a_transit_store_without_a_login_is_refused() -> None:
    settings = replace(
        Settings(), key_store=KeyStoreName.TRANSIT, transit_url="https://bao.example"
    )
    with pytest.raises(KeyStoreRefused):
        await open_key_store(settings, Secret("not needed"))
