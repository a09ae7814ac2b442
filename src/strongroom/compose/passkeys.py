# SPDX-License-Identifier: Apache-2.0
"""Joins passkeys: what the console's routes find in their state."""

import re
from collections.abc import Mapping
from typing import Any, Final

from strongroom.audit import Recorder
from strongroom.compose.site import Site
from strongroom.config import Settings
from strongroom.config.errors import SettingRefused
from strongroom.db.pool import Database
from strongroom.http.rate_limit import Rate, RateLimiter
from strongroom.identity.passkeys import (
    Attestation,
    OtherFactors,
    ProofMetrics,
    RelyingParty,
    SetupTickets,
)
from strongroom.identity.passkeys.proof import Proofs
from strongroom.identity.passkeys.registration import Registration
from strongroom.identity.passkeys.service import OwnPasskeys
from strongroom.identity.people.ports import People
from strongroom.identity.sessions.ports import Sessions

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL
)


def relying_party(settings: Settings) -> RelyingParty:
    """Return who asks for passkeys, as the settings say.

    Raises:
        SettingRefused: models are to be proven, and no maker is believed.
    """
    roots: tuple[bytes, ...] = ()
    if settings.passkey_roots is not None:
        try:
            roots = tuple(_CERTIFICATE.findall(settings.passkey_roots.read_bytes()))
        except OSError as error:
            raise SettingRefused(f"STRONGROOM_PASSKEY_ROOTS: {error.strerror}") from None
    attestation = Attestation(settings.passkey_attestation.value)
    if attestation is Attestation.DIRECT and not roots:
        raise SettingRefused("STRONGROOM_PASSKEY_ROOTS: no certificate, and direct needs one")
    if attestation is Attestation.NONE and (settings.passkey_models or roots):
        # Without a proof any authenticator could name any model.
        raise SettingRefused("STRONGROOM_PASSKEY_MODELS and _ROOTS need _ATTESTATION=direct")
    return RelyingParty(
        settings.console_url,
        attestation=attestation,
        aaguids=frozenset(settings.passkey_models),
        roots=roots,
    )


def passkeys_of(
    site: Site,
    database: Database,
    recorder: Recorder,
    *,
    people: People,
    sessions: Sessions,
    others: OtherFactors,
) -> OwnPasskeys:
    """Return people's own passkeys."""
    return OwnPasskeys(
        database, recorder, site.clock, people=people, others=others, sessions=sessions
    )


def passkey_state(
    site: Site,
    database: Database,
    recorder: Recorder,
    *,
    people: People,
    sessions: Sessions,
    tickets: SetupTickets,
    own: OwnPasskeys,
    metrics: ProofMetrics,
) -> Mapping[str, Any]:
    """Compose passkeys under the console's login, for `passkeys.api.ROUTES`."""
    party = relying_party(site.settings)
    # A login by passkey is two requests, and writes a row before anybody is known: bounded like guesses of a password.
    a_minute = 2 * site.settings.rate_login_per_minute
    return {
        "own_passkeys": own,
        "passkey_registration": Registration(
            database, recorder, site.clock, party, people=people, tickets=tickets
        ),
        "passkey_proofs": Proofs(
            database,
            recorder,
            site.clock,
            party,
            people=people,
            sessions=sessions,
            alerts=site.log,
            metrics=metrics,
        ),
        "passkey_visitors": RateLimiter(Rate(a_minute / 60, a_minute / 2)),
    }
