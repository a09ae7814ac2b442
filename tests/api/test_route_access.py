# SPDX-License-Identifier: Apache-2.0
"""The table of routes and accesses in docs/explain/containers.md, driven: each route at each access of a container."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from service import Caller, Service, wish
from strongroom.compose import VAULT_ROUTES
from strongroom.kernel.mode import Mode
from strongroom.vault.containers.model import Access

VISA: Final = "4242424242424242"
PAGE: Final = Path(__file__).parents[2] / "docs/explain/containers.md"
_ROW: Final = re.compile(r"^\| `(GET|POST|DELETE) (/v1/tokens[^`]*)` \| `(\w+)`", re.MULTILINE)
#: What the page says: route and the least access that it asks for.
TABLE: Final = [
    (method, path, Access(access)) for method, path, access in _ROW.findall(PAGE.read_text("utf-8"))
]
#: What each POST is sent.
BODIES: Final[dict[str, Any]] = {
    "/v1/tokens": wish(VISA),
    "/v1/tokens/bulk": {"tokens": [wish(VISA)]},
    "/v1/tokens/search": {"brand": "visa"},
    "/v1/tokens/{token_id}": {"holder": "Amal Haddad"},
    "/v1/tokens/{token_id}/keep": {},
    "/v1/tokens/{token_id}/cvc": {"cvc": "737"},
}


def refused(answer: Any) -> bool:
    """Tell whether the rules kept the caller from it: 403, an item's problem, or a list without it."""
    if answer.status_code == 403:
        assert answer.json()["code"] == "vault_access_refused"
        return True
    assert answer.status_code in (200, 201, 204), answer.text
    if answer.status_code == 204:
        return False
    body = answer.json()
    items = body.get("data")
    if items is None:
        return False
    if items and "problem" in items[0]:
        assert items[0]["problem"]["code"] == "vault_access_refused"
        return True
    return not items


async def ground(service: Service, access: Access) -> tuple[Caller, dict[str, str]]:
    """A merchant with a token and a sealed CVC, whose keys are then given an access in `default`."""
    tenant = await service.tenant()
    vault = service.vault(tenant.keys[Mode.TEST])
    made = await vault.token(VISA, "737")
    rule = {"container": "default", "priority": 1, "grantee_kind": "key", "access": access.value}
    person = service.vault((await service.member(tenant.merchant)).key)
    assert (await person.post("/v1/access-rules", rule)).status_code == 201
    return vault, {"token_id": made["id"], "cvc": made["cvc"]}


def test_the_table_has_every_route_about_tokens() -> None:
    known = {(method, path) for method, path, _ in TABLE}
    served = {
        (method, re.sub(r":str\}", "}", path))
        for handler in VAULT_ROUTES
        for path in handler.paths
        for method in handler.http_methods - {"HEAD", "OPTIONS"}
        if path.startswith("/v1/tokens")
    }
    elsewhere = {("POST", "/v1/tokens/{token_id}/reveal")}  # has a page of its own
    assert served - elsewhere == known


# `reveal` takes two people and includes `use`: test_access_rules has the ladder.
@pytest.mark.parametrize("access", [Access.NONE, Access.MASK, Access.USE])
@pytest.mark.parametrize(("method", "path", "least"), TABLE)
async def test_a_route_asks_for_what_the_table_says(
    service: Service, method: str, path: str, least: Access, access: Access
) -> None:
    vault, ids = await ground(service, access)
    body = {"cvc": ids["cvc"]} if path.endswith("/discard") else BODIES.get(path)
    answer = await vault.send(method, path.format(**ids), body=body)
    assert refused(answer) is not access.covers(least), answer.text
