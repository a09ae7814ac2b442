# SPDX-License-Identifier: Apache-2.0
"""FAKES of Google Secret Manager (v1) and of a KV version 2 engine, for tests. Written from their documentation.

No call of these tests reached Google, OpenBao or Vault. They refuse what the documentation lets them refuse: a wrong
token or namespace, another path, a version that is not there, disabled, deleted or destroyed.
"""

import asyncio
import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from peer import Behaviour, Sent, answer
from strongroom.keys.stores.crc32c import crc32c

GOOGLE_TOKEN = "ya29.a-token-of-the-fake"
VAULT_TOKEN = "hvs.a-token-of-the-fake"
NAMESPACE = "payments/team-1"
_ACCESS = re.compile(r"/v1/projects/([a-z0-9-]+)/secrets/([\w-]+)/versions/(latest|\d+):access")
_DATA = re.compile(r"/v1/([\w-]+)/data/([\w/-]+)")


def _json(status: int, body: Any) -> bytes:
    return answer(msgspec.json.encode(body), status)


@dataclass
class FakeSecretManager:
    """Secrets by `PROJECT/NAME`, each a list of versions; None is a version that is disabled."""

    secrets: dict[str, list[bytes | None]] = field(default_factory=dict)
    damaged: bool = False
    denied: bool = False

    def behaviour(self) -> Behaviour:
        async def behave(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
            return self._answer(sent)

        return behave

    def _answer(self, sent: Sent) -> bytes:
        if sent.headers.get("authorization") != f"Bearer {GOOGLE_TOKEN}":
            return _fault(401, "UNAUTHENTICATED")
        found = _ACCESS.fullmatch(sent.target)
        if sent.method != "GET" or found is None:
            return _fault(404, "NOT_FOUND")
        if self.denied:
            return _fault(403, "PERMISSION_DENIED")
        project, name, version = found.groups()
        versions = self.secrets.get(f"{project}/{name}", [])
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            return _fault(404, "NOT_FOUND")
        data = versions[number - 1]
        if data is None:
            return _fault(400, "FAILED_PRECONDITION")
        checksum = crc32c(data) ^ self.damaged
        return _json(
            200,
            {
                "name": f"projects/1/secrets/{name}/versions/{number}",
                "payload": {
                    "data": base64.b64encode(data).decode(),
                    "dataCrc32c": str(checksum),
                },
            },
        )


def _fault(status: int, word: str) -> bytes:
    return _json(status, {"error": {"code": status, "message": "no", "status": word}})


@dataclass
class FakeKv:
    """Secrets by `MOUNT/PATH`, each a list of versions; None is a version that was deleted."""

    secrets: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    sealed: bool = False
    namespace: str | None = None

    def behaviour(self) -> Behaviour:
        async def behave(sent: Sent, _writer: asyncio.StreamWriter) -> bytes:
            return self._answer(sent)

        return behave

    def _answer(self, sent: Sent) -> bytes:
        if self.sealed:
            return _json(503, {"errors": ["Vault is sealed"]})
        target = urlsplit(sent.target)
        found = _DATA.fullmatch(target.path)
        allowed = (
            sent.headers.get("x-vault-token") == VAULT_TOKEN
            and sent.headers.get("x-vault-namespace") == self.namespace
            and sent.method == "GET"
            and found is not None
        )
        if not allowed or found is None:
            return _json(403, {"errors": ["permission denied"]})
        versions = self.secrets.get("/".join(found.groups()), [])
        number = int(parse_qs(target.query).get("version", [str(len(versions))])[0])
        if not 1 <= number <= len(versions):
            return _json(404, {"errors": []})
        data = versions[number - 1]
        metadata = {"version": number, "deletion_time": "" if data else "2026-03-01T00:00:00Z"}
        # A version that was deleted is answered with 404 and a body that has no data.
        status = 200 if data else 404
        return _json(status, {"data": {"data": data, "metadata": metadata}})
