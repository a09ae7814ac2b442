# SPDX-License-Identifier: Apache-2.0
"""From an invitation to a session, as composed: real passwords, real set-up links, real access tokens."""

from datetime import UTC, datetime, timedelta

import httpx
import pyotp

from members import ACT
from service import Caller, Service
from strongroom.audit import PLATFORM
from strongroom.identity.people.console import PeopleDesk
from strongroom.identity.people.model import PersonWish
from strongroom.kernel.principal import Role

PASSWORD = "nine lamps under 1 bridge"


def code(secret: str, steps: int = 0) -> str:
    """What the app shows, so many steps from now: each step holds once, and a test does not wait for the next."""
    return pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def desk_of(service: Service) -> PeopleDesk:
    app = service.edges["console"]._app
    desk: PeopleDesk = app.state.people  # type: ignore[attr-defined]
    return desk


async def test_somebody_who_was_invited_sets_up_logs_in_and_steps_up(service: Service) -> None:
    anybody = Caller(service.clients["console"], None)
    wish = PersonWish(PLATFORM, "logging-in@strongroom.example", "Ada", Role.ADMIN)
    invited = await desk_of(service).people.invite(wish, ACT)
    opened = await anybody.post("/v1/setup", {"link": invited.link.expose()})
    assert opened.status_code == 200, opened.text
    ticket = opened.json()["ticket"]

    # Without a password an app is not enough.
    enrolled = (await anybody.post("/v1/setup/totp", {"ticket": ticket})).json()

    async def confirmed() -> httpx.Response:
        shown = {"ticket": ticket, "code": code(enrolled["secret"], -1)}
        return await anybody.post("/v1/setup/totp/confirm", shown)

    assert (await confirmed()).status_code == 409
    set_ = await anybody.post("/v1/setup/password", {"ticket": ticket, "password": PASSWORD})
    assert set_.status_code == 204, set_.text
    done = await confirmed()
    assert done.status_code == 200, done.text
    assert len(done.json()["recovery_codes"]) == 10
    assert (await anybody.post("/v1/setup/totp", {"ticket": ticket})).status_code == 401

    begun = await anybody.post(
        "/v1/login", {"email": wish.email.upper(), "password": PASSWORD, "mode": "test"}
    )
    second = {"handle": begun.json()["handle"], "code": code(enrolled["secret"])}
    tokens = await anybody.post("/v1/login/totp", second)
    assert tokens.status_code == 200, tokens.text
    assert tokens.json()["token_type"] == "Bearer"
    ada = Caller(service.clients["console"], tokens.json()["access_token"])
    assert (await ada.get("/v1/own/factors")).json()["totp"]["active"]
    assert (await ada.get("/v1/own")).status_code == 200

    again = await ada.post("/v1/step-up/totp", {"code": code(enrolled["secret"], 1)})
    assert again.status_code == 200, again.text
    ada = Caller(service.clients["console"], again.json()["access_token"])
    codes = await ada.post("/v1/own/recovery-codes")
    assert codes.status_code == 201, codes.text

    refreshed = await anybody.post(
        "/v1/session/refresh", {"refresh_token": tokens.json()["refresh_token"]}
    )
    assert refreshed.status_code == 200, refreshed.text

    wrong = await anybody.post(
        "/v1/login", {"email": wish.email, "password": f"{PASSWORD} ", "mode": "test"}
    )
    second = {"handle": wrong.json()["handle"], "code": codes.json()["codes"][0]}
    assert (await anybody.post("/v1/login/recovery", second)).status_code == 401
