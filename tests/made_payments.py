# SPDX-License-Identifier: Apache-2.0
"""What operations about payments are tried with where one id is not enough: makers of several, by operation."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from elsewhere import customer_and_brakes
from paying import Shop
from polling import until
from strongroom.db.logins import Domain
from strongroom.kernel.mode import Mode
from strongroom.simulator import Fault

Ids = Mapping[str, str]
#: Declined softly whenever it is tried.
SHORT: Final = "4000000000009995"
LATER: Final = {
    "initiator": "merchant",
    "reason": "recurring",
    "stage": "later",
    "scheme_transaction_id": "FIRST1",
}


async def braked(shop: Shop) -> Ids:
    """Somebody who is blocked by the merchant, and somebody who tries cards."""
    return await customer_and_brakes(shop.service, shop.tenant.merchant, Mode.TEST)


async def enforced(shop: Shop) -> Ids:
    """Somebody whom a person blocked, so that no allowance helps."""
    made = await braked(shop)
    await shop.service.look(
        Domain.CORE,
        "update payments.brake_entry set enforced = true where entry_id = $1",
        made["entry_id"],
    )
    return made


async def with_mandate(shop: Shop) -> Ids:
    """A customer who saved a card and agreed to be charged."""
    customer = await _posted(shop, "/v1/customers", {"name": "Amal Haddad"})
    path, token = f"/v1/customers/{customer['id']}", (await shop.token())["id"]
    await _posted(shop, f"{path}/cards", {"token": token})
    agreed = {"token": token, "method": "web", "text_version": "1"}
    mandate = await _posted(shop, f"{path}/mandates", agreed)
    return {"customer_id": customer["id"], "token_id": token, "mandate_id": mandate["id"]}


async def new_customer(shop: Shop) -> Ids:
    """A customer who has not saved a card."""
    customer = await _posted(shop, "/v1/customers", {"name": "Amal Haddad"})
    return {"customer_id": customer["id"], "token_id": (await shop.token())["id"]}


async def with_next(shop: Shop) -> Ids:
    """A connection whose next credentials wait."""
    body = {
        "processor": "simulator",
        "account": shop.account,
        "base_url": shop.simulated.url,
        "credentials": {"api_key": shop.api_key},
        "webhook_secret": shop.secret,
    }
    made = (await _posted(shop, "/v1/connections", body))["id"]
    credentials = {"credentials": {"api_key": shop.api_key}}
    staged = await _posted(shop, f"/v1/connections/{made}/next", credentials)
    return {"connection_id": made, "staged_at": staged["staged_at"]}


async def with_former(shop: Shop) -> Ids:
    """A connection whose credentials from before are kept."""
    ids = await with_next(shop)
    path = f"/v1/connections/{ids['connection_id']}/promote"
    await _posted(shop, path, {"staged_at": ids["staged_at"], "keep_seconds": 3_600})
    return ids


async def holding(shop: Shop) -> Ids:
    """A payment whose estimated amount is held."""
    more = {"connection": shop.connection["id"]}
    held = await shop.authorized(estimated=True, **more)
    return {"payment_id": held["id"]}


async def retried(shop: Shop) -> Ids:
    """A payment that was declined softly and is tried again in an hour."""
    await _posted(shop, "/v1/retry-policy", {"enabled": True, "delays_hours": [1]})
    answer = await shop.pay(SHORT, stored_credential=LATER, connection=shop.connection["id"])
    assert answer.status_code == 402, answer.text
    payment = answer.json()["payment"]["id"]

    async def scheduled() -> bool | None:
        return (await shop.payment(payment))["next_retry_at"] is not None or None

    await until(scheduled, what=f"{payment} to be scheduled")
    return {"payment_id": payment}


async def left_to_people(shop: Shop) -> Ids:
    """An attempt that nobody could find out: its answer was lost, and its processor tells nothing."""
    account = f"{shop.account}_silent"
    made = await shop.simulated.control.account(account)
    connection = {
        "processor": "simulator",
        "account": account,
        "base_url": shop.simulated.url,
        "credentials": {"api_key": made.api_key},
        "webhook_secret": shop.secret,
        "finding": "by_notice",
    }
    silent = (await _posted(shop, "/v1/connections", connection))["id"]
    await shop.simulated.control.demand(Fault.CUT_AFTER, "authorize")
    answer = await shop.pay(capture_method="manual", connection=silent)
    assert answer.status_code == 202, answer.text
    attempt = answer.json()["attempt"]["id"]
    await shop.service.look(
        Domain.CORE,
        "update payments.attempt set reason = 'left_to_people' where attempt_id = $1",
        attempt,
    )
    return {"payment_id": answer.json()["id"], "attempt_id": attempt}


async def _posted(shop: Shop, path: str, body: object) -> dict[str, Any]:
    answer = await shop.gateway.post(path, body)
    assert answer.is_success, answer.text
    return dict(answer.json())


_CUSTOMER: Final = "/v1/customers/{customer_id}"
SEVERAL: Final[Mapping[str, Callable[[Shop], Awaitable[Ids]]]] = {
    "gateway DELETE /v1/brakes/enforced/{entry_id}": enforced,
    "gateway DELETE /v1/brakes/entries/{entry_id}": braked,
    "gateway POST /v1/brakes/incidents/{incident_id}/end": braked,
    "gateway POST /v1/connections/{connection_id}/promote": with_next,
    "gateway POST /v1/connections/{connection_id}/restore": with_former,
    f"gateway DELETE {_CUSTOMER}": with_mandate,
    f"gateway DELETE {_CUSTOMER}/cards/{{token_id}}": with_mandate,
    f"gateway POST {_CUSTOMER}/cards": new_customer,
    f"gateway POST {_CUSTOMER}/mandates": with_mandate,
    f"gateway POST {_CUSTOMER}/mandates/{{mandate_id}}/revoke": with_mandate,
    "gateway POST /v1/payments/{payment_id}/attempts/{attempt_id}/resolve": left_to_people,
    "gateway POST /v1/payments/{payment_id}/hold": holding,
    "gateway POST /v1/payments/{payment_id}/increment": holding,
    "gateway POST /v1/payments/{payment_id}/retries/cancel": retried,
}
