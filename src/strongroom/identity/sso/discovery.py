# SPDX-License-Identifier: Apache-2.0
"""What a provider publishes of itself: its endpoints and its keys. Fetched through egress, kept with bounds.

The document must name the issuer that was asked (OpenID Connect Discovery 1.0 §4.3), and every address in it passes the
guard again: a provider cannot send us into somebody's network.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from strongroom.egress import Answered, DestinationRefused, HttpSender, Outgoing, Target
from strongroom.identity.sso.errors import ProviderSilent
from strongroom.kernel.clock import Clock

CONFIGURATION: Final = "/.well-known/openid-configuration"
#: How long a document and keys are believed without asking again.
KEPT: Final = timedelta(hours=1)
#: An unknown key makes us ask for keys again, but not more often than this: forged tokens must not make us a hammer.
KEYS_AGAIN_AFTER: Final = timedelta(seconds=60)
PROVIDERS_MAX: Final = 256
DOCUMENT_BYTES_MAX: Final = 128 * 1024
KEYS_MAX: Final = 50
TIMEOUT_SECONDS: Final = 8.0
_OK: Final = 200


class Metadata(msgspec.Struct, frozen=True):
    """What we need of a provider's document; the rest is let be."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False
    claims_parameter_supported: bool = False


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


@dataclass(slots=True)
class _Known:
    metadata: Metadata
    until: datetime
    keys: Sequence[dict[str, Any]] | None = None
    keys_at: datetime | None = None


class Discovery:
    """The documents and keys of providers that this process has asked for."""

    def __init__(
        self, sender: HttpSender, check_url: Callable[[str], Target], clock: Clock
    ) -> None:
        self._sender = sender
        self._check_url = check_url
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def metadata(self, issuer: str) -> Metadata:
        """Return what a provider says of itself.

        Raises:
            ProviderSilent: it does not answer, or says it is somebody else.
        """
        return (await self._of(issuer)).metadata

    async def keys(self, issuer: str, *, again: bool = False) -> Sequence[dict[str, Any]]:
        """Return a provider's public keys as they are published (RFC 7517). With `again`, newer ones if it is time.

        Raises:
            ProviderSilent: it does not answer.
        """
        known = await self._of(issuer)
        now = self._clock.now()
        stale = known.keys_at is None or now - known.keys_at >= (
            KEYS_AGAIN_AFTER if again else KEPT
        )
        if known.keys is None or stale:
            body = await self._fetch(known.metadata.jwks_uri, "keys")
            try:
                found = msgspec.json.decode(body, type=_Keys).keys
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise ProviderSilent("keys_malformed") from None
            if len(found) > KEYS_MAX:
                raise ProviderSilent("keys_malformed")
            known.keys, known.keys_at = found, now
        return known.keys

    async def _of(self, issuer: str) -> _Known:
        known = self._known.get(issuer)
        now = self._clock.now()
        if known is not None and now < known.until:
            self._known.move_to_end(issuer)
            return known
        body = await self._fetch(issuer.rstrip("/") + CONFIGURATION, "configuration")
        try:
            metadata = msgspec.json.decode(body, type=Metadata)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ProviderSilent("configuration_malformed") from None
        if metadata.issuer != issuer:
            raise ProviderSilent("issuer_other")
        for address in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
        ):
            self._checked(address)
        known = _Known(metadata, now + KEPT)
        self._known[issuer] = known
        self._known.move_to_end(issuer)
        while len(self._known) > PROVIDERS_MAX:
            self._known.popitem(last=False)
        return known

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """Send a form to an endpoint of a provider.

        Raises:
            ProviderSilent: no answer came.
        """
        return await self._sent("POST", url, headers, body, "token_endpoint")

    async def _fetch(self, url: str, what: str) -> bytes:
        reply = await self._sent("GET", url, {"accept": "application/json"}, None, what)
        if reply.status != _OK:
            raise ProviderSilent(f"{what}_refused")
        return reply.body

    async def _sent(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, what: str
    ) -> Answered:
        target = self._checked(url)
        reply = await self._sender.send(
            Outgoing(
                method,
                target.url,
                headers,
                body,
                timeout_seconds=TIMEOUT_SECONDS,
                answer_bytes_max=DOCUMENT_BYTES_MAX,
                port=target.port,
            )
        )
        if not isinstance(reply, Answered):
            raise ProviderSilent(f"{what}_silent")
        return reply

    def _checked(self, url: str) -> Target:
        try:
            return self._check_url(url)
        except DestinationRefused:
            raise ProviderSilent("address_refused") from None
