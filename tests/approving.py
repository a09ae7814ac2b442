# SPDX-License-Identifier: Apache-2.0
"""Two people at the console: what takes both, one asks for and the other approves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from service import Caller, Service
from strongroom.kernel.ids import MerchantId
from strongroom.kernel.mode import Mode


@dataclass(frozen=True, slots=True)
class Two:
    """Each may approve what the other asks for."""

    asker: Caller
    approver: Caller

    async def asked(self, path: str, body: Mapping[str, Any]) -> str:
        """Let a request wait; return its approval."""
        answer = await self.asker.post(path, dict(body))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def approved(self, path: str, body: Mapping[str, Any]) -> str:
        """Let a request wait until the other has approved it; return the approval."""
        approval = await self.asked(path, body)
        said = await self.approver.post(f"/v1/approvals/{approval}/approve", {})
        assert said.status_code == 200, said.text
        return approval

    async def used(self, approval: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send a request with its approval."""
        return await self.asker.post(path, dict(body), headers={"strongroom-approval": approval})

    async def done(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Ask, approve, and send again."""
        return await self.used(await self.approved(path, body), path, body)


async def two_admins(service: Service, merchant: MerchantId, mode: Mode = Mode.TEST) -> Two:
    """Make two admins who are logged in."""
    first, second = [await service.member(merchant, mode=mode) for _ in range(2)]
    return Two(service.console(first.key), service.console(second.key))
