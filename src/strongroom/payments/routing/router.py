# SPDX-License-Identifier: Apache-2.0
"""Says where a payment may go: reads rules, connections and ranges, and leaves the decision to `plan`."""

from dataclasses import dataclass, replace

from strongroom.kernel.ids import ConnectionId, MerchantId
from strongroom.kernel.mode import Mode
from strongroom.payments.connections import ConnectionBook
from strongroom.payments.model import Payment
from strongroom.payments.routing.book import RuleBook
from strongroom.payments.routing.breakers import Breakers
from strongroom.payments.routing.plan import Facts, Plan, planned
from strongroom.payments.routing.rules import UNKNOWN, ActiveRules
from strongroom.payments.routing.way import Way
from strongroom.telemetry.work_metrics import PaymentMetrics
from strongroom.vault import CardFacts


@dataclass(frozen=True, slots=True)
class Router:
    """The routing of one process."""

    rules: RuleBook
    connections: ConnectionBook
    breakers: Breakers
    metrics: PaymentMetrics

    async def way(self, payment: Payment, card: CardFacts | None, wanted: str | None) -> Way:
        """Return the way of a payment that is to be charged with a card; `wanted` is the connection that is named."""
        agreed = None if card is None else card.stored_credential
        said = payment.stored_credential or agreed
        facts = Facts(
            payment=payment.payment_id,
            amount=payment.amount,
            currency=payment.currency,
            brand=None if card is None else card.brand,
            bin=None if card is None else card.bin,
            stored_credential="none" if said is None else said.initiator,
            metadata=payment.metadata,
        )
        return await self.way_of(payment.merchant_id, payment.mode, facts, wanted)

    async def way_of(
        self,
        merchant: MerchantId,
        mode: Mode,
        facts: Facts,
        wanted: str | None,
        *,
        instead: ActiveRules | None = None,
    ) -> Way:
        """Return the way of a payment that is described; `instead` of the rules that hold others may be followed."""
        known = await self.connections.all(merchant, mode)
        active = instead
        if active is None and wanted is None:
            active = await self.rules.active(merchant, mode)
        if active is not None and active.ask_for_ranges:
            facts = await self.known_of(merchant, mode, facts)
        plan = planned(
            active,
            facts,
            wanted=None if wanted is None else ConnectionId(wanted),
            newest=next((each.connection_id for each in known if each.status == "active"), None),
        )
        status_of: dict[ConnectionId, str] = {each.connection_id: each.status for each in known}
        return Way(plan, _gone(plan, status_of), self.breakers, self.metrics)

    async def known_of(self, merchant: MerchantId, mode: Mode, facts: Facts) -> Facts:
        """Return the facts with what the merchant's ranges say of the card, where nothing else does."""
        if facts.bin is None or UNKNOWN not in (facts.country, facts.funding):
            return facts
        country, funding = await self.rules.issuer(merchant, mode, facts.bin)
        return replace(
            facts,
            country=country if facts.country == UNKNOWN else facts.country,
            funding=funding if facts.funding == UNKNOWN else facts.funding,
        )


def _gone(plan: Plan, status_of: dict[ConnectionId, str]) -> dict[ConnectionId, str]:
    """Say which connections of a plan may not be used, whatever the moment."""
    words = {each: status_of.get(each) for each in plan.order}
    return {
        each: "connection_unknown" if status is None else f"connection_{status}"
        for each, status in words.items()
        if status != "active"
    }
