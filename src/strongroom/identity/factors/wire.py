# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of second factors. What is secret in them is in this one answer only."""

import base64
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from strongroom.identity.factors.model import Confirmed, Enrolment, Standing
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.secret import Secret

#: Bounds, not forms: what does not have the form is a wrong code, and counted as one.
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Ticket = Annotated[str, Meta(min_length=1, max_length=256)]


class CodeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code that the app shows."""

    code: Code


class TicketIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ticket of a set-up link."""

    ticket: Ticket


class TicketCodeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ticket of a set-up link, and a code that the app shows."""

    ticket: Ticket
    code: Code


class EnrolmentOut(msgspec.Struct, frozen=True):
    """What an authenticator app is told. Shown once."""

    object: str
    uri: str
    secret: str
    #: A PNG picture in base64.
    qr_png: str
    algorithm: str
    digits: int
    period_seconds: int


class ConfirmedOut(msgspec.Struct, frozen=True):
    """The app is in use. New recovery codes, if there were none left."""

    object: str
    active: bool
    recovery_codes: list[str] | None


class RecoveryCodesOut(msgspec.Struct, frozen=True):
    """Ten recovery codes, each used once. Shown once."""

    object: str
    codes: list[str]


class TotpStanding(msgspec.Struct, frozen=True):
    """The authenticator app in use."""

    active: bool
    since: str | None


class RecoveryStanding(msgspec.Struct, frozen=True):
    """The recovery codes that still hold."""

    left: int
    made_at: str | None


class FactorsOut(msgspec.Struct, frozen=True):
    """What somebody has besides passkeys, which are listed on their own."""

    object: str
    totp: TotpStanding
    recovery_codes: RecoveryStanding


def enrolment_out(enrolment: Enrolment) -> EnrolmentOut:
    """Print what an app is told."""
    return EnrolmentOut(
        "totp_enrolment",
        enrolment.uri.expose(),
        enrolment.secret.expose(),
        base64.b64encode(enrolment.qr_png).decode(),
        "SHA1",
        6,
        30,
    )


def confirmed_out(confirmed: Confirmed) -> ConfirmedOut:
    """Print that an app is in use."""
    codes = confirmed.recovery_codes
    shown = None if codes is None else [code.expose() for code in codes]
    return ConfirmedOut("totp", active=True, recovery_codes=shown)


def recovery_codes_out(codes: Sequence[Secret[str]]) -> RecoveryCodesOut:
    """Print new recovery codes."""
    return RecoveryCodesOut("recovery_codes", [code.expose() for code in codes])


def factors_out(standing: Standing) -> FactorsOut:
    """Print what somebody has."""
    since, made_at = standing.totp_since, standing.recovery_codes_made_at
    return FactorsOut(
        "factors",
        TotpStanding(since is not None, None if since is None else rfc3339(since)),
        RecoveryStanding(
            standing.recovery_codes_left, None if made_at is None else rfc3339(made_at)
        ),
    )
