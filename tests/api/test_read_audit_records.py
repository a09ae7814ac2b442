# SPDX-License-Identifier: Apache-2.0
"""The audit log over HTTP: a tenant reads its own records, proves them offline, and every reading is on record."""

import asyncio
import json
from typing import Any

import httpx
import msgspec
import pytest

from service import Caller, Service, Tenant
from strongroom.audit import AuditRecord, VerifierKey, leaf_hash
from strongroom.audit import examples as audit_examples
from strongroom.audit.checkpoint import open_checkpoint
from strongroom.audit.merkle import verify_inclusion
from strongroom.audit.proof import parse_proof, verify_proof
from strongroom.audit.record import decode, encode
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind

VISA = "4242424242424242"
DEADLINE_SECONDS = 20.0


@pytest.fixture
def vault(service: Service, tenant: Tenant) -> Caller:
    return service.vault(tenant.keys[Mode.TEST])


async def until_sealed(caller: Caller, event_id: str) -> httpx.Response:
    """Ask for a proof until there is one."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (
            answer := await caller.get(f"/v1/audit/records/{event_id}/proof")
        ).status_code == 409:
            assert answer.json()["code"] == "not_sealed_yet"
            assert answer.headers["retry-after"] == "1"
            await asyncio.sleep(0.05)
    return answer


async def newest(caller: Caller) -> dict[str, Any]:
    answer = await caller.get("/v1/audit/records?limit=1")
    return dict(answer.json()["data"][0])


async def test_what_was_done_is_on_record(vault: Caller) -> None:
    token = await vault.token(VISA)
    record = (await newest(vault))["record"]
    assert (record["action"], record["object"]) == ("vault.token.created", token["id"])
    assert record["details"] == {"brand": "visa", "cvc_state": "absent", "last4": "4242"}


async def test_a_record_prints_as_the_bytes_that_were_hashed(vault: Caller) -> None:
    await vault.token(VISA)
    answer = await vault.get("/v1/audit/records?limit=1")
    (found,) = answer.json()["data"]
    start = answer.text.index('"record":') + len('"record":')
    record, length = json.JSONDecoder().raw_decode(answer.text[start:])
    payload = answer.text[start : start + length].encode()
    assert decode(payload).event_id == record["event_id"] == found["id"]
    assert leaf_hash(payload).hex() == found["leaf_hash"]


async def test_reading_is_on_record_once(vault: Caller) -> None:
    await vault.token(VISA)
    before = await newest(vault)
    for path, thing, details in (
        ("/v1/audit/records?limit=5", None, {"count": 5}),
        (f"/v1/audit/records/{before['id']}", before["id"], {}),
    ):
        last = (await newest(vault))["id"]
        assert (await vault.get(path)).status_code == 200
        records = (await vault.get("/v1/audit/records?limit=3")).json()["data"]
        # This reading, the one that looked for `last`, and that.
        assert records[2]["id"] == last
        reading = records[0]["record"]
        assert reading["action"] == "audit.record.read"
        assert reading["object"] == thing
        assert reading["details"] == details


async def test_a_reading_is_told_to_the_log_stream(service: Service, vault: Caller) -> None:
    await vault.get("/v1/audit/records?limit=2")
    reading = await newest(vault)
    lines = [line for line in service.log_text().splitlines() if reading["id"] in line]
    assert len(lines) == 1
    assert json.loads(lines[0])["leaf_hash"] == reading["leaf_hash"]


async def test_pages_hold_every_record_once(vault: Caller) -> None:
    made = {(await vault.token(VISA))["id"] for _ in range(7)}
    seen: list[str] = []
    path = "/v1/audit/records?limit=3"
    answer = (await vault.get(path)).json()
    while True:
        assert len(answer["data"]) <= 3
        seen += [each["record"]["object"] for each in answer["data"]]
        if not answer["has_more"]:
            assert answer["next_cursor"] is None
            break
        answer = (await vault.get(f"{path}&cursor={answer['next_cursor']}")).json()
    assert made <= set(seen)
    tokens = [each for each in seen if each in made]
    assert len(tokens) == len(made)


async def test_a_record_is_proved_with_nothing_but_the_key(service: Service, vault: Caller) -> None:
    await vault.token(VISA)
    found = await newest(vault)
    payload = encode(msgspec.convert(found["record"], AuditRecord))
    answer = await until_sealed(vault, found["id"])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    head = (await vault.get("/v1/audit/checkpoint")).json()
    keys = [VerifierKey.parse(key) for key in head["vkeys"]]
    origin = "audit.strongroom.example/vault"
    assert head["origin"] == origin
    proven = verify_proof(answer.content, payload, keys, origin=origin)
    now = (await vault.get(f"/v1/audit/records/{found['id']}")).json()
    assert (now["sealed"], now["index"]) == (True, proven.index)
    # The newest head covers it as well, and each listener shows its own database's tree.
    opened = open_checkpoint(head["note"].encode(), keys, origin=origin)
    assert opened.size == head["size"] >= proven.checkpoint.size > proven.index
    core = (await service.gateway(vault.key).get("/v1/audit/checkpoint")).json()
    assert core["origin"] == "audit.strongroom.example/core"
    assert core["vkeys"] != head["vkeys"]


async def test_another_tenants_record_does_not_exist(service: Service, vault: Caller) -> None:
    await vault.token(VISA)
    found = await newest(vault)
    other = await service.tenant()
    for key in other.keys.values():
        stranger = service.vault(key)
        for path in ("", "/proof"):
            answer = await stranger.get(f"/v1/audit/records/{found['id']}{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "audit_record_unknown")
        listed = (await stranger.get("/v1/audit/records")).json()["data"]
        assert found["id"] not in [each["id"] for each in listed]
        assert {each["record"]["merchant"] for each in listed} <= {other.merchant}


async def test_the_modes_are_apart(service: Service, tenant: Tenant) -> None:
    test, live = (service.vault(tenant.keys[mode]) for mode in (Mode.TEST, Mode.LIVE))
    await test.token(VISA)
    found = await newest(test)
    assert (await live.get(f"/v1/audit/records/{found['id']}")).status_code == 404
    listed = (await live.get("/v1/audit/records")).json()["data"]
    assert {each["record"]["mode"] for each in listed} <= {"live"}


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/v1/audit/records/aud_1", "404 audit_record_unknown"),
        ("/v1/audit/records/nothing/proof", "404 audit_record_unknown"),
        ("/v1/audit/records/tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "404 audit_record_unknown"),
        ("/v1/audit/records/aud_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "404 audit_record_unknown"),
        ("/v1/audit/records?cursor=next", "422 invalid"),
        ("/v1/audit/records?cursor=tok_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", "422 invalid"),
        ("/v1/audit/records?limit=0", "422 invalid"),
        ("/v1/audit/records?limit=101", "422 invalid"),
        ("/v1/audit/records?limit=many", "422 invalid"),
    ],
)
async def test_what_is_refused(vault: Caller, path: str, outcome: str) -> None:
    answer = await vault.get(path)
    assert f"{answer.status_code} {answer.json()['code']}" == outcome


@pytest.mark.parametrize(
    ("permission", "path"),
    [
        (Permission.AUDIT_RECORD_READ, "/v1/audit/records"),
        (Permission.AUDIT_CHECKPOINT_READ, "/v1/audit/checkpoint"),
    ],
)
async def test_each_route_has_its_permission(
    service: Service, tenant: Tenant, permission: Permission, path: str
) -> None:
    for given in (permission, Permission.VAULT_TOKEN_READ):
        made = await service.key(tenant.merchant, KeyKind.RESTRICTED, permissions=[given])
        answer = await service.vault(made.text.expose()).get(path)
        assert answer.status_code == (200 if given is permission else 403)


async def test_denials_come_into_the_log(service: Service, tenant: Tenant) -> None:
    await service.vault("sk_test_nothing").get("/v1/audit/records")

    async def found() -> list[Any]:
        return await service.look(
            Domain.VAULT,
            "select payload from audit.event where merchant_id = 'platform'"
            " and position('http.request.denied' in convert_from(payload, 'UTF8')) > 0",
        )

    rows: list[Any] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not rows:
            await asyncio.sleep(0.05)
            rows = await found()
    record = decode(rows[0]["payload"])
    assert (record.outcome, record.object) == ("denied", "listener:vault")
    # No tenant sees the platform's records.
    listed = (await service.vault(tenant.keys[Mode.TEST]).get("/v1/audit/records?limit=100")).json()
    assert record.event_id not in [each["id"] for each in listed["data"]]


def test_the_examples_verify() -> None:
    payload = encode(msgspec.convert(audit_examples.RECORD["record"], AuditRecord))
    leaf = leaf_hash(payload)
    assert audit_examples.RECORD["leaf_hash"] == leaf.hex()
    keys = [VerifierKey.parse(key) for key in audit_examples.CHECKPOINT["vkeys"]]
    origin = audit_examples.CHECKPOINT["origin"]
    head = open_checkpoint(audit_examples.CHECKPOINT["note"].encode(), keys, origin=origin)
    verify_inclusion(leaf, index=0, size=head.size, proof=[], root=head.root)
    assert parse_proof(audit_examples.PROOF.encode()).index == 0
    verify_proof(audit_examples.PROOF.encode(), payload, keys, origin=origin)
