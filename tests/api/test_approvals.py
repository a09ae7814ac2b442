# SPDX-License-Identifier: Apache-2.0
"""Four eyes over HTTP: what is marked waits for another person, passes once, and says who was who."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from database import Databases
from persons import People, Someone
from service import Service, Tenant, running
from strongroom.compose import GATEWAY_ROUTES
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain
from strongroom.http import Request
from strongroom.http.app import build_app, build_listener
from strongroom.http.approval import ApprovalAsked
from strongroom.http.requires import ApprovalsUnknownHere
from strongroom.identity.approvals.errors import ApprovalNotUsable
from strongroom.identity.approvals.gate import ApprovalGate
from strongroom.kernel.clock import SteppedClock, SystemClock
from strongroom.kernel.mode import Mode
from strongroom.kernel.principal import Role

HEADER = "strongroom-approval"
BODY: Mapping[str, Any] = {"webhook_secret": "another_example_and_no_secret"}


@dataclass
class Desk:
    """A tenant with three people in live mode, and a connection that does not exist: what is shown here is the gate."""

    service: Service
    people: People
    clock: SteppedClock
    tenant: Tenant
    asker: Someone
    other: Someone
    third: Someone
    connection: str

    @property
    def path(self) -> str:
        return f"/v1/connections/{self.connection}/rotate"

    async def ask(self, body: Mapping[str, Any] = BODY, **more: Any) -> Any:
        return await self.people.at("gateway", self.asker).post(self.path, dict(body), **more)

    async def asked(self, body: Mapping[str, Any] = BODY) -> str:
        answer = await self.ask(body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def decide(
        self, approval: str, verdict: str = "approve", who: Someone | None = None
    ) -> Any:
        return await self.people.at("console", who or self.other).post(
            f"/v1/approvals/{approval}/{verdict}", {"reason": "spoke to her"}
        )

    async def approved(self, body: Mapping[str, Any] = BODY) -> str:
        approval = await self.asked(body)
        answer = await self.decide(approval)
        assert answer.status_code == 200, answer.text
        return approval

    async def use(self, approval: str, body: Mapping[str, Any] = BODY) -> Any:
        return await self.ask(body, headers={HEADER: approval})


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def stepped(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Any:
    clock = SteppedClock(SystemClock().now())
    async with running(
        databases, tmp_path_factory.mktemp("approvals"), clock=clock, listens=False, worker=False
    ) as service:
        yield service, clock


@pytest_asyncio.fixture(loop_scope="session")
async def desk(stepped: Any) -> Desk:
    service, clock = stepped
    people = People(service)
    tenant = await service.tenant()
    asker, other, third = [await people.make(tenant.merchant, mode=Mode.LIVE) for _ in range(3)]
    return Desk(service, people, clock, tenant, asker, other, third, new_id("con"))


def passed(answer: Any) -> bool:
    """Through the gate: behind it there is no such connection."""
    return bool(answer.status_code == 404 and answer.json()["code"] == "connection_unknown")


def refused(answer: Any, code: str = "approval_not_usable") -> bool:
    return bool(answer.status_code == 403 and answer.json()["code"] == code)


async def test_it_waits_is_approved_and_passes_once(desk: Desk) -> None:
    answer = await desk.ask()
    assert answer.status_code == 202
    shown = answer.json()
    assert shown["state"] == "pending"
    assert (shown["action"], shown["object_id"]) == ("connection_rotate", desk.connection)
    assert shown["route"] == "/v1/connections/{connection_id}/rotate"
    assert BODY["webhook_secret"] not in answer.text
    approval = shown["id"]
    assert refused(await desk.use(approval))  # it still waits
    decided = await desk.decide(approval)
    assert decided.json()["state"] == "approved"
    assert decided.json()["decided_by"] == desk.other.id
    assert passed(await desk.use(approval))
    assert refused(await desk.use(approval))  # once
    seen = await desk.people.at("console", desk.third).get(f"/v1/approvals/{approval}")
    assert seen.json()["state"] == "used"


async def test_both_stand_in_the_audit_record(desk: Desk) -> None:
    approval = await desk.approved()
    assert passed(await desk.use(approval))
    records = await desk.people.records(approval)
    assert [each["action"].rpartition(".")[2] for each in records] == [
        "requested",
        "granted",
        "used",
    ]
    requested, granted, used = records
    assert requested["actor"] == used["actor"] == desk.asker.id
    assert granted["actor"] == desk.other.id
    assert granted["details"]["requester"].replace("-", "") == desk.asker.id.replace("_", "")
    assert used["details"]["approver"].replace("-", "") == desk.other.id.replace("_", "")
    assert used["details"]["operation"] == "connection_rotate"
    assert used["details"]["route"] == "POST /v1/connections/{connection_id}/rotate"
    assert all(BODY["webhook_secret"] not in json.dumps(each) for each in records)


async def test_nothing_of_the_body_is_kept(desk: Desk) -> None:
    await desk.asked({"webhook_secret": "to_be_found_nowhere_at_all"})
    rows = await desk.service.look(Domain.CORE, "select a::text from identity.approval a")
    assert all("to_be_found_nowhere" not in row["a"] for row in rows)


async def test_nobody_approves_their_own(desk: Desk) -> None:
    approval = await desk.asked()
    for verdict in ("approve", "deny"):
        answer = await desk.decide(approval, verdict, desk.asker)
        assert refused(answer, "approval_own"), answer.text
    # Not under another session, nor in the database itself.
    assert refused(
        await desk.decide(approval, "approve", desk.people.again(desk.asker)), "approval_own"
    )
    with pytest.raises(Exception, match="check"):
        await desk.people.sql(
            "update identity.approval set state = 'approved', decided_by = requested_by, decided_at = now()"
            " where approval_id = $1",
            approval,
        )


async def test_only_the_very_same_request_passes(desk: Desk) -> None:
    approval = await desk.approved({"webhook_secret": "aaaaaaaaaaaaaaaaaaaaaaaa"})
    assert refused(await desk.use(approval, {"webhook_secret": "bbbbbbbbbbbbbbbbbbbbbbbb"}))
    right = {"webhook_secret": "aaaaaaaaaaaaaaaaaaaaaaaa"}
    caller = desk.people.at("gateway", desk.asker)
    headers = {HEADER: approval}
    elsewhere = f"/v1/connections/{new_id('con')}/rotate"
    assert refused(await caller.post(elsewhere, right, headers=headers))
    assert refused(await caller.post(f"{desk.path}?a=1", right, headers=headers))
    other = desk.people.at("gateway", desk.other)
    assert refused(await other.post(desk.path, right, headers=headers))
    # Another order and other spaces are the same request.
    spaced = b'{ "webhook_secret" :  "aaaaaaaaaaaaaaaaaaaaaaaa" }'
    assert passed(await caller.send("POST", desk.path, content=spaced, headers=headers))


async def test_another_tenants_approval_is_none(desk: Desk) -> None:
    approval = await desk.approved()
    elsewhere = await desk.service.tenant()
    stranger = await desk.people.make(elsewhere.merchant, mode=Mode.LIVE)
    console = desk.people.at("console", stranger)
    assert (await console.get(f"/v1/approvals/{approval}")).status_code == 404
    answer = await console.post(f"/v1/approvals/{approval}/approve", {})
    assert answer.status_code == 404
    test_mode = desk.people.again(desk.third, mode=Mode.TEST)
    assert (
        await desk.people.at("console", test_mode).get(f"/v1/approvals/{approval}")
    ).status_code == 404


async def test_denied_and_withdrawn_do_not_pass(desk: Desk) -> None:
    denied = await desk.asked()
    assert (await desk.decide(denied, "deny")).json()["state"] == "denied"
    assert refused(await desk.use(denied))
    assert (await desk.decide(denied)).status_code == 409
    taken_back = await desk.approved()
    console = desk.people.at("console", desk.asker)
    stranger = desk.people.at("console", desk.third)
    assert (await stranger.post(f"/v1/approvals/{taken_back}/withdraw")).status_code == 404
    answer = await console.post(f"/v1/approvals/{taken_back}/withdraw")
    assert answer.json()["state"] == "withdrawn"
    assert refused(await desk.use(taken_back))
    last = (await desk.people.records(taken_back))[-1]
    assert last["action"] == "identity.approval.withdrawn"


async def test_an_hour_later_it_is_over(desk: Desk) -> None:
    waiting = await desk.asked({"webhook_secret": "aaaaaaaaaaaaaaaaaaaaaaaa"})
    approved = await desk.approved()
    desk.clock.step(timedelta(minutes=60))
    assert refused(await desk.use(approved))
    assert (await desk.decide(waiting)).status_code == 409
    app: Any = desk.service.edges["console"]._app
    await app.state.approval_service.expire_past()
    for each in (waiting, approved):
        assert (await desk.people.records(each))[-1]["action"] == "identity.approval.expired"
    assert await desk.asked() != approved


@pytest.mark.parametrize(
    "change", ["status = 'suspended'", "role = 'operator'", "merchant_id = 'mer_gone'"]
)
async def test_an_approver_takes_their_word_along(desk: Desk, change: str) -> None:
    approval = await desk.approved()
    await desk.people.sql(
        f"update identity.person set {change} where person_id = $1", desk.other.id
    )
    assert refused(await desk.use(approval))


async def test_of_two_at_once_one_passes(desk: Desk) -> None:
    for _ in range(5):
        approval = await desk.approved()
        answers = await asyncio.gather(*(desk.use(approval) for _ in range(8)))
        assert sum(map(passed, answers)) == 1
        assert sum(map(refused, answers)) == 7
        used = [
            each
            for each in await desk.people.records(approval)
            if each["action"] == "identity.approval.used"
        ]
        assert len(used) == 1


async def test_of_two_decisions_at_once_one_counts(desk: Desk) -> None:
    approval = await desk.asked()
    answers = await asyncio.gather(
        desk.decide(approval, "approve", desk.other), desk.decide(approval, "deny", desk.third)
    )
    assert sorted(each.status_code for each in answers) == [200, 409]


async def test_deciding_takes_the_right_and_a_second_factor(desk: Desk) -> None:
    approval = await desk.asked()
    assert desk.other.principal.presence is not None
    tired = desk.people.again(
        desk.other, presence=replace(desk.other.principal.presence, stepped_up=False)
    )
    answer = await desk.decide(approval, who=tired)
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_needed")
    auditor = await desk.people.make(desk.tenant.merchant, Role.AUDITOR, Mode.LIVE)
    assert (await desk.decide(approval, who=auditor)).status_code == 403
    key = desk.service.clients["console"]
    answer = await key.post(
        f"/v1/approvals/{approval}/approve",
        json={},
        headers={"authorization": f"Bearer {desk.tenant.keys[Mode.LIVE]}"},
    )
    assert answer.status_code == 403


async def test_whoever_is_alone_is_sent_to_the_operator(desk: Desk) -> None:
    alone = await desk.service.tenant()
    one = await desk.people.make(alone.merchant, mode=Mode.LIVE)
    await desk.people.make(alone.merchant, Role.OPERATOR, Mode.LIVE)
    await desk.people.make(alone.merchant, mode=Mode.LIVE, status="suspended")
    answer = await desk.people.at("gateway", one).post(desk.path, dict(BODY))
    assert refused(answer, "approval_nobody")
    assert "`strongroom`" in answer.json()["detail"]


async def test_what_waits_is_asked_for_once(desk: Desk) -> None:
    assert await desk.asked() == await desk.asked()
    for number in range(19):
        await desk.asked({"webhook_secret": f"{number:a>24}"})
    assert refused(
        await desk.ask({"webhook_secret": "one_more_than_the_bound__"}), "approvals_too_many"
    )


async def test_a_reason_holds_no_card(desk: Desk) -> None:
    approval = await desk.asked()
    console = desk.people.at("console", desk.other)
    for reason in ("card 4242424242424242", "x" * 501, "a\x00b"):
        answer = await console.post(f"/v1/approvals/{approval}/approve", {"reason": reason})
        assert answer.status_code == 422


async def test_test_mode_and_secret_keys_need_nobody(desk: Desk) -> None:
    in_test = desk.people.again(desk.asker, mode=Mode.TEST)
    assert passed(await desk.people.at("gateway", in_test).post(desk.path, dict(BODY)))
    key = desk.service.gateway(desk.tenant.keys[Mode.LIVE])
    assert passed(await key.post(desk.path, dict(BODY)))


async def test_who_may_not_see_others_sees_their_own(desk: Desk) -> None:
    approval = await desk.asked()
    developer = await desk.people.make(desk.tenant.merchant, Role.DEVELOPER, Mode.LIVE)
    console = desk.people.at("console", developer)
    assert (await console.get("/v1/approvals")).json()["data"] == []
    assert (await console.get(f"/v1/approvals/{approval}")).status_code == 404
    page = (await desk.people.at("console", desk.other).get("/v1/approvals?limit=1")).json()
    assert [each["id"] for each in page["data"]] == [approval]
    assert not page["has_more"]


async def test_a_listener_with_a_marked_route_and_no_gate_is_not_built(desk: Desk) -> None:

    edge: Any = desk.service.edges["gateway"]
    with pytest.raises(ApprovalsUnknownHere):
        build_listener(
            build_app(GATEWAY_ROUTES, {}),
            listener="gateway",
            authenticator=edge._authenticator,
            rates=edge._rates,
            watcher=edge._watcher,
            carries_cards=False,
            body_bytes_max={},
            lean_lane=False,
        )


async def test_the_vault_asks_and_takes_back_under_its_own_login(desk: Desk) -> None:
    """Its login on the core database does what a marked route of its listener needs, and its recorder records it."""
    app: Any = desk.service.edges["vault"]._app
    gate: ApprovalGate = app.state.approvals
    token = new_id("tok")

    def request(**headers: str) -> Request:
        made = Request(
            listener="vault",
            method="POST",
            path=f"/v1/tokens/{token}/reveal",
            query="",
            headers=headers,
            address="192.0.2.7",
            request_id="req_gate",
            trace_hash="ab" * 32,
            started=0.0,
        )
        made.route = "/v1/tokens/{token_id:str}/reveal"
        made.principal = desk.asker.principal
        return made

    with pytest.raises(ApprovalAsked) as waiting:
        await gate.admit(request(), "token_reveal", token)
    asked = json.loads(waiting.value.answer.body)
    assert (asked["object_id"], asked["route"]) == (token, "/v1/tokens/{token_id}/reveal")
    named = request(**{HEADER: asked["id"]})
    with pytest.raises(ApprovalNotUsable):
        await gate.admit(named, "token_reveal", token)
    assert (await desk.decide(asked["id"])).status_code == 200
    await gate.admit(named, "token_reveal", token)
    with pytest.raises(ApprovalNotUsable):  # once
        await gate.admit(named, "token_reveal", token)
    requested, granted, used = await desk.people.records(asked["id"])
    assert requested["actor"] == used["actor"] == desk.asker.id
    assert granted["actor"] == desk.other.id
    assert used["origin"] == requested["origin"] is not None
