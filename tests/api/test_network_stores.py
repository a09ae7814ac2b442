# SPDX-License-Identifier: Apache-2.0
"""A whole Strongroom on a key store over the network, opened by its settings, against the fakes of those stores."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts import fake_google_kms, fake_transit
from contracts.fake_google_kms import FakeGoogleKms
from contracts.fake_transit import FakeTransit
from database import Server, fresh_databases
from peer import answer, peer, says
from service import running
from strongroom.config import KeyStoreName
from strongroom.kernel.mode import Mode
from strongroom.keys import KeyStoreUnavailable, Purpose

VISA = "4242424242424242"


@dataclass
class Ground:
    """A store's settings, and what a test does to the store."""

    settings: dict[str, Any]
    rotate: Callable[[Purpose], None]
    take_away: Callable[[], None]


@asynccontextmanager
async def transit(folder: Path) -> AsyncIterator[Ground]:
    secret_id = folder / "secret-id"
    secret_id.write_text(fake_transit.SECRET_ID)
    fake = FakeTransit()
    async with peer(fake.behaviour()) as server:
        settings = {
            "key_store": KeyStoreName.TRANSIT,
            "transit_url": server.url,
            "transit_mount": fake_transit.MOUNT,
            "transit_namespace": fake_transit.NAMESPACE,
            "transit_approle_mount": fake_transit.APPROLE_MOUNT,
            "transit_role_id": fake_transit.ROLE_ID,
            "transit_secret_id_file": secret_id,
        }
        yield Ground(
            settings,
            lambda purpose: fake.keys[fake_transit.key_name(purpose)].rotate(),
            lambda: setattr(fake, "sealed", True),
        )
        assert not fake.tokens, "whoever stopped logged out"


@asynccontextmanager
async def google(folder: Path) -> AsyncIterator[Ground]:
    """With a federation's credentials: a file's subject is exchanged for a token."""
    granted = {
        "access_token": fake_google_kms.TOKEN,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3_600,
    }
    subject, credentials = folder / "subject", folder / "credentials.json"
    subject.write_text("a-jwt-of-the-cluster")
    fake = FakeGoogleKms()
    async with (
        peer(says(answer(json.dumps(granted).encode()))) as exchange,
        peer(fake.behaviour()) as server,
    ):
        federation = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{exchange.url}/v1/token",
            "credential_source": {"file": str(subject)},
        }
        credentials.write_text(json.dumps(federation))
        settings = {
            "key_store": KeyStoreName.GCP_KMS,
            "gcp_kms_key_ring": fake_google_kms.KEY_RING,
            "gcp_kms_endpoint": server.url,
            "gcp_credentials": credentials,
        }
        yield Ground(
            settings,
            lambda purpose: fake.keys[fake_google_kms.key_name(purpose)].rotate(),
            lambda: setattr(fake, "throttled", True),
        )


@pytest.mark.parametrize("stand_in", [transit, google])
async def test_cards_outlive_the_process_and_a_rotated_root(
    stand_in: Callable[[Path], Any], server: Server, tmp_path: Path
) -> None:
    """A second process over the same databases finds the same card by its fingerprint, whose key it had to unwrap."""
    async with stand_in(tmp_path) as ground, fresh_databases(server) as databases:
        async with running(databases, tmp_path, listens=False, **ground.settings) as service:
            tenant = await service.tenant()
            vault = service.vault(tenant.keys[Mode.TEST])
            first = await vault.token(VISA, deduplicate=True)
        for purpose in Purpose:
            ground.rotate(purpose)
        async with running(databases, tmp_path, listens=False, **ground.settings) as service:
            vault = service.vault(tenant.keys[Mode.TEST])
            assert (await vault.token(VISA, deduplicate=True))["id"] == first["id"]
            other = await service.tenant("Another Shop")
            vault = service.vault(other.keys[Mode.TEST])
            assert (await vault.token(VISA, deduplicate=True))["id"] != first["id"]


@pytest.mark.parametrize("stand_in", [transit, google])
async def test_a_process_does_not_begin_without_its_store(
    stand_in: Callable[[Path], Any], server: Server, tmp_path: Path
) -> None:
    async with stand_in(tmp_path) as ground, fresh_databases(server) as databases:
        ground.take_away()
        async with asyncio.timeout(60):
            with pytest.raises(KeyStoreUnavailable):
                async with running(databases, tmp_path, listens=False, **ground.settings):
                    pass
