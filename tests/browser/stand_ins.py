# SPDX-License-Identifier: Apache-2.0
"""Routes that the pages call and that are not passkeys', with the shapes of the product's own and nothing behind them.

One password and one code are right, for everybody.
"""

import base64
import io
from dataclasses import dataclass, field
from typing import Any, Final

import segno
from litestar import Request as LitestarRequest
from litestar import delete, get, post
from litestar.datastructures import State

from people_ground import Held, InMemorySessions
from strongroom.audit import Origin
from strongroom.http import PUBLIC, Unauthenticated
from strongroom.http.auth import Unrecognized
from strongroom.http.requires import principal_of
from strongroom.identity.people.model import Person
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import SystemClock, rfc3339
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission

PASSWORD: Final = "correct horse battery 7"
CODE: Final = "123456"
LINK: Final = "link_that_holds"
TICKET: Final = "ticket-of-the-link"
CODES: Final = [f"{n:02d}AB-CDEF-GH{n:02d}" for n in range(10)]
OWN: Final = Permission.IDENTITY_OWN_MANAGE
_URI: Final = "otpauth://totp/Strongroom:ada@shop.example?secret=JBSWY3DPEHPK3PXP&issuer=Strongroom"


class Wrong(Unrecognized):
    """The login was refused: something of what was shown does not hold, or there were too many wrong tries."""

    code = "login_refused"
    status = 401


@dataclass
class StandIn:
    """What the stand-ins know."""

    sessions: InMemorySessions
    by_email: dict[str, Person] = field(default_factory=dict)
    invited: Person | None = None
    with_app: set[str] = field(default_factory=set)
    handles: dict[str, tuple[str, Mode]] = field(default_factory=dict)
    company_code: str = CODE


OurRequest = LitestarRequest[Any, Any, State]


def _tokens(issued: Issued) -> dict[str, Any]:
    return {
        "object": "session_tokens",
        "session": issued.session,
        "access_token": issued.access.expose(),
        "token_type": "Bearer",
        "expires_in": issued.access_seconds,
        "refresh_token": issued.refresh.expose() or None,
    }


def _held(request: OurRequest, state: State) -> Held:
    principal = principal_of(request)
    assert principal.presence is not None
    held: Held = state.stand.sessions.held[principal.presence.session]
    return held


@post("/v1/login", requires=PUBLIC, status_code=200)
async def begin(data: dict[str, str], state: State) -> dict[str, Any]:
    handle = f"handle-{len(state.stand.handles)}"
    right = data["password"] == PASSWORD
    state.stand.handles[handle] = (data["email"] if right else "", Mode(data["mode"]))
    return {
        "object": "login",
        "handle": handle,
        "expires_at": rfc3339(SystemClock().now()),
        "second_steps": ["passkey", "recovery_code", "totp"],
    }


@post(["/v1/login/totp", "/v1/login/recovery"], requires=PUBLIC, status_code=200)
async def second(data: dict[str, str], state: State) -> dict[str, Any]:
    email, mode = state.stand.handles.pop(data["handle"], ("", Mode.TEST))
    person = state.stand.by_email.get(email)
    if person is None or data["code"] not in (CODE, CODES[0]):
        raise Wrong("wrong")
    nothing: Any = None
    issued = await state.stand.sessions.begin(
        nothing, person, mode, ["pwd", "otp", "mfa"], origin=Origin(), now=SystemClock().now()
    )
    return _tokens(issued)


@post("/v1/step-up/totp", requires=OWN, status_code=200)
async def step_up(request: OurRequest, data: dict[str, str], state: State) -> dict[str, Any]:
    if data["code"] != CODE:
        raise Wrong("wrong")
    presence = principal_of(request).presence
    assert presence is not None
    nothing: Any = None
    issued = await state.stand.sessions.step_up(
        nothing, presence.session, ["otp"], now=SystemClock().now()
    )
    assert issued is not None
    return _tokens(issued)


@post("/v1/session/refresh", requires=PUBLIC, status_code=200)
async def refresh(data: dict[str, str], state: State) -> dict[str, Any]:
    for session, held in state.stand.sessions.held.items():
        if data["refresh_token"] == f"refresh-{session}" and held.ended is None:
            return _tokens(state.stand.sessions._issued(session, data["refresh_token"]))
    raise Unauthenticated("unknown")


@post("/v1/session/end", requires=OWN, status_code=204)
async def end(request: OurRequest, state: State) -> None:
    _held(request, state).ended = "logout"


@get("/v1/sessions", requires=OWN)
async def sessions(request: OurRequest, state: State) -> dict[str, Any]:
    mine = _held(request, state)
    shown = [
        {
            "id": session,
            "object": "session",
            "person": held.person.person_id,
            "current": held is mine,
            "methods": sorted(held.methods),
            "bound_to_key": False,
            "started_at": rfc3339(held.proven_at),
            "stepped_up_at": rfc3339(held.proven_at),
            "used_at": rfc3339(held.proven_at),
            "ends_at": rfc3339(held.proven_at),
        }
        for session, held in state.stand.sessions.held.items()
        if held.person.person_id == mine.person.person_id and held.ended is None
    ]
    return {"data": shown, "has_more": False, "next_cursor": None}


@post("/v1/sessions/{session_id:str}/end", requires=OWN, status_code=204)
async def end_one(session_id: str, state: State) -> None:
    state.stand.sessions.held[session_id].ended = "ended_by_person"


@get("/v1/own", requires=OWN)
async def own(request: OurRequest, state: State) -> dict[str, Any]:
    person = _held(request, state).person
    return {
        "object": "own",
        "person": {
            "id": person.person_id,
            "email": person.email,
            "name": person.name,
            "role": person.role,
        },
        "tenant": "Corner Shop",
        "mode": principal_of(request).mode,
        "permissions": [],
        "methods": [],
        "stepped_up": True,
    }


@get("/v1/own/factors", requires=OWN)
async def factors(request: OurRequest, state: State) -> dict[str, Any]:
    active = principal_of(request).subject in state.stand.with_app
    now = rfc3339(SystemClock().now())
    return {
        "object": "factors",
        "totp": {"active": active, "since": now if active else None},
        "recovery_codes": {"left": 9 if active else 0, "made_at": now if active else None},
    }


def _enrolment() -> dict[str, Any]:
    picture = io.BytesIO()
    segno.make(_URI).save(picture, kind="png", scale=6)
    return {
        "object": "totp_enrolment",
        "uri": _URI,
        "secret": "JBSW Y3DP EHPK 3PXP",
        "qr_png": base64.b64encode(picture.getvalue()).decode(),
        "algorithm": "SHA1",
        "digits": 6,
        "period_seconds": 30,
    }


@post("/v1/own/totp", requires=OWN, step_up=True, status_code=200)
async def enrol() -> dict[str, Any]:
    return _enrolment()


@post("/v1/own/totp/confirm", requires=OWN, step_up=True, status_code=200)
async def confirm(request: OurRequest, data: dict[str, str], state: State) -> dict[str, Any]:
    if data["code"] != CODE:
        raise Wrong("wrong")
    state.stand.with_app.add(principal_of(request).subject)
    return {"object": "totp", "active": True, "recovery_codes": CODES}


@delete("/v1/own/totp", requires=OWN, step_up=True)
async def remove(request: OurRequest, state: State) -> None:
    state.stand.with_app.discard(principal_of(request).subject)


@post("/v1/own/recovery-codes", requires=OWN, step_up=True, status_code=200)
async def new_codes() -> dict[str, Any]:
    return {"object": "recovery_codes", "codes": CODES}


@post("/v1/own/password", requires=OWN, step_up=True, status_code=204)
async def change_password(data: dict[str, str]) -> None:
    if data["current"] != PASSWORD:
        raise Wrong("wrong")


@post("/v1/sso/start", requires=PUBLIC, status_code=200)
async def start_sso(data: dict[str, str], state: State) -> dict[str, Any]:
    """Send the browser to a provider that sends it straight back."""
    state.stand.handles["company"] = (data["email"], Mode(data["mode"]))
    back = (
        f"{data['redirect']}?state=s&code={state.stand.company_code}&iss=https%3A%2F%2Fidp.example"
    )
    return {
        "object": "sso_start",
        "authorization_url": back,
        "ticket": "company",
        "expires_seconds": 600,
    }


@post("/v1/sso/finish", requires=PUBLIC, status_code=200)
async def finish_sso(data: dict[str, str], state: State) -> dict[str, Any]:
    assert (data["state"], data["iss"]) == ("s", "https://idp.example")
    email, mode = state.stand.handles.pop(data["ticket"])
    if data["code"] != CODE:
        raise Wrong("wrong")
    nothing: Any = None
    issued = await state.stand.sessions.begin(
        nothing,
        state.stand.by_email[email],
        mode,
        ["mfa"],
        origin=Origin(),
        now=SystemClock().now(),
    )
    return _tokens(issued)


@post("/v1/setup", requires=PUBLIC, status_code=200)
async def open_link(data: dict[str, str], state: State) -> dict[str, Any]:
    person: Person | None = state.stand.invited
    if person is None or data["link"] != LINK:
        raise Wrong("wrong")
    return {
        "object": "setup",
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "tenant": "Corner Shop",
        "needs": [["passkey"], ["password", "totp"]],
        "password": {"characters_min": 12, "characters_max": 128, "letter_and_digit": True},
        "ticket": TICKET,
        "ticket_expires_at": rfc3339(SystemClock().now()),
    }


@post("/v1/setup/password", requires=PUBLIC, status_code=204)
async def set_password(data: dict[str, str]) -> None:
    assert data["ticket"] == TICKET


@post("/v1/setup/totp", requires=PUBLIC, status_code=200)
async def set_up_totp(data: dict[str, str]) -> dict[str, Any]:
    assert data["ticket"] == TICKET
    return _enrolment()


@post("/v1/setup/totp/confirm", requires=PUBLIC, status_code=200)
async def confirm_set_up(data: dict[str, str]) -> dict[str, Any]:
    if data["code"] != CODE:
        raise Wrong("wrong")
    return {"object": "totp", "active": True, "recovery_codes": CODES}


ROUTES: Final = (
    begin,
    second,
    step_up,
    refresh,
    end,
    sessions,
    end_one,
    own,
    factors,
    enrol,
    confirm,
    remove,
    new_codes,
    change_password,
    start_sso,
    finish_sso,
    open_link,
    set_password,
    set_up_totp,
    confirm_set_up,
)
