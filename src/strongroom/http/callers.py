# SPDX-License-Identifier: Apache-2.0
"""Who is calling, as far as proxies before this listener are believed: the address, and the client's certificate."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from strongroom.config import ForwardedHeader
from strongroom.crypto.digest import sha256
from strongroom.http.client_address import client_address, host_of
from strongroom.http.relay import Relay
from strongroom.http.request import Request
from strongroom.kernel.addresses import Address, AddressMalformed, Networks, parse_address
from strongroom.kernel.errors import Refused

_PEM_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_PEM_END: Final = "-----END CERTIFICATE-----"
_CERTIFICATES_REMEMBERED: Final = 1_024
#: The first byte of a certificate: an ASN.1 sequence.
_SEQUENCE: Final = 0x30


class ClientCertificateMalformed(Refused):
    """The proxy's header with the client's certificate cannot be read."""

    code = "client_certificate_malformed"
    status = 400


class NotThroughRelay(Refused):
    """This listener takes connections from its proxies only."""

    code = "proxy_header_missing"
    status = 400


@dataclass(frozen=True, slots=True)
class Callers:
    """Finds out who calls a listener behind proxies. A listener without any needs none of this."""

    proxies: Networks
    header: ForwardedHeader = ForwardedHeader.NONE
    #: Lower case; None where no proxy verifies certificates.
    certificate_header: str | None = None
    #: Where the PROXY protocol is spoken: what reads its headers.
    relay: Relay | None = field(default=None, compare=False)

    def identify(self, request: Request, client: str, items: Sequence[tuple[str, str]]) -> None:
        """Set a request's address and client certificate.

        Args:
            client: the peer as the server names it, `HOST:PORT`.
            items: every header as it came, names in lower case; a repeated one stands there repeatedly.

        Raises:
            ForwardedMalformed, ClientCertificateMalformed: a trusted proxy wrote what cannot be read.
            NotThroughRelay: the connection did not come through the relay that reads the PROXY protocol.
        """
        peer = self._peer(client)
        if peer is None or peer not in self.proxies:
            if peer is not None:
                request.address = str(peer)
            return
        if self.header is not ForwardedHeader.NONE:
            lines = [value for name, value in items if name == self.header.value]
            peer = client_address(peer, lines, proxies=self.proxies, header=self.header)
        request.address = str(peer)
        if self.certificate_header is not None:
            given = [value for name, value in items if name == self.certificate_header]
            request.client_certificate = _thumbprint(given)

    def _peer(self, client: str) -> Address | None:
        if self.relay is not None:
            found = self.relay.peers.find(client)
            if found is None:
                raise NotThroughRelay
            return found
        try:
            return parse_address(host_of(client))
        except AddressMalformed:
            return None  # a socket of the file system: nobody's address, so no proxy's


def _thumbprint(given: Sequence[str]) -> str | None:
    """Return a certificate's SHA-256 thumbprint; None where the client showed none.

    Raises:
        ClientCertificateMalformed: not one certificate. Two headers are one of the proxy and one of somebody else.
    """
    if not given or given == [""]:
        return None
    if len(given) > 1:
        raise ClientCertificateMalformed
    return thumbprint_of(given[0])


@lru_cache(_CERTIFICATES_REMEMBERED)
def thumbprint_of(escaped: str) -> str:
    """Return `x5t#S256` (RFC 8705 §3.1) of a URL-encoded PEM certificate: base64url of SHA-256 over the DER, unpadded.

    Raises:
        ClientCertificateMalformed: it is not one PEM certificate (RFC 7468 §5).
    """
    text = unquote(escaped).strip()
    body = text.removeprefix(_PEM_BEGIN).removesuffix(_PEM_END)
    if len(body) != len(text) - len(_PEM_BEGIN) - len(_PEM_END):
        raise ClientCertificateMalformed
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
    except (ValueError, binascii.Error):
        raise ClientCertificateMalformed from None
    if not der or der[0] != _SEQUENCE:
        raise ClientCertificateMalformed
    return base64.urlsafe_b64encode(sha256(der)).rstrip(b"=").decode("ascii")
