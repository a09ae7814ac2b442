# SPDX-License-Identifier: Apache-2.0
"""Jobs over HTTP and by command: who may see and steer them, and what is written down."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine
from elsewhere import waiting_job
from service import Service, Tenant
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind


async def test_a_job_is_steered_and_each_change_recorded(service: Service, tenant: Tenant) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    job = await waiting_job(service, tenant.merchant, Mode.TEST)
    at = f"/v1/jobs/{job}"
    assert (await vault.get(at)).json()["state"] == "waiting"
    assert (await vault.post(f"{at}/pause")).json()["state"] == "paused"
    rated = (await vault.post(f"{at}/rate", {"rate": 7})).json()
    assert (rated["rate"], rated["state"]) == (7, "paused")
    listed = (await vault.get("/v1/jobs?limit=1")).json()
    assert listed["data"][0]["id"] == job
    assert (await vault.post(f"{at}/cancel")).json()["state"] == "canceled"
    again = await vault.post(f"{at}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "job_ended")
    rows = await service.look(
        Domain.VAULT,
        "select convert_from(payload, 'utf8')::jsonb -> 'details' ->> 'result' as result, payload from audit.event"
        " where merchant_id = $1 and position($2::text in convert_from(payload, 'utf8')) > 0 order by xid, payload",
        tenant.merchant,
        job,
    )
    # Last comes the record of the re-seal itself, which has ended.
    assert [row["result"] for row in rows] == ["paused", "rated", "canceled", None]


@pytest.mark.parametrize("rate", [0, -1, 1_000_001, 1.5, "7"])
async def test_a_rate_is_a_whole_number(service: Service, tenant: Tenant, rate: Any) -> None:
    vault = service.vault(tenant.keys[Mode.TEST])
    job = await waiting_job(service, tenant.merchant, Mode.TEST)
    answer = await vault.post(f"/v1/jobs/{job}/rate", {"rate": rate})
    assert answer.status_code == 422


async def test_who_may_read_may_not_steer(service: Service, tenant: Tenant) -> None:
    key = await service.key(
        tenant.merchant, KeyKind.RESTRICTED, permissions=[Permission.VAULT_JOB_READ]
    )
    vault = service.vault(key.text.expose())
    job = await waiting_job(service, tenant.merchant, Mode.TEST)
    assert (await vault.get(f"/v1/jobs/{job}")).status_code == 200
    assert (await vault.post(f"/v1/jobs/{job}/pause")).status_code == 403


async def test_commands(service: Service, tenant: Tenant, tmp_path: Path) -> None:
    key = tmp_path / "backend.key"
    key.touch(mode=0o600)
    key.write_text(tenant.keys[Mode.TEST] + "\n")
    run = CommandLine(
        tmp_path,
        {
            "STRONGROOM_URL": f"https://{service.settings.vault_listen}",
            "STRONGROOM_CA": str(service.authority),
            "STRONGROOM_STATE": str(tmp_path / "state"),
        },
    )

    async def ran(*arguments: str) -> Any:
        return await asyncio.to_thread(run, "job", *arguments, "--key-file", "backend.key")

    job = await waiting_job(service, tenant.merchant, Mode.TEST)
    shown = await ran("show", job)
    assert shown.code == 0, shown.err
    assert "0 of 10" in shown.out
    assert (await ran("pause", job, "--json")).json["state"] == "paused"
    assert (await ran("rate", job, "500", "--json")).json["rate"] == 500
    listed = await ran("list")
    assert job in listed.out
    assert (await ran("cancel", job, "--yes", "--json")).json["state"] == "canceled"
    watched = await ran("watch", job)
    assert watched.code == 1, "it did not come to be done"
    assert "canceled" in watched.out
    assert (await ran("show", "job_1")).code == 2
