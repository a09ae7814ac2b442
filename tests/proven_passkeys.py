# SPDX-License-Identifier: Apache-2.0
"""What operations about passkeys are tried with: somebody with an authenticator, and a proof that holds once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from passkey_examples import passkey_body
from proven import Proven, anybody, ticket
from service import Caller, Service
from soft_authenticator import SoftAuthenticator
from strongroom.kernel.ids import MerchantId


async def _enrolled(service: Service, merchant: MerchantId) -> tuple[Caller, SoftAuthenticator]:
    """Somebody with two passkeys in one authenticator (so that one may be removed), and a session."""
    member = await service.member(merchant)
    caller = service.console(member.key)
    authenticator = SoftAuthenticator(service.settings.console_url)
    for name in ("first", "second"):
        asked = await caller.post("/v1/own/passkeys/options")
        assert asked.status_code == 200, asked.text
        made = authenticator.create(asked.json()["public_key"])
        answer = await caller.post("/v1/own/passkeys", {"name": name, "credential": made})
        assert answer.status_code == 201, answer.text
    return caller, authenticator


async def _with_passkey(service: Service, merchant: MerchantId) -> Proven:
    caller, _ = await _enrolled(service, merchant)
    own = (await caller.get("/v1/own/passkeys")).json()["data"]
    return Proven(caller.key, {"passkey_id": own[0]["id"]})


def _proving(path: str) -> Callable[[Service, MerchantId], Awaitable[Proven]]:
    async def proven(service: Service, merchant: MerchantId) -> Proven:
        caller, authenticator = await _enrolled(service, merchant)
        _, held = await ticket(service, merchant)
        body = await passkey_body(
            path,
            {},
            nobody=anybody(service),
            me=caller,
            authenticator=authenticator,
            ticket=held,
        )
        public = path.startswith(("/v1/login", "/v1/setup"))
        return Proven(None if public else caller.key, body or {})

    return proven


#: By operation: who asks, and what stands in the path or the body.
PASSKEYS: Final[Mapping[str, Callable[[Service, MerchantId], Awaitable[Proven]]]] = {
    "console DELETE /v1/own/passkeys/{passkey_id}": _with_passkey,
    "console POST /v1/own/passkeys/{passkey_id}": _with_passkey,
    **{
        f"console POST {path}": _proving(path)
        for path in (
            "/v1/login/passkey",
            "/v1/step-up/passkey",
            "/v1/own/passkeys",
            "/v1/setup/passkey",
            "/v1/setup/passkey/options",
        )
    },
}
