# SPDX-License-Identifier: Apache-2.0
"""Access over half a year, on a clock that is moved: who is listed, who is suspended, what is decided, what is late."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Server, fresh_databases
from persons import People, Someone
from service import Service, Tenant, running
from strongroom.audit import PLATFORM
from strongroom.db.logins import Domain
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import KeyKind, Role

DAY = timedelta(days=1)


@dataclass
class Desk:
    service: Service
    people: People
    clock: SteppedClock
    tenant: Tenant
    admin: Someone
    auditor: Someone

    @property
    def state(self) -> Any:
        app: Any = self.service.edges["console"]._app
        return app.state

    async def ask(self, who: Someone, method: str, path: str, body: object = None) -> Any:
        return await self.people.at("console", who).send(method, path, body=body)

    async def started(self, who: Someone) -> str:
        answer = await self.ask(who, "POST", "/v1/access-reviews")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def items(self, review: str) -> dict[str, dict[str, Any]]:
        answer = await self.ask(self.auditor, "GET", f"/v1/access-reviews/{review}/items")
        return {each["subject"]: each for each in answer.json()["data"]}

    async def decide(self, who: Someone, review: str, subject: str, decision: str = "keep") -> Any:
        return await self.ask(
            who, "POST", f"/v1/access-reviews/{review}/items/{subject}", {"decision": decision}
        )

    async def overdue(self) -> float:
        await self.state.access_watch.look()
        found = self.service.metrics.registry.get_sample_value("strongroom_access_reviews_overdue")
        assert found is not None
        return found

    async def status(self, who: Someone) -> str:
        (row,) = await self.service.look(
            Domain.CORE, "select status from identity.person where person_id = $1", who.id
        )
        return str(row["status"])


def key_use(service: Service, listener: str) -> Any:
    """What a listener has seen of keys, behind those whom tests put before its authenticator."""
    edge: Any = service.edges[listener]
    authenticator = edge._authenticator
    while hasattr(authenticator, "real"):
        authenticator = authenticator.real
    return authenticator._keys._use


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    clock = SteppedClock(SystemClock().now())
    folder = tmp_path_factory.mktemp("access")
    # Databases of each test's own: the clock goes half a year on.
    async with (
        fresh_databases(server) as databases,
        running(databases, folder, clock=clock, listens=False, worker=False) as service,
    ):
        people = People(service)
        tenant = await service.tenant()
        admin = await people.make(tenant.merchant, Role.ADMIN, Mode.LIVE)
        auditor = await people.make(tenant.merchant, Role.AUDITOR, Mode.LIVE)
        yield Desk(service, people, clock, tenant, admin, auditor)


async def test_everything_that_has_access_is_listed_and_decided(desk: Desk) -> None:
    gone = await desk.people.make(desk.tenant.merchant, status="suspended")
    key = (await desk.service.key(desk.tenant.merchant, KeyKind.PUBLIC)).key.key_id
    operator = await desk.people.make(desk.tenant.merchant, Role.OPERATOR, Mode.LIVE)
    wish = {"permissions": ["identity:key:revoke"], "minutes": 5, "reason": "a key has leaked here"}
    glass = (await desk.ask(operator, "POST", "/v1/break-glass", wish)).json()["id"]
    review = await desk.started(desk.auditor)
    items = await desk.items(review)
    assert {desk.admin.id, desk.auditor.id, operator.id, key, glass} <= items.keys()
    assert len(items) == 7  # and the tenant's two secret keys
    assert gone.id not in items
    assert items[desk.admin.id]["description"] == "admin, active"
    assert items[desk.admin.id]["email"].endswith("@shop.example")
    assert "identity:person:invite" in items[desk.admin.id]["permissions"]
    assert items[key]["permissions"] == ["vault:token:create_single_use"]
    assert items[glass]["description"] == wish["reason"]
    # Nobody decides on themselves: not on their access, not on what they took.
    own = await desk.decide(desk.auditor, review, desk.auditor.id)
    assert (own.status_code, own.json()["code"]) == (403, "access_review_own")
    assert (await desk.ask(desk.auditor, "POST", "/v1/access-reviews")).status_code == 409
    for subject in items:
        who = desk.admin if subject == desk.auditor.id else desk.auditor
        answer = await desk.decide(who, review, subject, "remove" if subject == key else "keep")
        assert answer.status_code == 200, answer.text
    assert (await desk.decide(desk.auditor, review, key)).status_code == 409
    shown = (await desk.ask(desk.auditor, "GET", f"/v1/access-reviews/{review}")).json()
    assert (shown["state"], shown["undecided"]) == ("closed", 0)
    decided = (await desk.items(review))[key]
    assert (decided["decision"], decided["decided_by"]) == ("remove", desk.auditor.id)
    assert [each["details"]["result"] for each in await desk.people.records(review)] == [
        "started",
        "closed",
    ]
    assert (await desk.people.records(key))[-1]["details"] == {"result": "remove"}
    # What was looked at once is not asked about again.
    desk.clock.step(DAY)
    assert glass not in await desk.items(await desk.started(desk.admin))


async def test_it_is_due_every_180_days(desk: Desk) -> None:
    before = await desk.overdue()
    page = (await desk.ask(desk.auditor, "GET", "/v1/access-reviews")).json()
    assert not page["overdue"]
    desk.clock.step(181 * DAY)
    assert await desk.overdue() == before + 1
    again = [
        await desk.people.make(desk.tenant.merchant, role, Mode.LIVE)
        for role in (Role.AUDITOR, Role.ADMIN)
    ]
    desk.auditor, desk.admin = again
    page = (await desk.ask(desk.auditor, "GET", "/v1/access-reviews")).json()
    assert page["overdue"]
    review = await desk.started(desk.auditor)
    for subject in await desk.items(review):
        who = desk.admin if subject == desk.auditor.id else desk.auditor
        assert (await desk.decide(who, review, subject)).status_code == 200
    assert await desk.overdue() == before
    page = (await desk.ask(desk.auditor, "GET", "/v1/access-reviews")).json()
    assert not page["overdue"]


async def test_who_does_not_log_in_for_90_days_is_suspended(desk: Desk) -> None:
    now = desk.clock.now()
    seen = await desk.people.make(desk.tenant.merchant, last_used_at=now, made_at=now - 300 * DAY)
    never = await desk.people.make(desk.tenant.merchant, made_at=now)
    platform = await desk.people.make(PLATFORM, Role.OPERATOR, made_at=now)
    desk.clock.step(timedelta(days=89, hours=23))
    await desk.state.access_watch.look()
    assert [await desk.status(each) for each in (seen, never, platform)] == ["active"] * 3
    young = await desk.people.make(desk.tenant.merchant)
    desk.clock.step(timedelta(hours=1))
    await desk.state.access_watch.look()
    assert [await desk.status(each) for each in (seen, never, platform)] == ["suspended"] * 3
    assert await desk.status(young) == "active"
    for each in (seen, platform):
        told = {record["action"]: record for record in await desk.people.records(each.id)}
        assert told["identity.person.suspended"]["details"]["reason"] == "unused"
    value = desk.service.metrics.registry.get_sample_value(
        "strongroom_unused_people_suspended_total"
    )
    assert value is not None
    assert value >= 3


async def test_keys_note_when_they_were_used_and_unused_ones_are_flagged(desk: Desk) -> None:
    used = await desk.service.key(desk.tenant.merchant)
    unused = await desk.service.key(desk.tenant.merchant)
    desk.clock.step(91 * DAY)
    answer = await desk.service.gateway(used.text.expose()).get("/v1/keys")
    assert answer.status_code == 200
    await key_use(desk.service, "gateway").flush()
    auditor = desk.auditor = await desk.people.make(desk.tenant.merchant, Role.AUDITOR, Mode.LIVE)
    items = await desk.items(await desk.started(auditor))
    assert not items[used.key.key_id]["unused"]
    assert items[used.key.key_id]["last_used_at"] is not None
    assert items[unused.key.key_id]["unused"]
    assert items[unused.key.key_id]["last_used_at"] is None


async def test_services_are_listed_with_what_they_may(desk: Desk) -> None:
    now = desk.clock.now()
    for name, revoked in (
        ("svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB", None),
        ("svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CC", now),
    ):
        await desk.people.sql(
            "insert into identity.service (merchant_id, mode, service_id, name, permissions, public_keys,"
            " certificate_bound, created_by, created_at, revoked_at)"
            " values ($1, 'live', $2, 'n', '{vault:token:read}', '[]', true, 'x', $3, $4)",
            desk.tenant.merchant,
            name,
            now,
            revoked,
        )
    items = await desk.items(await desk.started(desk.auditor))
    services = [each for each in items.values() if each["kind"] == "service"]
    assert [each["subject"] for each in services] == ["svc_01KAHX3MZ4V8Q2T6N0R5W7Y9CB"]
    assert services[0]["permissions"] == ["vault:token:read"]
    assert services[0]["description"] == "service, live mode, bound to a certificate"


async def test_the_vaults_login_notes_keys_too(desk: Desk) -> None:
    key = await desk.service.key(desk.tenant.merchant)
    answer = await desk.service.vault(key.text.expose()).get("/v1/tokens")
    assert answer.status_code == 200
    assert await key_use(desk.service, "vault").flush() == 1
    rows = await desk.service.look(
        Domain.CORE, "select last_used_at from identity.api_key where key_id = $1", key.key.key_id
    )
    assert rows[0]["last_used_at"] == desk.clock.now()


async def test_a_review_is_its_tenants_and_takes_its_right(desk: Desk) -> None:
    review = await desk.started(desk.admin)
    elsewhere = await desk.service.tenant()
    stranger = await desk.people.make(elsewhere.merchant, Role.ADMIN, Mode.LIVE)
    for path in (f"/v1/access-reviews/{review}", f"/v1/access-reviews/{review}/items"):
        assert (await desk.ask(stranger, "GET", path)).status_code == 404
    assert (await desk.decide(stranger, review, desk.admin.id)).status_code == 404
    operator = await desk.people.make(desk.tenant.merchant, Role.OPERATOR, Mode.LIVE)
    assert (await desk.decide(operator, review, desk.admin.id)).status_code == 403
