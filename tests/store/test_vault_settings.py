# SPDX-License-Identifier: Apache-2.0
"""Settings of the vault at the place where they take effect: a whole Strongroom started with the variable and watched.

That each variable is read and that each class keeps to what it is given stands elsewhere; here it is their joining.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import pytest
import pytest_asyncio

from contracts.fake_aws_kms import PREFIX, REGION, FakeAwsKms
from database import Databases, Server, fresh_databases
from peer import Peer, peer
from polling import until
from renaming import renamed
from service import Caller, Service, Tenant, running, wish
from strongroom.config import load_settings
from strongroom.crypto import VERSION_BYTES, Algorithm
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.vault.residency import RegionWrong

NUMBER: Final = "4242424242424242"
Running: TypeAlias = AbstractAsyncContextManager[Service]
CBC, GCM = Algorithm.A256CBC_HS512, Algorithm.A256GCM


def read(variables: Mapping[str, str]) -> dict[str, Any]:
    """Read settings as a process does from its environment, and return those that it named."""
    settings = load_settings({f"STRONGROOM_{name}": text for name, text in variables.items()})
    return {name.lower(): getattr(settings, name.lower()) for name in variables}


@pytest_asyncio.fixture(loop_scope="session")
async def own(server: Server) -> AsyncIterator[Databases]:
    """Databases of one test."""
    async with fresh_databases(server) as databases:
        yield databases


# --- roots in AWS KMS: where they are, and whose -----------------------------------------------------------


@dataclass
class Kms:
    """The strict fake, and the variables that lead to it."""

    fake: FakeAwsKms
    server: Peer
    variables: dict[str, str]

    def wrapped_by(self, prefix: str) -> Counter[str]:
        """Which keys made data keys so far, of those whose alias begins so."""
        return Counter(
            key_id
            for sent in self.server.requests
            if sent.headers["x-amz-target"] == "TrentService.GenerateDataKey"
            and (key_id := sent.json()["KeyId"]).startswith(prefix)
        )


@pytest_asyncio.fixture(loop_scope="session")
async def kms(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kms]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    fake = FakeAwsKms()
    async with peer(fake.behaviour()) as server:
        variables = {"KEY_STORE": "aws-kms", "AWS_REGION": REGION, "AWS_ENDPOINT": server.url}
        yield Kms(fake, server, variables)


@pytest.mark.parametrize(
    ("variables", "starts"),
    [
        ({"VAULT_REGION": REGION}, True),
        ({"VAULT_REGION": "uae"}, False),
        ({"VAULT_REGION": "uae", "VAULT_LOCATIONS": REGION}, True),
        ({"VAULT_REGION": "uae", "VAULT_LOCATIONS": f"me-south-1, {REGION}"}, True),
        ({"VAULT_REGION": "uae", "VAULT_LOCATIONS": "me-south-1"}, False),
        ({"VAULT_LOCATIONS": "me-south-1"}, False),
    ],
)
async def test_a_vault_starts_where_its_roots_may_be_and_nowhere_else(
    variables: dict[str, str], *, starts: bool, kms: Kms, server: Server, tmp_path: Path
) -> None:
    settings = read(kms.variables | variables)
    async with fresh_databases(server) as databases:
        if starts:
            async with running(databases, tmp_path, listens=False, **settings) as service:
                await (await service.shop()).token(NUMBER)
            return
        with pytest.raises(RegionWrong, match=f"root is in {REGION}"):
            async with running(databases, tmp_path, listens=False, **settings):
                pass


@pytest.mark.parametrize("of_merchants", [False, True])
async def test_a_merchants_cards_are_under_the_merchants_root_where_the_settings_say_so(
    *, of_merchants: bool, kms: Kms, own: Databases, tmp_path: Path
) -> None:
    variables = {"AWS_KMS_MERCHANT_KEYS": "card"} if of_merchants else {}
    settings = read(kms.variables | variables)
    card = f"{PREFIX}card"
    async with running(own, tmp_path, listens=False, **settings) as service:
        tenant = await service.tenant()
        kms.fake.add(f"{card}-{tenant.merchant}")
        before = kms.wrapped_by(card)
        vault = service.vault(tenant.keys[Mode.TEST])
        token = await vault.token(NUMBER, deduplicate=True)
        # One each for numbers, fingerprints and requests.
        used = f"{card}-{tenant.merchant}" if of_merchants else card
        assert kms.wrapped_by(card) - before == Counter({used: 3})
    async with running(own, tmp_path, listens=False, **settings) as service:
        vault = service.vault(tenant.keys[Mode.TEST])
        assert (await vault.token(NUMBER, deduplicate=True))["id"] == token["id"]


# --- what cards are sealed with ----------------------------------------------------------------------------


async def sealed_with(service: Service, *tokens: str) -> list[int]:
    """The version bytes of what is sealed for some tokens: their numbers, and what is beside them."""
    rows = await service.look(
        Domain.VAULT,
        "select get_byte(sealed_number, 0) from vault.token where token_id = any ($1)"
        " union all select get_byte(sealed, 0) from vault.token_detail where token_id = any ($1)",
        list(tokens),
    )
    return [row[0] for row in rows]


async def fill(vault: Caller) -> list[str]:
    """Make tokens by each way in, one of them with a holder; three values are sealed for them."""
    one = await vault.token(NUMBER, holder="Amina Rashid")
    many = await vault.post("/v1/tokens/bulk", {"tokens": [wish(NUMBER)]})
    assert many.status_code == 200, many.text
    return [one["id"], many.json()["data"][0]["token"]["id"]]


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_cards_are_sealed_with_the_algorithm_that_is_set(
    algorithm: Algorithm, own: Databases, tmp_path: Path
) -> None:
    settings = read({"CARD_ALGORITHM": algorithm.value})
    async with running(own, tmp_path, listens=False, **settings) as service:
        tokens = await fill(await service.shop())
        assert await sealed_with(service, *tokens) == [VERSION_BYTES[algorithm]] * 3


async def test_an_algorithm_that_is_set_anew_holds_for_what_is_sealed_anew(
    own: Databases, tmp_path: Path
) -> None:
    """By a retokenization and by a job of the keys, which open what the one before sealed."""
    # So long ago that the job waits for no process that might not know the key yet.
    before = SteppedClock(SystemClock().now() - timedelta(hours=1))
    async with running(own, tmp_path, listens=False, clock=before) as service:
        tenant = await service.tenant()
        old = await fill(service.vault(tenant.keys[Mode.TEST]))
    async with running(
        own, tmp_path, listens=False, **read({"CARD_ALGORITHM": GCM.value})
    ) as service:
        assert await sealed_with(service, *old) == [VERSION_BYTES[CBC]] * 3
        new = await renamed(service, tenant, old[1])
        assert await sealed_with(service, new) == [VERSION_BYTES[GCM]]
        admin = service.vault((await service.member(tenant.merchant)).key)
        assert await said_of_cards(admin) == (GCM, [CBC, GCM])
        begun = await admin.post("/v1/keys/reseal", {"name": "card"})
        assert begun.status_code == 200, begun.text

        job = f"/v1/jobs/{begun.json()['job']}"

        async def done() -> bool:
            return bool((await admin.get(job)).json()["state"] == "done")

        await until(done, what="the job's end")
        assert await sealed_with(service, old[0], new) == [VERSION_BYTES[GCM]] * 3
        assert await said_of_cards(admin) == (GCM, [GCM])


async def said_of_cards(admin: Caller) -> tuple[str, list[str]]:
    """What the inventory says of the key of cards: what seals now, and what is stored."""
    found = (await admin.get("/v1/keys/inventory")).json()["data"]
    (key,) = [each for each in found if (each["name"], each["version"]) == ("card", 1)]
    return key["algorithm"], key["algorithms_in_use"]


# --- cryptoperiods -----------------------------------------------------------------------------------------


@dataclass
class Aged:
    """An installation whose keys are a day and a half old."""

    databases: Databases
    folder: Path
    tenant: Tenant
    clock: SteppedClock

    def serving(self, log_file: Path, variables: Mapping[str, str]) -> Running:
        """Run it now."""
        return running(
            self.databases,
            self.folder,
            listens=False,
            clock=self.clock,
            log_file=log_file,
            **read(variables),
        )


async def aged_in(databases: Databases, folder: Path) -> Aged:
    clock = SteppedClock(SystemClock().now())
    async with running(databases, folder, listens=False, clock=clock) as service:
        tenant = await service.tenant()
        await service.vault(tenant.keys[Mode.TEST]).token(NUMBER)
        gateway = service.gateway(tenant.keys[Mode.TEST])
        made = await gateway.post("/v1/endpoints", {"url": "https://shop.example/told"})
        assert made.status_code == 201, made.text
    clock.step(timedelta(hours=36))
    return Aged(databases, folder, tenant, clock)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def aged(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Aged:
    """One that no test changes."""
    return await aged_in(databases, tmp_path_factory.mktemp("aged"))


#: Some keys of each class, in either database, and every root that is used there.
OF_CLASS: Final = {
    "KEY_DAYS_SEALING": {("vault", "card"), ("core", "webhook_secrets")},
    "KEY_DAYS_SIGNING": {
        ("vault", "checkpoint_seed"),
        ("core", "checkpoint_seed"),
        ("core", "token_signing_seed"),
    },
    "KEY_DAYS_HASHING": {
        ("vault", "audit_row_mac"),
        ("vault", "fingerprint"),
        ("core", "audit_row_mac"),
        ("core", "api_key_hash"),
    },
    "KEY_DAYS_ROOT": {
        ("vault", "root:audit"),
        ("vault", "root:card"),
        ("vault", "root:credential"),
        ("core", "root:audit"),
        ("core", "root:identity"),
        ("core", "root:webhook"),
    },
}
KNOWN: Final = frozenset().union(*OF_CLASS.values())


def gauges(service: Service, name: str) -> dict[tuple[str, str], float]:
    """A metric of keys, by database and key."""
    return {
        (sample.labels["domain"], sample.labels["name"]): sample.value
        for family in service.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


async def listed(service: Service) -> set[str]:
    """What the operators' list calls overdue."""
    keys = await (await service.composer.operator_keys()).inventory(counted=False)
    return {
        f"root:{each.name}" if each.kind == "root" else each.name for each in keys if each.overdue
    }


@pytest.mark.parametrize("variable", [None, *OF_CLASS])
async def test_a_server_tells_of_the_keys_that_are_older_than_the_days_set(
    variable: str | None, aged: Aged, tmp_path: Path
) -> None:
    variables = {} if variable is None else {variable: "1"}
    async with aged.serving(tmp_path / "log", variables) as service:

        def looked() -> bool:
            return gauges(service, "strongroom_key_age_seconds").keys() >= KNOWN

        await until(looked, what="a look at every key")
        overdue = gauges(service, "strongroom_keys_overdue")
        told = {key for key, count in overdue.items() if count}
        assert told & KNOWN == OF_CLASS.get(str(variable), set())
        lines = map(msgspec.json.decode, service.log_text().splitlines())
        logged = {each["key_purpose"] for each in lines if each["event_type"] == "keys.overdue"}
        assert logged == {name for _, name in told} == await listed(service)


async def test_the_inventory_says_when_each_key_ends_by_the_days_set(
    aged: Aged, tmp_path: Path
) -> None:
    days = {"SEALING": 2, "SIGNING": 3, "HASHING": 5, "ROOT": 7}
    variables = {f"KEY_DAYS_{name}": str(count) for name, count in days.items()}
    async with aged.serving(tmp_path / "log", variables) as service:
        admin = service.vault((await service.member(aged.tenant.merchant)).key)
        found = (await admin.get("/v1/keys/inventory")).json()["data"]
        lasts = {
            (each["kind"], each["name"]): datetime.fromisoformat(each["rotates_at"])
            - datetime.fromisoformat(each["made_at"])
            for each in found
        }
        assert lasts["data_key", "card"] == timedelta(days=days["SEALING"])
        assert lasts["data_key", "fingerprint"] == timedelta(days=days["HASHING"])
        assert lasts["root", "card"] == timedelta(days=days["ROOT"])


async def test_a_server_that_is_told_to_rotates_what_is_older_than_the_days_set(
    own: Databases, tmp_path: Path
) -> None:
    aged = await aged_in(own, tmp_path)
    variables = {"KEY_DAYS_SEALING": "1", "KEY_ROTATION_AUTOMATIC": "true"}
    async with aged.serving(tmp_path / "log", variables) as service:
        query = "select version from keys.data_key where merchant_id = $1 and name = $2"

        async def rotated() -> bool:
            return len(await service.look(Domain.VAULT, query, aged.tenant.merchant, "card")) > 1

        await until(rotated, what="another version of the key of cards")
        found = await service.look(Domain.VAULT, query, aged.tenant.merchant, "fingerprint")
        assert [row["version"] for row in found] == [1]
