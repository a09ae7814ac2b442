# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of logging in and stepping up."""

from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.identity.login.model import SECOND_STEPS, Begun, LoggedIn
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode

#: Bounds, not forms: what does not have the form is wrong, and is answered like anything wrong.
Code = Annotated[str, Meta(min_length=1, max_length=64)]


class LoginIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first step: who, with which password, for which mode."""

    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=1024)]
    mode: Mode = Mode.LIVE


class LoginOut(msgspec.Struct, frozen=True):
    """What every first step is answered with. It says nothing about the account."""

    object: str
    handle: str
    expires_at: str
    #: Every kind of second step there is, not those that this person has.
    second_steps: list[str]


class SecondStepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The second step: a code, under the handle of the first."""

    handle: Annotated[str, Meta(min_length=1, max_length=256)]
    code: Code


class StepUpIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code that the app shows now."""

    code: Code


class LoginTokensOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session's tokens, named as RFC 6749 §5.1 names them."""

    object: str
    session: str
    token_type: str
    access_token: str
    expires_in: int
    #: Not after a step-up: the one before goes on.
    refresh_token: str | None = None
    #: Only when one of them was used.
    recovery_codes_left: int | None = None


def begun_out(begun: Begun) -> LoginOut:
    """Print the answer to a first step."""
    return LoginOut("login", begun.handle.expose(), rfc3339(begun.expires_at), list(SECOND_STEPS))


def logged_in_out(logged_in: LoggedIn) -> LoginTokensOut:
    """Print a session that has begun."""
    issued = logged_in.issued
    return LoginTokensOut(
        "session_tokens",
        issued.session,
        issued.token_type,
        issued.access.expose(),
        issued.access_seconds,
        issued.refresh.expose(),
        logged_in.recovery_codes_left,
    )


def stepped_up_out(issued: Issued) -> LoginTokensOut:
    """Print a new access token of a session that goes on."""
    return LoginTokensOut(
        "session_tokens",
        issued.session,
        issued.token_type,
        issued.access.expose(),
        issued.access_seconds,
    )
