# SPDX-License-Identifier: Apache-2.0
"""Single sign-on over HTTP, with a provider that others wrote (`oidc-provider-mock`), in a process of its own."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import jsonschema
import pytest
import pytest_asyncio

from approving import Two, two_admins
from callers import PeopledComposer
from database import Databases
from service import Caller, Service, free_ports, running
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.http.openapi import openapi_document
from strongroom.identity.sso import examples
from strongroom.identity.sso.api import ROUTES
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

REDIRECT: Final = "https://console.shop.example/signed-in"
DOCUMENT: Final = json.loads(openapi_document(ROUTES, title="t", description="d"))
SUBJECTS: Final = {
    "ada": {"email": "Ada@sso.example", "email_verified": True, "amr": ["pwd", "otp", "mfa"]},
    "bob": {"email": "bob@sso.example", "email_verified": True, "amr": ["pwd"]},
    "eve": {"email": "eve@sso.example", "email_verified": False, "amr": ["mfa"]},
}
GROUPS: Final = {"ada": ["support"], "bob": ["support"], "eve": ["support"]}


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """Lend a provider that others wrote; returns its issuer."""
    (port,) = free_ports(1)
    users = [
        json.dumps({"sub": sub, "groups": GROUPS[sub], **claims})
        for sub, claims in SUBJECTS.items()
    ]
    given = [part for user in users for part in ("--user-claims", user)]
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "oidc_provider_mock",
            "-p",
            str(port),
            "-n",
            "true",
            *given,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    issuer = f"http://127.0.0.1:{port}"
    try:
        yield issuer
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(databases: Databases, other: str) -> AsyncIterator[Service]:
    async with running(
        databases,
        databases.server.folder / new_id("svc"),
        composer_class=PeopledComposer,
        listens=False,
        worker=False,
    ) as served:
        deadline = asyncio.get_running_loop().time() + 30
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    await client.get(f"{other}/.well-known/openid-configuration")
                    break
                except httpx.TransportError:
                    assert asyncio.get_running_loop().time() < deadline, "the provider is not there"
                    await asyncio.sleep(0.05)
        yield served


def console(service: Service, token: str | None = None) -> Caller:
    return Caller(service.clients["console"], token)


async def admin(service: Service, **more: Any) -> Caller:
    composer = service.composer
    assert isinstance(composer, PeopledComposer)
    merchant = (await service.tenant()).merchant
    return console(service, composer.persons.token(Role.ADMIN, merchant, Mode.LIVE, **more))


def conforms(answer: httpx.Response, method: str, path: str) -> Any:
    """Return the body of an answer that its document describes."""
    says = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in says, answer.text
    (content,) = says[str(answer.status_code)]["content"].values()
    jsonschema.validate(answer.json(), {**content["schema"], "components": DOCUMENT["components"]})
    return answer.json()


async def provider(service: Service, issuer: str, **more: Any) -> tuple[Two, dict[str, Any]]:
    two = await two_admins(service, (await service.tenant()).merchant, Mode.LIVE)
    body = {
        **examples.PROVIDER_IN,
        "issuer": issuer,
        "domains": ["sso.example"],
        "redirects": [REDIRECT],
        "max_age_seconds": None,  # this provider does not tell
        **more,
    }
    answer = await two.done("/v1/providers", body)
    assert answer.status_code == 201, answer.text
    return two, conforms(answer, "post", "/v1/providers")


async def login(service: Service, provider: Mapping[str, Any], sub: str) -> httpx.Response:
    """Begin here, log in there as a browser does, and finish here."""
    body = {"provider": provider["id"], "mode": "test", "redirect": REDIRECT}
    answer = await console(service).post("/v1/sso/start", body)
    started = conforms(answer, "post", "/v1/sso/start")
    async with httpx.AsyncClient(trust_env=False) as browser:
        url = started["authorization_url"]
        assert (await browser.get(url)).status_code == 200
        back = await browser.post(url, data={"sub": sub})
    assert back.status_code == 302
    assert back.headers["location"].startswith(REDIRECT)
    query = {
        name: value[0] for name, value in parse_qs(urlsplit(back.headers["location"]).query).items()
    }
    finish = {
        "state": query["state"],
        "code": query["code"],
        "ticket": started["ticket"],
        "provider": provider["id"],
    }
    return await console(service).post("/v1/sso/finish", finish)


async def test_somebody_logs_in_by_a_provider_that_others_wrote(
    service: Service, other: str
) -> None:
    _, made = await provider(service, other)
    answer = await login(service, made, "ada")
    assert answer.status_code == 200, answer.text
    tokens = conforms(answer, "post", "/v1/sso/finish")
    assert tokens["session"].startswith("ses_")
    (row,) = await service.look(
        Domain.CORE, "select * from identity.person where email = 'ada@sso.example'"
    )
    assert row["role"] == "operator"
    signed_in = console(service, tokens["access_token"])
    merchant = await signed_in.get("/v1/merchant")
    assert (merchant.status_code, merchant.json()["mode"]) == (200, "test")
    assert (await signed_in.get("/v1/providers")).status_code == 403


@pytest.mark.parametrize("sub", ["bob", "eve"])
async def test_one_factor_or_an_unverified_address_is_answered_as_nobody(
    service: Service, other: str, sub: str
) -> None:
    _, made = await provider(service, other)
    answer = await login(service, made, sub)
    nobody = await console(service).post(
        "/v1/sso/finish", {"state": "x", "code": "x", "ticket": "x", "iss": other}
    )
    assert conforms(answer, "post", "/v1/sso/finish")["status"] == 401
    told = [{**each.json(), "request_id": ""} for each in (answer, nobody)]
    assert told[0] == told[1]
    assert answer.headers["www-authenticate"] == nobody.headers["www-authenticate"]


async def test_providers_are_made_read_changed_and_ended(service: Service, other: str) -> None:
    two, made = await provider(service, other)
    caller = two.asker
    path, plain = f"/v1/providers/{made['id']}", "/v1/providers/{provider_id}"
    assert conforms(await caller.get(path), "get", plain) == made
    listed = conforms(await caller.get("/v1/providers"), "get", "/v1/providers")
    assert listed["data"] == [made]
    changed = conforms(await two.done(path, {"name": "New", "role_claim": "roles"}), "post", plain)
    assert {**changed, "updated_at": ""} == {
        **made,
        "name": "New",
        "role_claim": "roles",
        "updated_at": "",
    }
    wrong = await caller.post(path, {"required_amr": []})
    assert wrong.status_code == 422
    assert conforms(wrong, "post", plain)["errors"][0]["pointer"] == "/required_amr"
    for _ in range(2):
        ended = await caller.post(f"{path}/disable")
        assert conforms(ended, "post", f"{plain}/disable")["status"] == "disabled"
    answer = await caller.post(path, {"name": "Newer"})
    assert (answer.status_code, answer.json()["code"]) == (409, "provider_disabled")


async def test_a_second_factor_is_asked_for_again_before_a_provider_is_made(
    service: Service, other: str
) -> None:
    caller = await admin(service, stepped_up=False)
    answer = await caller.post("/v1/providers", {**examples.PROVIDER_IN, "issuer": other})
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
    assert (await caller.get("/v1/providers")).status_code == 200


async def test_every_example_is_what_its_document_says() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, says in item.items():
            for content in says.get("requestBody", {}).get("content", {}).values():
                whole = {**content["schema"], "components": DOCUMENT["components"]}
                jsonschema.validate(content["example"], whole)
            for status, answer in says["responses"].items():
                if status == "default":
                    continue
                for content in answer.get("content", {}).values():
                    whole = {**content["schema"], "components": DOCUMENT["components"]}
                    assert "example" in content, (method, path, status)
                    jsonschema.validate(content["example"], whole)


async def test_a_body_that_is_not_what_is_asked_for_is_refused_by_its_field(
    service: Service, other: str
) -> None:
    caller = await admin(service)
    for body, pointer in (
        ({**examples.PROVIDER_IN, "unknown": 1}, "/"),
        ({**examples.PROVIDER_IN, "domains": []}, "/domains"),
        ({**examples.PROVIDER_IN, "roles": [{"value": "a", "role": "service"}]}, "/roles/0/role"),
        ({**examples.PROVIDER_IN, "issuer": "http://169.254.169.254"}, "/issuer"),
        ({**examples.PROVIDER_IN, "issuer": f"{other}/#a"}, "/issuer"),
    ):
        answer = await caller.post("/v1/providers", body)
        assert answer.status_code == 422
        assert conforms(answer, "post", "/v1/providers")["errors"][0]["pointer"] == pointer
        assert "169.254" not in answer.text
