# SPDX-License-Identifier: Apache-2.0
"""Merchants hear of the vault's long jobs as of everything else: by events, of their own tenant and mode, delivered."""

import json

import jsonschema
import pytest_asyncio

from peer import answer, peer, says
from polling import until
from service import OPERATOR, Service, Tenant
from store.telling import Told, told
from strongroom import compose
from strongroom.audit import Origin
from strongroom.crypto import sha256
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.vault.retokenize.mapping import MAPPING_HEADER, mapping_line
from strongroom.vault.retokenize.model import Wish

SCHEMAS = json.loads(compose.events_document())


@pytest_asyncio.fixture
async def tenant(service: Service) -> Tenant:
    return await service.tenant()


async def heard(service: Service, tenant: Tenant, event_type: str, mode: Mode) -> list[dict]:  # type: ignore[type-arg]
    """What a tenant reads of its events."""
    answered = await service.gateway(tenant.keys[mode]).get(f"/v1/events?type={event_type}")
    assert answered.status_code == 200, answered.text
    return list(answered.json()["data"])


async def test_a_retokenization_is_delivered_and_its_digest_is_the_mapping_files(
    service: Service, tenant: Tenant
) -> None:
    stranger = await service.tenant()
    vault, gateway = (at(tenant.keys[Mode.TEST]) for at in (service.vault, service.gateway))
    tokens = [(await vault.token(n))["id"] for n in ("4242424242424242", "5555555555554444")]
    retokenizations = service.edges["vault"]._app.state.retokenizations  # type: ignore[attr-defined]
    async with peer(says(answer(b"", 204))) as listening:
        endpoint = await gateway.post(
            "/v1/endpoints", {"url": listening.url, "types": ["token.retokenized"]}
        )
        assert endpoint.status_code == 201, endpoint.text
        job = await retokenizations.begin(
            tenant.merchant, Mode.TEST, Wish(tokens, None, 7), actor=OPERATOR, origin=Origin()
        )

        async def arrived() -> bool | None:
            return bool(listening.requests) or None

        await until(arrived, what="the event to be delivered")
        (sent,) = listening.requests
    event = sent.json()
    jsonschema.Draft202012Validator(
        SCHEMAS["token.retokenized"], format_checker=jsonschema.FormatChecker()
    ).validate(event)
    data = event["data"]["retokenization"]
    assert (data["id"], data["replaced"], data["alias_days"]) == (job.job_id, 2, 7)
    page = (await vault.get(f"/v1/retokenizations/{job.job_id}/mapping")).json()["data"]
    file = MAPPING_HEADER + "".join(
        mapping_line(each["old"], each["new"], each["until"]) for each in page
    )
    assert data["mapping_sha256"] == sha256(file.encode()).hex()
    assert {each["until"] for each in page} == {data["old_ids_end_from"], data["old_ids_end_by"]}
    (listed,) = await heard(service, tenant, "token.retokenized", Mode.TEST)
    assert listed["id"] == event["id"] == sent.headers["webhook-id"]
    assert await heard(service, tenant, "token.retokenized", Mode.LIVE) == []
    assert await heard(service, stranger, "token.retokenized", Mode.TEST) == []
    read = await service.gateway(stranger.keys[Mode.TEST]).get(f"/v1/events/{event['id']}")
    assert read.status_code == 404
    again = await gateway.post(f"/v1/events/{event['id']}/redeliver", {})
    assert again.status_code in (200, 201, 202), again.text


async def test_each_mode_hears_of_its_own_imports(service: Service, tenant: Tenant) -> None:
    ids = {}
    for mode in Mode:
        vault = service.vault(tenant.keys[mode])
        begun = await vault.post("/v1/imports", {"format": "csv"})
        assert begun.status_code == 201, begun.text
        ids[mode] = begun.json()["id"]
        canceled = await vault.post(f"/v1/imports/{ids[mode]}/cancel", {})
        assert canceled.status_code == 200, canceled.text

    async def both() -> bool | None:
        found = [await heard(service, tenant, "import.canceled", mode) for mode in Mode]
        return all(found) or None

    await until(both, what="both modes to hear")
    for mode in Mode:
        (event,) = await heard(service, tenant, "import.canceled", mode)
        assert (event["data"]["import"]["id"], event["mode"]) == (ids[mode], mode.value)

    async def forgotten() -> bool | None:
        left: list[Told] = list(
            await told(lambda *asked: service.look(Domain.VAULT, *asked), tenant.merchant)
        )
        return not left or None

    await until(forgotten, what="the vault to forget what was taken")
