# SPDX-License-Identifier: Apache-2.0
"""Exports over HTTP and by command: a person, a second factor, another person, a rule that gives `reveal`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from approving import Two
from canary import NUMBER
from command_line import CommandLine
from persons import People, Someone
from polling import until
from service import Caller, Service, Tenant
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

RULE = {
    "container": "default",
    "priority": 10,
    "grantee_kind": "role",
    "grantee": "admin",
    "access": "reveal",
    "transform": "reveal",
}


PLAIN = ("id", "number", "exp_month", "exp_year", "brand", "metadata", "created_at", "container")
REST_OF_ADDRESS = ("line1", "line2", "city", "region", "postal_code")


@pytest.fixture
async def tenant(service: Service) -> Tenant:
    return await service.tenant()


@pytest.fixture
async def people(service: Service) -> People:
    return People(service)


async def two(people: People, tenant: Tenant, asker: Someone | None = None) -> Two:
    asker = asker or await people.make(tenant.merchant)
    approver = await people.make(tenant.merchant)
    return Two(people.at("vault", asker), people.at("console", approver))


async def allowed(both: Two, **more: Any) -> None:
    answer = await both.done("/v1/access-rules", {**RULE, **more})
    assert answer.status_code in (200, 201), answer.text


def wish(key: ECKey, **more: Any) -> dict[str, Any]:
    recipient = json.dumps(key.as_dict(private=False), sort_keys=True)
    return {
        "encryption": "jwe_lines",
        "recipient": recipient,
        "purpose": "provider_change",
        **more,
    }


def opened(content: bytes, key: ECKey) -> list[dict[str, Any]]:
    algorithms = ["ECDH-ES+A256KW", "A256GCM"]
    clear = [jwe.decrypt_compact(line, key, algorithms=algorithms) for line in content.splitlines()]
    return [json.loads(each.plaintext or b"") for each in clear]


async def ended(caller: Caller, of: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = dict((await caller.get(f"/v1/exports/{of}")).json())
        return None if found["ended_at"] is None else found

    return await until(look, what="the export to end")


async def test_two_people_and_a_rule(service: Service, tenant: Tenant, people: People) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    token = await vault.token(
        NUMBER,
        "737",
        metadata={"customer": "c-1"},
        holder="A. Holder",
        billing_address={"country": "DE"},
        network_token={
            "requestor_id": "40010075001",
            "eci": "05",
            "cryptogram": "AAECAwQFBgcICQoL",
        },
        stored_credential={"initiator": "merchant"},
    )
    both = await two(people, tenant)
    key = ECKey.generate_key("P-256")
    # Before a second person is asked.
    refused = await both.asker.post("/v1/exports", wish(key))
    assert (refused.status_code, refused.json()["code"]) == (403, "vault_access_refused")
    # Nor where a rule reveals and shows digits masked.
    await allowed(both, transform="mask", priority=20)
    refused = await both.asker.post("/v1/exports", wish(key))
    assert (refused.status_code, refused.json()["code"]) == (403, "vault_access_refused")
    await allowed(both)
    begun = await both.done("/v1/exports", wish(key))
    assert begun.status_code == 201, begun.text
    of = begun.json()["id"]
    found = await ended(both.asker, of)
    assert (found["state"], found["done"], found["pieces"]) == ("done", 1, 1)
    piece = await both.asker.get(f"/v1/exports/{of}/content?piece=0")
    (card,) = opened(piece.content, key)
    assert (card["id"], card["number"], card["metadata"]) == (
        token["id"],
        NUMBER,
        {"customer": "c-1"},
    )
    assert set(card) == {*PLAIN, "holder", "billing_address", "network_token", "stored_credential"}
    assert card["holder"] == "A. Holder"
    assert card["billing_address"] == {"country": "DE", **dict.fromkeys(REST_OF_ADDRESS)}
    assert card["network_token"] == {"requestor_id": "40010075001", "eci": "05"}
    assert card["stored_credential"]["initiator"] == "merchant"
    missing = await both.asker.get(f"/v1/exports/{of}/content?piece=1")
    assert (missing.status_code, missing.json()["code"]) == (404, "export_piece_unknown")


async def test_who_may_not(service: Service, tenant: Tenant, people: People) -> None:
    body = wish(ECKey.generate_key("P-256"))
    key = service.vault(tenant.keys[Mode.TEST])
    assert (await key.post("/v1/exports", body)).json()["code"] == "forbidden"
    late = people.at("vault", await people.make(tenant.merchant, stepped_up=False))
    assert (await late.post("/v1/exports", body)).json()["code"] == "step_up_needed"
    auditor = people.at("vault", await people.make(tenant.merchant, Role.AUDITOR))
    assert (await auditor.post("/v1/exports", body)).json()["code"] == "forbidden"
    both = await two(people, tenant)
    await allowed(both)
    waits = await both.asker.post("/v1/exports", body)
    assert (waits.status_code, waits.json()["object"]) == (202, "approval")
    assert not (await both.asker.get("/v1/jobs")).json()["data"]


async def test_whoever_approves_sees_what_leaves_why_and_for_whom(
    service: Service, tenant: Tenant, people: People
) -> None:
    await service.vault(tenant.keys[Mode.TEST]).token(NUMBER)
    both = await two(people, tenant)
    await allowed(both)
    key = ECKey.generate_key("P-256")
    body = wish(key, note="contract 77", rate=50)
    approval = await both.asked("/v1/exports", body)
    seen = (await both.approver.get(f"/v1/approvals/{approval}")).json()
    assert seen["about"] == {
        "purpose": "provider_change",
        "note": "contract 77",
        "tokens": [],
        "container": "default",
        "method": "jwe_lines",
        "recipient": key.thumbprint(),
        "rate": 50,
        "claim": None,
    }
    said = await both.approver.post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200, said.text
    for other in ({"note": "contract 78"}, {"purpose": "recovery"}, {"rate": 51}):
        refused = await both.used(approval, "/v1/exports", {**body, **other})
        assert (refused.status_code, refused.json()["code"]) == (403, "approval_not_usable")
    begun = await both.used(approval, "/v1/exports", body)
    assert begun.status_code == 201, begun.text
    rows = await service.look(
        Domain.VAULT,
        "select payload from audit.event where merchant_id = $1",
        tenant.merchant,
    )
    records = [json.loads(bytes(row["payload"])) for row in rows]
    (started,) = [each for each in records if each["action"] == "vault.export.started"]
    assert started["details"]["purpose"] == "provider_change"
    assert "contract 77" not in json.dumps(records)


async def test_a_note_holds_no_card(service: Service, tenant: Tenant, people: People) -> None:
    both = await two(people, tenant)
    await allowed(both)
    body = wish(ECKey.generate_key("P-256"), note=f"card {NUMBER}")
    refused = await both.asker.post("/v1/exports", body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/note"
    assert NUMBER not in refused.text
    rows = await service.look(
        Domain.CORE,
        "select 1 from identity.approval where merchant_id = $1 and action = 'card_export'",
        tenant.merchant,
    )
    assert not rows


async def test_by_command(service: Service, tenant: Tenant, people: People, tmp_path: Path) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    await vault.token(NUMBER)
    asker = await people.make(tenant.merchant)
    both = await two(people, tenant, asker)
    await allowed(both)
    run = CommandLine(
        tmp_path,
        {
            "STRONGROOM_URL": f"https://{service.settings.vault_listen}",
            "STRONGROOM_CA": str(service.authority),
            "STRONGROOM_STATE": str(tmp_path / "state"),
            "STRONGROOM_KEY": asker.credential,
        },
        transcript=service.answers.file,
    )
    key = ECKey.generate_key("P-256")
    recipient = tmp_path / "receiver.json"
    recipient.write_text(json.dumps(key.as_dict(private=False)))
    arguments = (
        "export",
        "--to",
        str(tmp_path / "out"),
        "--to-key",
        str(recipient),
        "--purpose",
        "portability",
    )
    waits = await asyncio.to_thread(run, *arguments)
    assert waits.code == 0, waits.plain
    approval = waits.out.split()[0]
    said = await both.approver.post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200, said.text
    done = await asyncio.to_thread(run, *arguments, "--approval", approval, "--json")
    assert done.code == 0, done.plain
    (piece,) = sorted((tmp_path / "out").iterdir())
    assert [card["number"] for card in opened(piece.read_bytes(), key)] == [NUMBER]
    again = await asyncio.to_thread(
        run, "export", "--to", str(tmp_path / "two"), "--job", done.json["id"]
    )
    assert (again.code, len(list((tmp_path / "two").iterdir()))) == (0, 1)
