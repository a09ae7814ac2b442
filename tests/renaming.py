# SPDX-License-Identifier: Apache-2.0
"""Gives a token another id in tests, as an operator's retokenization does."""

from typing import Any, cast

from polling import until
from service import OPERATOR, Service, Tenant
from strongroom.audit import Origin
from strongroom.kernel.mode import Mode
from strongroom.vault.retokenize.model import Wish
from strongroom.vault.retokenize.service import Retokenizations


async def renamed(service: Service, tenant: Tenant, token: str, days: int = 30) -> str:
    """Give a token another id; the old one stands for it for so many days. Return the new one."""
    app = cast("Any", service.edges["vault"])._app
    retokenizations: Retokenizations = app.state.retokenizations
    job = await retokenizations.begin(
        tenant.merchant, Mode.TEST, Wish([token], None, days), actor=OPERATOR, origin=Origin()
    )
    key = service.vault(tenant.keys[Mode.TEST])

    async def mapped() -> str | None:
        if (await key.get(f"/v1/jobs/{job.job_id}")).json()["state"] != "done":
            return None
        page = await key.get(f"/v1/retokenizations/{job.job_id}/mapping")
        return str(page.json()["data"][0]["new"])

    return str(await until(mapped, what="the new id"))
