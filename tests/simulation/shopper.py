# SPDX-License-Identifier: Apache-2.0
"""A customer with a cart and a merchant who charges it: one payment from its token to its last refund, by a seed.

Knows nothing of checkers and checks nothing. Every choice comes from one random generator, made of the run's seed and
the shopper's number, so that a seed replays who wants what in which order.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import canary
from simulation.till import Answer, Till
from strongroom.kernel.schemes import synthetic_number
from strongroom.simulator.control import SimulatorControl, SimulatorControlFailed

#: Numbers by what becomes of them; the rest are of the synthetic range, each used once.
DECLINED: Final = ("4000000000000002", "4000000000009995", "4000000000000069", "4000000000000127")
CHALLENGED: Final = ("4000002760003184", "4000002500003155", "4000008260003178", "4000008400001629")
CAPTURES_FAIL: Final = "4000000000000341"
PUBLISHED: Final = ("4242424242424242", "5555555555554444", "2223003122003222")
WAIT_SECONDS_MAX: Final = 10.0
CONFIRMS_MAX: Final = 4
_PAUSE_SECONDS: Final = 0.1
_PAUSE_SECONDS_MAX: Final = 1.0


@dataclass(slots=True)
class Shop:
    """A merchant with its till and its connections to accounts. Its rules may name one more, which is away."""

    name: str
    till: Till
    connections: list[str]
    away: str
    finding: str
    account: str


@dataclass(slots=True)
class Shopper:
    """One payment's life."""

    seed: int
    number: int
    shop: Shop
    control: SimulatorControl
    chance: random.Random = field(init=False)
    _keys: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} shopper {self.number}")

    @property
    def order(self) -> str:
        """The merchant's own name for what is bought: one payment, whatever happens on the way."""
        return f"order-{self.seed}-{self.number}"

    async def run(self) -> None:
        """Pay, and then do with the payment what merchants do."""
        body = await self._cart()
        if body is None:
            return
        answer = await self._ask("/v1/payments", body)
        payment = answer.payment.get("id")
        if not payment:
            return
        now = await self._authorized(str(payment), confirmed=bool(body["confirm"]))
        if now.get("status") in ("requires_capture", "succeeded"):
            await self._afterwards(str(payment), now)

    async def _cart(self) -> dict[str, Any] | None:
        chance = self.chance
        amount = chance.randint(2, 900) * 100 + chance.randint(0, 70)
        dice = chance.random()
        if dice < 0.07:
            amount += 77 - amount % 100  # approved in part
        elif dice < 0.12:
            amount += 88 - amount % 100  # decided later
        body: dict[str, Any] = {
            "amount": amount,
            "currency": chance.choice(("AED", "EUR", "USD", "JPY")),
            "capture_method": "manual" if chance.random() < 0.65 else "automatic",
            "confirm": chance.random() < 0.85,
            "connection": chance.choice(self.shop.connections),
            "reference": self.order,
        }
        if body["capture_method"] == "manual" and chance.random() < 0.5:
            body["estimated"] = True
        if body["capture_method"] == "manual" and chance.random() < 0.1:
            soon = datetime.now(UTC) + timedelta(seconds=chance.uniform(0.5, 6.0))
            body["capture_at"] = soon.isoformat()
        if not body["confirm"] or chance.random() < 0.5:
            del body["connection"]  # the merchant's rules choose
        if chance.random() < 0.5:
            body["return_url"] = "https://shop.example/thanks"
        token = await self._token(self._card())
        return None if token is None else {**body, **token}

    def _card(self) -> tuple[str, str | None]:
        chance = self.chance
        dice = chance.random()
        if dice < 0.04:
            return canary.NUMBER, canary.CVC
        cvc = f"{chance.randint(100, 899)}" if chance.random() < 0.4 else None
        if dice < 0.14:
            return chance.choice(DECLINED), cvc
        if dice < 0.24:
            return chance.choice(CHALLENGED), cvc
        if dice < 0.27:
            return CAPTURES_FAIL, cvc
        return self._good_card(dice), cvc

    def _good_card(self, dice: float) -> str:
        if dice < 0.5:
            return self.chance.choice(PUBLISHED)
        return synthetic_number(1 + self.seed % 10**7 * 10**6 + self.number)

    async def _token(self, card: tuple[str, str | None]) -> dict[str, str] | None:
        number, cvc = card
        given: dict[str, Any] = {"number": number, "exp_month": 12, "exp_year": 2034}
        if cvc is not None:
            given["cvc"] = cvc
        answer = await self.shop.till.tokenize({"card": given}, self._key())
        if answer.status not in (200, 201):
            self.shop.till.memory.surprises.append(
                f"a token was refused: {answer.status} {answer.code}"
            )
            return None
        made = {"token": str(answer.body["id"])}
        if cvc is not None and answer.body.get("cvc"):
            made["cvc"] = str(answer.body["cvc"])
        return made

    async def _authorized(self, payment: str, *, confirmed: bool) -> Mapping[str, Any]:
        """Go on until the payment is authorized, or given up."""
        for _ in range(CONFIRMS_MAX):
            if confirmed:
                now = await self._settled(payment)
                status = now.get("status")
                if status == "requires_action":
                    now = await self._challenged(payment, now)
                    status = now.get("status")
                if status not in ("requires_confirmation", "requires_payment_method"):
                    return now
            else:
                now = await self.shop.till.read(payment)
            if confirmed and self.chance.random() < 0.2:
                await self._ask(f"/v1/payments/{payment}/cancel", {"reason": "abandoned"})
                return {}
            body: dict[str, Any] = {}
            if self.chance.random() < 0.5:
                body["connection"] = self.chance.choice(self.shop.connections)
            if now.get("status") == "requires_payment_method" or self.chance.random() < 0.2:
                other = await self._token((self._good_card(self.chance.random()), None))
                body |= other or {}
            await self._ask(f"/v1/payments/{payment}/confirm", body)
            confirmed = True
        return await self._settled(payment)

    async def _challenged(self, payment: str, now: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer the challenge as the customer does, and come back or not."""
        url = (now.get("next_action") or {}).get("url")
        if not url:
            return await self._settled(payment)
        back = await self.control.challenge(str(url), approve=self.chance.random() < 0.8)
        if back is not None and self.chance.random() < 0.7:
            # A customer whose page does not load goes home.
            await self.shop.till.wire.send("GET", back, headers={})
        return await self._settled(payment, beyond="requires_action")

    async def _settled(self, payment: str, *, beyond: str = "") -> Mapping[str, Any]:
        """Read until nothing is under way, as long as a merchant's patience lasts."""
        end, pause = time.monotonic() + WAIT_SECONDS_MAX, _PAUSE_SECONDS
        while True:
            now = await self.shop.till.read(payment)
            status = now.get("status")
            if status not in ("processing", beyond) or time.monotonic() > end:
                return now
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_SECONDS_MAX)

    async def _afterwards(self, payment: str, now: Mapping[str, Any]) -> None:
        chance = self.chance
        authorized = int(now["balances"]["authorized"])
        for _ in range(chance.randint(0, 4)):
            now = await self.shop.till.read(payment)
            status = now.get("status")
            if status == "requires_capture" and now["estimated"] and chance.random() < 0.5:
                await self._increments(payment)
            elif status == "requires_capture":
                await self._captures(payment, int(now["balances"]["capturable"]))
            elif status == "succeeded":
                await self._refunds(payment, int(now["balances"]["refundable"]))
            elif status == "processing":
                await self._settled(payment)
            else:
                return
        if chance.random() < 0.05:  # one too many, whatever is left
            await self._ask(f"/v1/payments/{payment}/refunds", {"amount": authorized + 1})
        if chance.random() < 0.15:
            await self._reversed(payment)

    async def _increments(self, payment: str) -> None:
        """Raise what is held, now and then twice at once, or beside a capture."""
        path = f"/v1/payments/{payment}"
        wishes = [(f"{path}/increment", {"amount": self.chance.randint(1, 9_000)})]
        dice = self.chance.random()
        if dice < 0.2:
            wishes *= 2
        elif dice < 0.4:
            wishes.append((f"{path}/capture", {"amount": 1, "final_capture": False}))
        await asyncio.gather(*(self._ask(*each) for each in wishes))

    async def _captures(self, payment: str, left: int) -> None:
        chance = self.chance
        path = f"/v1/payments/{payment}"
        dice = chance.random()
        if dice < 0.15:
            await self._ask(f"{path}/cancel", {"reason": "requested_by_customer"})
        elif dice < 0.25:
            part = max(1, left // 2 + 1)  # two halves, together one too many
            wanted = {"amount": part, "final_capture": False}
            await asyncio.gather(*(self._ask(f"{path}/capture", wanted) for _ in range(2)))
        elif dice < 0.6:
            part = chance.randint(1, max(1, left))
            wanted = {"amount": part, "final_capture": chance.random() < 0.3}
            await self._ask(f"{path}/capture", wanted)
        else:
            await self._ask(f"{path}/capture", {})

    async def _refunds(self, payment: str, left: int) -> None:
        chance = self.chance
        path = f"/v1/payments/{payment}/refunds"
        if left < 1:
            return
        dice = chance.random()
        if dice < 0.3:
            parts = [{"amount": max(1, left // 3)} for _ in range(4)]  # four thirds
            await asyncio.gather(*(self._ask(path, part) for part in parts))
        elif dice < 0.7:
            await self._ask(path, {"amount": chance.randint(1, left)})
        else:
            await self._ask(path, {})

    async def _reversed(self, payment: str) -> None:
        """Days later, as it were: a capture fails at the processor, or an authorization expires."""
        now = await self._settled(payment)
        balances = now.get("balances") or {}
        under_way = ("capturing", "voiding", "refunding", "refunded", "incrementing")
        if not balances or any(balances[name] for name in under_way):
            return
        attempts = await self._attempts(payment)
        if balances["captured"]:
            kind, operations = "capture_failed", ("capture",)
        else:
            kind, operations = "payment_expired", ("authorize",)
        for each in attempts:
            if each["operation"] in operations and each["outcome"] == "approved":
                with suppress(SimulatorControlFailed):
                    await self.control.happen(kind, each["id"])
                return

    async def _attempts(self, payment: str) -> list[dict[str, Any]]:
        answer = await self.shop.till.look(f"/v1/payments/{payment}/attempts")
        return list(answer.body["data"]) if answer is not None and answer.status == 200 else []

    async def _ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        return await self.shop.till.ask(path, body, self._key())

    def _key(self) -> str:
        self._keys += 1
        return f"{self.order}-{self._keys}"
