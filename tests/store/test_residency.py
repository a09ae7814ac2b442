# SPDX-License-Identifier: Apache-2.0
"""A merchant's cards rest in one region: a vault elsewhere seals and opens none, nor starts on what is another's."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from database import Databases, Server, fresh_databases
from service import OPERATOR, Service, running, wish
from strongroom.audit import Origin
from strongroom.audit.errors import SinkFailed
from strongroom.audit.sinks.region import pinned_region
from strongroom.db.errors import DatabaseAway
from strongroom.db.logins import Domain
from strongroom.identity.model import Merchant
from strongroom.kernel.errors import Invalid
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode
from strongroom.kernel.region import REGION
from strongroom.keys import Purpose, RootInfo, location_of
from strongroom.vault.residency import (
    MerchantElsewhere,
    RegionWrong,
    Residency,
    require_places,
)

NUMBER = "4242424242424242"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def uae(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A vault of the region `uae`."""
    folder = tmp_path_factory.mktemp("uae")
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, listens=False, vault_region="uae") as service,
    ):
        yield service


async def merchant_of(service: Service, region: str | None) -> tuple[Merchant, str]:
    """Make a merchant of a region, and a key of theirs."""
    made = await service.operator.create_merchant(
        "Shop", actor=OPERATOR, origin=Origin(), region=region
    )
    return made, (await service.key(made.merchant_id)).text.expose()


@pytest.mark.parametrize(
    ("region", "status"), [("uae", 201), (None, 201), ("eu", 403), ("local", 403)]
)
async def test_a_vault_takes_the_cards_of_its_own_region(
    uae: Service, region: str | None, status: int
) -> None:
    made, key = await merchant_of(uae, region)
    answer = await uae.vault(key).post("/v1/tokens", wish(NUMBER))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "merchant_elsewhere"
        assert (await uae.written(made.merchant_id))["token"] == 0
    many = await uae.vault(key).post("/v1/tokens/bulk", {"tokens": [wish(NUMBER)]})
    assert many.status_code == (200 if status == 201 else 403)


async def test_a_card_that_is_here_does_not_open_for_a_merchant_who_is_not(uae: Service) -> None:
    """As if a row had been copied from one region's database to another's, keys and all."""
    made, key = await merchant_of(uae, "uae")
    token = (await uae.vault(key).post("/v1/tokens", wish(NUMBER))).json()["id"]
    (row,) = await uae.look(
        Domain.VAULT,
        "select sealed_number, key_version from vault.token where token_id = $1",
        token,
    )
    sealer = uae.parts.maker._sealer
    place = {
        "mode": Mode.TEST,
        "merchant": made.merchant_id,
        "token": token,
        "key_version": row["key_version"],
    }
    assert (await sealer.open_number(row["sealed_number"], **place)).last4 == NUMBER[-4:]
    regions = sealer._residency._regions
    sealer._residency = Residency(regions, "eu")
    try:
        with pytest.raises(MerchantElsewhere):
            await sealer.open_number(row["sealed_number"], **place)
        with pytest.raises(MerchantElsewhere):
            await sealer.keys(made.merchant_id, Mode.TEST)
        assert sealer.recent(made.merchant_id, Mode.TEST) is None
    finally:
        sealer._residency = Residency(regions, "uae")


async def test_a_vault_does_not_start_on_another_regions_database(uae: Service) -> None:
    folder = uae.settings.state.parent
    with pytest.raises(RegionWrong, match="its database is of uae"):
        async with running(uae.databases, folder, listens=False, vault_region="eu"):
            pass


async def test_a_vault_does_not_start_with_another_regions_sink(
    databases: Databases, tmp_path: Path
) -> None:
    assert pinned_region(tmp_path / "sink", "eu") == "eu"
    with pytest.raises(RegionWrong, match="the audit sink is of eu"):
        async with running(
            databases, tmp_path, listens=False, vault_region="uae", audit_sink=tmp_path / "sink"
        ):
            pass


def test_a_sinks_region_stays_and_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert pinned_region(tmp_path, "uae") == "uae"
    assert pinned_region(tmp_path, "eu") == "uae"
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SinkFailed):
        pinned_region(tmp_path / "file", "uae")


class Unanswering:
    """Regions that cannot be asked."""

    async def region_of(self, _merchant: MerchantId) -> tuple[bool, str | None]:
        raise DatabaseAway


async def test_without_an_answer_nobody_passes() -> None:
    residency = Residency(Unanswering(), "uae")
    with pytest.raises(DatabaseAway):
        await residency.require(MerchantId("mer_1"))
    assert not residency.known(MerchantId("mer_1"))


class Empty:
    """Regions that know nobody."""

    async def region_of(self, _merchant: MerchantId) -> tuple[bool, str | None]:
        return False, None


async def test_who_is_unknown_does_not_pass_and_is_asked_for_again() -> None:
    residency = Residency(Empty(), "uae")
    with pytest.raises(MerchantElsewhere):
        await residency.require(MerchantId("mer_1"))
    assert residency._here == {}


@pytest.mark.parametrize("name", ["", "UAE", "u ae", "-uae", "u" * 32, "1uae", "uae\n"])
async def test_a_region_is_a_word(uae: Service, name: str) -> None:
    assert not REGION.fullmatch(name)
    with pytest.raises(Invalid):
        await merchant_of(uae, name)


@pytest.mark.parametrize(
    ("key_id", "place"),
    [
        ("arn:aws:kms:me-central-1:111122223333:key/mrk-1", "me-central-1"),
        ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/strongroom-card", "us-gov-west-1"),
        (
            "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "europe-west3",
        ),
        ("roots.sealed#card/1", None),
        ("transit/strongroom-card/3", None),
        ("strongroom#strongroom-card/1", None),
    ],
)
@pytest.mark.parametrize(
    ("region", "allowed", "taken"),
    [
        ("local", (), {"me-central-1", "us-gov-west-1", "europe-west3"}),
        ("me-central-1", (), {"me-central-1"}),
        ("uae", ("me-central-1", "me-south-1"), {"me-central-1"}),
        ("eu", ("europe-west3",), {"europe-west3"}),
        ("eu", (), set()),
    ],
)
def test_roots_are_where_the_vault_is(
    key_id: str, place: str | None, region: str, allowed: tuple[str, ...], taken: set[str]
) -> None:
    root = RootInfo(Purpose.CARD, key_id, "AES-256", datetime(2026, 1, 1, tzinfo=UTC), enabled=True)
    assert location_of(root) == place
    if place is None or place in taken:
        require_places(region, allowed, [root])
    else:
        with pytest.raises(RegionWrong, match=place):
            require_places(region, allowed, [root])
