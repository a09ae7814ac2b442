# SPDX-License-Identifier: Apache-2.0
"""HTTP shapes of passkeys. What a browser makes keeps the names of the WebAuthn standard (its JSON forms, §5.1.9)."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from strongroom.identity.passkeys.model import NAME_CHARACTERS_MAX, Passkey
from strongroom.identity.sessions.ports import Issued
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.mode import Mode

#: Base64url of what may be so many bytes long. The sum stays below what the edge takes of a body.
CredentialId = Annotated[str, Meta(min_length=1, max_length=1_400)]
Short = Annotated[str, Meta(min_length=1, max_length=2_048)]
Long = Annotated[str, Meta(min_length=1, max_length=12_000)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
Ticket = Annotated[str, Meta(min_length=1, max_length=512)]

_CREDENTIAL: Final = {
    "raw_id": "rawId",
    "client_extension_results": "clientExtensionResults",
    "authenticator_attachment": "authenticatorAttachment",
}
_RESPONSE: Final = {
    "client_data_json": "clientDataJSON",
    "attestation_object": "attestationObject",
    "authenticator_data": "authenticatorData",
    "user_handle": "userHandle",
}


class CredPropsIn(msgspec.Struct, frozen=True):
    """Whether the passkey can be found without an id (WebAuthn §10.1.3)."""

    rk: bool | None = None


class ExtensionsIn(msgspec.Struct, frozen=True, rename={"cred_props": "credProps"}):
    """What the browser did of what it was asked for besides."""

    cred_props: CredPropsIn | None = None


class AttestationResponseIn(msgspec.Struct, frozen=True, rename=_RESPONSE):
    """What an authenticator made, base64url."""

    client_data_json: Short
    attestation_object: Long
    transports: list[Annotated[str, Meta(max_length=32)]] | None = None


class AttestedIn(msgspec.Struct, frozen=True, rename=_CREDENTIAL):
    """A new credential, as `RegistrationResponseJSON`."""

    id: CredentialId
    raw_id: CredentialId
    type: Literal["public-key"]
    response: AttestationResponseIn
    client_extension_results: ExtensionsIn = ExtensionsIn()
    authenticator_attachment: Literal["platform", "cross-platform"] | None = None


class AssertionResponseIn(msgspec.Struct, frozen=True, rename=_RESPONSE):
    """What an authenticator signed, base64url."""

    client_data_json: Short
    authenticator_data: Short
    signature: Short
    user_handle: Annotated[str, Meta(max_length=128)] | None = None


class AssertedIn(msgspec.Struct, frozen=True, rename=_CREDENTIAL):
    """A proof, as `AuthenticationResponseJSON`."""

    id: CredentialId
    raw_id: CredentialId
    type: Literal["public-key"]
    response: AssertionResponseIn
    authenticator_attachment: Literal["platform", "cross-platform"] | None = None


class PasskeyLoginIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A login by passkey."""

    credential: AssertedIn
    mode: Mode = Mode.LIVE


class PasskeyStepUpIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step-up by passkey."""

    credential: AssertedIn


class PasskeyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further passkey of one's own."""

    name: Name
    credential: AttestedIn


class PasskeyNameIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey's other name."""

    name: Name


class PasskeyTicketIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ticket that a set-up link was changed for."""

    ticket: Ticket


class SetupPasskeyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The passkey of somebody who is being set up."""

    ticket: Ticket
    name: Name
    credential: AttestedIn


class PasskeyOptionsOut(msgspec.Struct, frozen=True):
    """What `navigator.credentials.create` or `.get` is called with, in the standard's JSON form."""

    public_key: dict[str, Any]


class PasskeyTokensOut(msgspec.Struct, frozen=True):
    """A session's tokens, named as RFC 6749 §5.1 names them. Neither is shown again."""

    object: str
    session: str
    access_token: str
    token_type: str
    expires_in: int
    #: Null after a step-up: the one before goes on.
    refresh_token: str | None


class PasskeyOut(msgspec.Struct, frozen=True):
    """A passkey, without its keys."""

    id: str
    object: str
    name: str
    #: The authenticator's model (AAGUID); proven only where `attestation` is not `none`.
    model: str
    attestation: str
    transports: list[str]
    #: Whether it may be copied to other devices, and whether it has been.
    backup_eligible: bool
    backed_up: bool
    created_at: str
    last_used_at: str | None


class PasskeysOut(msgspec.Struct, frozen=True):
    """A person's passkeys."""

    data: list[PasskeyOut]
    has_more: bool
    next_cursor: str | None


def credential_json(given: AttestedIn | AssertedIn) -> dict[str, Any]:
    """Return what a browser made under the names that the standard gives it."""
    printed: dict[str, Any] = msgspec.to_builtins(given)
    return printed


def tokens_out(issued: Issued) -> PasskeyTokensOut:
    """Print a session's tokens, once."""
    return PasskeyTokensOut(
        "session_tokens",
        issued.session,
        issued.access.expose(),
        "Bearer",
        issued.access_seconds,
        issued.refresh.expose() or None,
    )


def passkey_out(passkey: Passkey) -> PasskeyOut:
    """Print a passkey."""
    return PasskeyOut(
        id=passkey.passkey_id,
        object="passkey",
        name=passkey.name,
        model=passkey.aaguid,
        attestation=passkey.attestation,
        transports=list(passkey.transports),
        backup_eligible=passkey.backup_eligible,
        backed_up=passkey.backed_up,
        created_at=rfc3339(passkey.created_at),
        last_used_at=rfc3339(passkey.last_used_at) if passkey.last_used_at else None,
    )
