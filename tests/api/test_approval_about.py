# SPDX-License-Identifier: Apache-2.0
"""Whoever approves sees what they decide on, and decides on exactly that: who, which card, why, for whose key."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from database import Databases
from revealing import APPROVAL, VISA, WISH, Ground, revealing
from service import Service
from strongroom.db.logins import Domain
from strongroom.identity.approvals.service import ApprovalService

NOTE = "case 1042, asked for by the acquirer"
KEY = ECKey.generate_key("P-256")
JWK = KEY.as_dict(private=False)
ASKED: dict[str, Any] = {**WISH, "note": NOTE, "jwe_key": JWK}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def lent(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Any:
    async with revealing(databases, tmp_path_factory.mktemp("about")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def ground(lent: Service) -> Ground:
    return await Ground.on(lent)


async def asked(ground: Ground, body: dict[str, Any] = ASKED) -> dict[str, Any]:
    answer = await ground.ask(ground.asker.key, body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_the_approver_sees_who_asks_for_which_card_why_and_for_whose_key(
    ground: Ground,
) -> None:
    approval = await asked(ground)
    console = ground.service.console(ground.other.key)
    one = await console.get(f"/v1/approvals/{approval['id']}")
    (listed,) = [
        each
        for each in (await console.get("/v1/approvals")).json()["data"]
        if each["id"] == approval["id"]
    ]
    assert one.json() == listed == approval
    assert (listed["requested_by"], listed["action"]) == (ground.asker.id, "token_reveal")
    assert listed["requested_at"] < listed["expires_at"]
    assert listed["about"] == {
        "purpose": "dispute",
        "note": NOTE,
        "tokens": [{"id": ground.token["id"], "brand": "visa", "last4": "4242"}],
        "container": "default",
        "method": "jwe",
        "recipient": KEY.thumbprint(),
        "rate": None,
        "claim": None,
    }
    assert VISA not in one.text
    assert VISA[:6] not in json.dumps(listed["about"])


async def test_without_a_key_it_says_that_the_card_leaves_in_clear(ground: Ground) -> None:
    about = (await asked(ground, WISH))["about"]
    assert (about["method"], about["recipient"], about["note"]) == ("clear", None, None)


@pytest.mark.parametrize(
    "other",
    [
        {**ASKED, "purpose": "fraud_review"},
        {**ASKED, "note": "case 1043"},
        {**ASKED, "jwe_key": ECKey.generate_key("P-256").as_dict(private=False)},
        WISH,
    ],
    ids=["purpose", "note", "key", "clear"],
)
async def test_what_differs_from_what_was_shown_needs_another_approval(
    ground: Ground, other: dict[str, Any]
) -> None:
    approval = await ground.approved(ASKED)
    refused = await ground.ask(ground.asker.key, other, headers={APPROVAL: approval})
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_not_usable")
    assert not await ground.records("vault.token.revealed")
    anew = await asked(ground, other)
    assert anew["id"] != approval
    passes = await ground.ask(ground.asker.key, ASKED, headers={APPROVAL: approval})
    assert passes.status_code == 200, passes.text


async def test_a_row_that_shows_something_else_lets_nothing_through(ground: Ground) -> None:
    """Whoever can only write to the table shows the approver another purpose: then they did not approve this one."""
    approval = await ground.approved(ASKED)
    changed = await ground.service.look(
        Domain.CORE,
        "update identity.approval set about = replace(about, 'dispute', 'fraud_review')"
        " where approval_id = $1 and about like '%dispute%' returning 1",
        approval,
    )
    assert changed
    refused = await ground.ask(ground.asker.key, ASKED, headers={APPROVAL: approval})
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_not_usable")
    assert "shown" in refused.json()["detail"]
    assert not await ground.records("vault.token.revealed")


async def test_the_purpose_stands_in_the_records_and_the_note_in_none(ground: Ground) -> None:
    approval = await ground.approved(ASKED)
    await ground.ask(ground.asker.key, ASKED, headers={APPROVAL: approval})
    rows = await ground.service.look(
        Domain.CORE,
        "select payload from audit.event where merchant_id = $1 order by xid",
        ground.tenant.merchant,
    )
    records = [json.loads(bytes(row["payload"])) for row in rows]
    of = [each for each in records if each["object"] == approval]
    assert [each["action"].rpartition(".")[2] for each in of] == ["requested", "granted", "used"]
    assert {each["details"]["purpose"] for each in of} == {"dispute"}
    assert NOTE not in json.dumps(records)


async def test_what_it_was_about_is_forgotten_and_that_it_was_approved_is_not(
    ground: Ground, tmp_path: Path
) -> None:
    approval = await ground.approved(ASKED)
    fresh = await asked(ground, {**ASKED, "purpose": "legal_request"})
    app: Any = ground.service.edges["console"]._app
    approvals: ApprovalService = app.state.approval_service
    aged = await ground.service.look(
        Domain.CORE,
        "update identity.approval set requested_at = requested_at - interval '401 days',"
        " expires_at = expires_at - interval '401 days' where approval_id = $1 returning 1",
        approval,
    )
    assert aged
    assert await approvals.forget_abouts() >= 1
    console = ground.service.console(ground.other.key)
    old = (await console.get(f"/v1/approvals/{approval}")).json()
    assert (old["about"], old["decided_by"]) == (None, ground.other.id)
    assert (await console.get(f"/v1/approvals/{fresh['id']}")).json()["about"]["note"] == NOTE
