# SPDX-License-Identifier: Apache-2.0
"""A client of a running vault or gateway, for the nouns that speak to one: one request, one answer, over verified TLS.

Refuses plain HTTP to anywhere but this machine, a key that others can read, and proxies from the environment.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, final
from urllib.parse import urlsplit

from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.secret import Secret

if TYPE_CHECKING:
    import httpx

SECONDS_MAX: Final = 15
#: A gateway waits for processors.
GATEWAY_SECONDS_MAX: Final = 60
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSED: Final = 400
_NO_CONTENT: Final = 204


class VaultUrlRefused(StrongroomError):
    """A vault is reached at https://host[:port]; plain http only on this machine."""

    code = "vault_url_refused"


class KeyMissing(StrongroomError):
    """No API key: set STRONGROOM_KEY, or name a file that holds one with --key-file."""

    code = "key_missing"


class KeyFileRefused(StrongroomError):
    """The key file cannot be used."""

    code = "key_file_refused"


class VaultAway(StrongroomError):
    """No vault answers there."""

    code = "vault_away"


class AnswerLost(StrongroomError):
    """The request was sent and no answer came: whether it was done is not known."""

    code = "answer_lost"


class GatewayAway(VaultAway):
    """No gateway answers there."""

    code = "gateway_away"


class ConsoleAway(VaultAway):
    """No console answers there."""

    code = "console_away"


class CertificateRefused(StrongroomError):
    """The vault's certificate does not verify: name its authority's certificate with --ca."""

    code = "certificate_refused"


class VaultRefused(StrongroomError):
    """The vault refused."""

    code = "vault_refused"

    def __init__(
        self,
        detail: str,
        *,
        answered: int = 0,
        problem: Mapping[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        #: The HTTP status and the problem details (RFC 9457), where there are any.
        self.answered = answered
        self.problem: Mapping[str, Any] = problem or {}
        #: When the same may be asked again, where that was said.
        self.retry_after_seconds = retry_after_seconds


class GatewayRefused(VaultRefused):
    """The gateway refused."""

    code = "gateway_refused"


class ConsoleRefused(VaultRefused):
    """The console refused."""

    code = "console_refused"


_REFUSALS: Final = {
    "console": ConsoleRefused,
    "gateway": GatewayRefused,
    "vault": VaultRefused,
}
_AWAYS: Final = {"console": ConsoleAway, "gateway": GatewayAway, "vault": VaultAway}


@final
class Client:
    """Talks to one vault, gateway or console, with one key or access token, or before there is any.

    Raises:
        VaultUrlRefused, CertificateRefused: see each.
    """

    def __init__(
        self,
        url: str,
        authority: Path | None,
        key: Secret[str] | None,
        *,
        is_gateway: bool = False,
        is_console: bool = False,
    ) -> None:
        import ssl

        import httpx

        parts = urlsplit(url)
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or (parts.scheme == "http" and parts.hostname not in _LOOPBACK)
            or "@" in parts.netloc
        ):
            raise VaultUrlRefused
        try:
            tls = ssl.create_default_context(cafile=authority)
        except OSError as error:  # an ssl.SSLError is one
            raise CertificateRefused(
                f"{authority} is not a PEM file of certificates: {error.strerror or 'unreadable'}"
            ) from None
        self._what = "console" if is_console else "gateway" if is_gateway else "vault"
        self._refused = _REFUSALS[self._what]
        self._away = _AWAYS[self._what]
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._client = httpx.Client(
            base_url=self._url,
            verify=tls,
            timeout=GATEWAY_SECONDS_MAX if is_gateway else SECONDS_MAX,
            trust_env=False,  # a proxy that the environment names would see card numbers
            headers={} if key is None else {"authorization": f"Bearer {key.expose()}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer's JSON object; empty for an answer without a body. `content` is sent as it is.

        Raises:
            VaultAway, AnswerLost, CertificateRefused, VaultRefused: see each. None holds what was sent.
        """
        answer = self._sent(
            method, path, json=body, content=content, headers=headers, params=dict(query or {})
        )
        if answer.status_code == _NO_CONTENT:
            return {}
        return self._object(answer)

    def fetch(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return an answer that is no JSON object as it is, and its headers. Raises as `ask`."""
        answer = self._sent("GET", path, params=dict(query or {}))
        if answer.status_code >= _REFUSED:
            self._object(answer)
        return answer.content, answer.headers

    def _sent(self, method: str, path: str, **more: Any) -> "httpx.Response":
        import httpx

        try:
            return self._client.request(method, path, **more)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CertificateRefused from None
            raise self._away(f"no {self._what} answers at {self._url}: strongroom serve") from None
        except httpx.TransportError:
            raise AnswerLost from None

    def _object(self, answer: "httpx.Response") -> dict[str, Any]:
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise self._refused(f"{self._url} answered {answer.status_code} and no JSON object")
        if answer.status_code >= _REFUSED:
            raise self._refused(
                _sentence(answer.status_code, content),
                answered=answer.status_code,
                problem=content,
                retry_after_seconds=_whole(answer.headers.get("retry-after", "")),
            )
        return content


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None  # noqa: PLR2004 - months


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    """Print problem details (RFC 9457) as one sentence. The vault never echoes a value in them."""
    fields = problem.get("errors")
    if isinstance(fields, list) and fields:
        said = "; ".join(f"{each.get('pointer')} {each.get('detail')}" for each in fields)
    else:
        said = str(problem.get("detail", "no reason given"))
    return f"{status} {problem.get('code', 'error')}: {said} (request {problem.get('request_id')})"


def read_key_file(path: Path) -> Secret[str]:
    """Read an API key from a file that is its owner's alone.

    Raises:
        KeyFileRefused: it cannot be read, is empty, or others can read it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyFileRefused(f"others can read {path}: chmod 600 {path}")
            text = file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise KeyFileRefused(f"{path}: {reason}") from None
    if not text:
        raise KeyFileRefused(f"{path} is empty")
    return Secret(text)
