# SPDX-License-Identifier: Apache-2.0
"""Bodies for the operations about passkeys: a proof works once, so what stands in the documents cannot be sent."""

from typing import Any

from service import Caller
from soft_authenticator import SoftAuthenticator


async def _asked(caller: Caller, path: str, body: object = None) -> dict[str, Any]:
    answer = await caller.post(path, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["public_key"])


async def passkey_body(
    path: str,
    example: dict[str, Any] | None,
    *,
    nobody: Caller,
    me: Caller,
    authenticator: SoftAuthenticator,
    ticket: str,
) -> dict[str, Any] | None:
    """Return what to send to an operation, made from its example.

    Args:
        path: the operation's path.
        example: the example of its body.
        nobody: speaks to the console without a token.
        me: speaks to it as a person with a passkey in the authenticator, who has stepped up.
        authenticator: where a passkey of that person's is.
        ticket: a set-up ticket of somebody else's.
    """
    if example is None:
        return None
    held = authenticator.credentials[0]
    if path == "/v1/login/passkey":
        asked = await _asked(nobody, "/v1/login/passkey/options")
        return {**example, "credential": authenticator.get(asked, credential=held)}
    if path == "/v1/step-up/passkey":
        asked = await _asked(me, "/v1/step-up/passkey/options")
        return {**example, "credential": authenticator.get(asked, credential=held)}
    other = SoftAuthenticator(authenticator.origin)
    if path == "/v1/own/passkeys":
        asked = await _asked(me, "/v1/own/passkeys/options")
        return {**example, "credential": other.create(asked)}
    if path == "/v1/setup/passkey/options":
        return {"ticket": ticket}
    if path == "/v1/setup/passkey":
        asked = await _asked(nobody, "/v1/setup/passkey/options", {"ticket": ticket})
        return {**example, "ticket": ticket, "credential": other.create(asked)}
    return example
