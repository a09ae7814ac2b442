# SPDX-License-Identifier: Apache-2.0
"""What operations about cards that leave are tried with: who may, a rule that lets them, a caller who is stopped."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from proven import Proven
from revealing import Ground
from service import Service
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.kernel.ids import MerchantId


async def _shown(service: Service, _merchant: MerchantId) -> Proven:
    ground = await Ground.on(service)
    return Proven(ground.key, {"token_id": ground.token["id"]})


async def _leaving(service: Service, _merchant: MerchantId) -> Proven:
    return Proven((await Ground.on(service)).asker.key, {})


async def _stopped(service: Service, merchant: MerchantId) -> Proven:
    caller, now = new_id("key"), service.composer.site.clock.now()
    await service.look(
        Domain.VAULT,
        "insert into vault.reveal_stop (merchant_id, mode, caller, count, stopped_at, ends_at)"
        " values ($1, 'test', $2, 30, $3, $4) returning 1",
        merchant,
        caller,
        now,
        now + timedelta(hours=1),
    )
    return Proven((await service.member(merchant)).key, {"caller": caller})


REVEALS: Final[Mapping[str, Callable[[Service, MerchantId], Awaitable[Proven]]]] = {
    "vault POST /v1/exports": _leaving,
    "vault POST /v1/tokens/{token_id}/reveal": _shown,
    "vault POST /v1/reveal-stops/{caller}/lift": _stopped,
}
