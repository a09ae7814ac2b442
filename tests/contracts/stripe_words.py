# SPDX-License-Identifier: Apache-2.0
"""Stripe's objects for tests: the published example of each, with what a test is about put in."""

import copy
import json
from typing import Any

from contracts.stripe_judge import FIXTURES, VERSION
from strongroom.crypto.ids import new_id
from strongroom.vault import Forwarded


def made(name: str, **members: Any) -> dict[str, Any]:
    """Return a published example with other members."""
    thing: dict[str, Any] = copy.deepcopy(FIXTURES[name])
    unknown = set(members) - set(thing) - {"failure_reason"}
    assert not unknown, f"{name} has no {unknown}"
    return {**thing, **members}


def named(prefix: str) -> str:
    return f"{prefix}_{new_id('pay').removeprefix('pay_')}"


def intent(status: str, **members: Any) -> dict[str, Any]:
    """A PaymentIntent, with the sums that its status means unless they are given."""
    amount = members.get("amount", 1_000)
    sums = {
        "amount_capturable": amount if status == "requires_capture" else 0,
        "amount_received": amount if status == "succeeded" else 0,
    }
    defaults = {
        "id": named("pi"),
        "amount": amount,
        "currency": "aed",
        "status": status,
        "last_payment_error": None,
        "next_action": None,
        "latest_charge": None,
    }
    return made("payment_intent", **{**defaults, **sums, **members})


def error(kind: str, code: str | None, **members: Any) -> dict[str, Any]:
    told = {"type": kind, "message": "as it is told to people", **members}
    return {"error": told if code is None else {**told, "code": code}}


def redirect(url: str) -> dict[str, Any]:
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}


def event(kind: str, thing: dict[str, Any], **members: Any) -> bytes:
    told = made("event", id=named("evt"), type=kind, api_version=VERSION, data={"object": thing})
    return json.dumps({**told, **members}).encode()


def reply(status: int, body: object) -> Forwarded:
    return Forwarded("answered", status, {}, json.dumps(body).encode(), "", 0.1, "absent")
