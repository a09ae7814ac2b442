# SPDX-License-Identifier: Apache-2.0
"""Two people and a card, with vault and console as processes of their own, each with its own logins and key file.

The vault believes the console's access tokens and the second factor in them, asks for the approval under its own login
on the core database, and takes it back there.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pyotp
import pytest
import pytest_asyncio

from apart import Apart, apart
from approving import Two
from paying import VISA
from service import Caller
from strongroom.config.roles import ServedRole

pytestmark = pytest.mark.timeout(300)
PASSWORD = "quiet harbour 7 lanterns"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has set up and logged in, by the steps that everybody takes."""

    token: str


@pytest.fixture(scope="module")
def made() -> Iterator[Apart]:
    with apart() as lent:
        yield lent


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clients(made: Apart) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    await made.start((ServedRole.VAULT, ServedRole.CONSOLE))
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(made.client(name))
            for name in ("vault", "console")
        }


async def logged_in(made: Apart, console: Caller, merchant: str, email: str) -> Person:
    link = made.site.run.done(
        "person", "invite", "--merchant", merchant, "--email", email, "--name", "Somebody",
        "--role", "admin", "--quiet",
    ).out.strip()  # fmt: skip

    async def done(path: str, **body: str) -> dict[str, str]:
        answer = await console.post(path, body)
        assert answer.status_code < 300, answer.text
        return {} if answer.status_code == 204 else dict(answer.json())

    ticket = (await done("/v1/setup", link=link))["ticket"]
    await done("/v1/setup/password", ticket=ticket, password=PASSWORD)
    app = pyotp.TOTP((await done("/v1/setup/totp", ticket=ticket))["secret"])
    # Each code is taken once: the one that has just run out, and then the present one.
    await done("/v1/setup/totp/confirm", ticket=ticket, code=app.at(int(time.time()) - 30))
    handle = (await done("/v1/login", email=email, password=PASSWORD, mode="test"))["handle"]
    tokens = await done("/v1/login/totp", handle=handle, code=app.now())
    return Person(tokens["access_token"])


async def test_two_people_show_a_card(made: Apart, clients: dict[str, httpx.AsyncClient]) -> None:
    run = made.site.run
    merchant = run.done("merchant", "create", "Corner Shop", "--quiet").out.strip()
    key = run.done(
        "key", "create", "--merchant", merchant, "--mode", "test", "--kind", "sk", "--name",
        "till", "--quiet",
    ).out.strip()  # fmt: skip
    token = (await Caller(clients["vault"], key).token(VISA))["id"]
    anybody = Caller(clients["console"], None)
    asker, other = [
        await logged_in(made, anybody, merchant, f"{name}@shop.example") for name in ("ada", "omar")
    ]
    two = Two(Caller(clients["vault"], asker.token), Caller(clients["console"], other.token))
    rule = {
        "container": "default",
        "priority": 10,
        "grantee_kind": "role",
        "grantee": "admin",
        "access": "reveal",
    }
    assert (await two.done("/v1/access-rules", rule)).status_code == 201
    path, wish = f"/v1/tokens/{token}/reveal", {"purpose": "dispute"}
    approval = await two.asked(path, wish)
    early = await two.used(approval, path, wish)
    assert (early.status_code, early.json()["code"]) == (403, "approval_not_usable")
    own = await Caller(clients["console"], asker.token).post(
        f"/v1/approvals/{approval}/approve", {}
    )
    assert (own.status_code, own.json()["code"]) == (403, "approval_own")
    said = await two.approver.post(f"/v1/approvals/{approval}/approve", {})
    assert said.status_code == 200, said.text
    shown = await two.used(approval, path, wish)
    assert shown.json()["card"]["number"] == VISA, shown.text
    again = await two.used(approval, path, wish)
    assert again.json()["code"] == "approval_not_usable"
    assert 'strongroom_reveals_total{method="clear",mode="test"} 1.0' in await made.metrics("vault")
    for role in (ServedRole.VAULT, ServedRole.CONSOLE):
        assert VISA not in made.log_of(role).read_text("utf-8") + made.said_by(role)
    records = (await Caller(clients["vault"], asker.token).get("/v1/audit/records")).json()["data"]
    assert "vault.token.revealed" in [each["record"]["action"] for each in records]
    records = (await two.approver.get("/v1/audit/records")).json()["data"]
    assert "identity.approval.used" in [each["record"]["action"] for each in records]
