# SPDX-License-Identifier: Apache-2.0
"""Gives a provider the code that a browser brought, and gets its token (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

from base64 import b64encode
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from strongroom.identity.sso.discovery import Discovery, Metadata
from strongroom.identity.sso.errors import ProviderSilent, SignInRefused
from strongroom.identity.sso.model import ProviderTerms
from strongroom.kernel.secret import Secret

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
_OK: Final = 200
_REFUSED: Final = range(400, 500)


class Tokens(msgspec.Struct, frozen=True):
    """What a token endpoint answers; what it gives besides is let be."""

    id_token: str
    access_token: str
    token_type: str

    def __repr__(self) -> str:
        return "Tokens(***)"


async def exchanged(
    discovery: Discovery,
    metadata: Metadata,
    terms: ProviderTerms,
    secret: Secret[str],
    *,
    code: str,
    verifier: str,
    redirect: str,
) -> Tokens:
    """Return the tokens that a code stands for. A code is sent once, whatever comes of it.

    Raises:
        SignInRefused: the provider does not know this code, or it is not this login's.
        ProviderSilent: no answer, or another than RFC 6749 has.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "code_verifier": verifier,
    }
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    offered = metadata.token_endpoint_auth_methods_supported
    if BASIC in offered or POST not in offered:
        pair = f"{quote(terms.client_id, safe='')}:{quote(secret.expose(), safe='')}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": terms.client_id, "client_secret": secret.expose()}
    reply = await discovery.post(metadata.token_endpoint, headers, urlencode(form).encode())
    if reply.status in _REFUSED:
        raise SignInRefused("code_refused")
    if reply.status != _OK:
        raise ProviderSilent("token_endpoint_failed")
    try:
        tokens = msgspec.json.decode(reply.body, type=Tokens)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProviderSilent("token_answer_malformed") from None
    if tokens.token_type.lower() != "bearer":
        raise ProviderSilent("token_answer_malformed")
    return tokens
