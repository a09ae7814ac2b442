# SPDX-License-Identifier: Apache-2.0
"""The only reader of the environment. Names every setting that cannot be read, and no value of any."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from strongroom.config.errors import SettingRefused
from strongroom.config.key_store_settings import KeyStoreName
from strongroom.config.key_stores import missing, read_address, read_key_ring, read_purposes
from strongroom.config.references import SecretReference, parse_login_passwords, parse_reference
from strongroom.config.settings import (
    Environment,
    ForwardedHeader,
    Listener,
    PasskeyAttestation,
    Settings,
)
from strongroom.config.vault_settings import CardAlgorithm
from strongroom.kernel.addresses import parse_network
from strongroom.kernel.region import REGION
from strongroom.kernel.secret import Secret

PREFIX: Final = "STRONGROOM_"
#: Credentials that must not stand in a production environment: a role's short-lived ones are used instead.
STATIC_CLOUD_CREDENTIALS: Final = ("AWS_SECRET_ACCESS_KEY",)
#: Where Google's own tools look for a file of credentials.
GOOGLE_CREDENTIALS: Final = "GOOGLE_APPLICATION_CREDENTIALS"
#: Read by the command line as a client of a vault; no settings of an installation.
CLIENT_KEY: Final = "STRONGROOM_KEY"
CLIENT_URL: Final = "STRONGROOM_URL"
CLIENT_GATEWAY_URL: Final = "STRONGROOM_GATEWAY_URL"
CLIENT_CONSOLE_URL: Final = "STRONGROOM_CONSOLE_URL"
CLIENT_AUTHORITY: Final = "STRONGROOM_CA"
#: Only names of nobody's standard: a header that means something else must not be believed as a certificate.
_HEADER_NAME: Final = re.compile(r"x-[a-z0-9][a-z0-9-]{0,62}")
#: As browsers print one (RFC 6454 §6.1): a host name, as passkeys belong to no bare address; plain HTTP only here.
#: A connection is tested no more often.
PROBE_SECONDS_MIN: Final = 60
_ORIGIN: Final = re.compile(
    r"(?:https://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|http://localhost)"
    r"(?::[1-9][0-9]{0,4})?"
)
_AAGUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_CLIENTS: Final = frozenset(
    {CLIENT_KEY, CLIENT_URL, CLIENT_GATEWAY_URL, CLIENT_CONSOLE_URL, CLIENT_AUTHORITY}
)


def load_settings(
    environment: Mapping[str, str] | None = None, *, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings.

    Args:
        environment: the variables; the process's own when not given.
        overrides: values that a command line gave; they win.

    Raises:
        SettingRefused: names every variable that is unknown or cannot be read.
    """
    variables = os.environ if environment is None else environment
    known = {field.name for field in fields(Settings)}
    faults = [
        f"{name} is not a setting"
        for name in sorted(variables)
        if name.startswith(PREFIX)
        and name not in _OF_CLIENTS
        and name.removeprefix(PREFIX).lower() not in known
    ]
    given: dict[str, Any] = {}
    for name in known:
        text = variables.get(PREFIX + name.upper(), "")
        if text == "":
            continue
        try:
            given[name] = _READERS[name](text, variables)
        except (ValueError, OSError) as error:
            faults.append(f"{PREFIX}{name.upper()}: {_plain(error)}")
    if faults:
        raise SettingRefused("; ".join(faults))
    given.update({name: value for name, value in (overrides or {}).items() if value is not None})
    google = variables.get(GOOGLE_CREDENTIALS, "")
    if google:
        given.setdefault("gcp_credentials", Path(google).expanduser())
    if listed := _without_a_proxy(given) + missing(given):
        raise SettingRefused("; ".join(listed))
    if "state" not in given:
        given["state"] = default_state_folder(variables, given.get("instance", "default"))
    return Settings(**given)


def default_state_folder(variables: Mapping[str, str], instance: str) -> Path:
    """As root below /var/lib (the embedded server's user must reach it), else where XDG says."""
    if os.geteuid() == 0:
        return Path("/var/lib/strongroom") / instance
    home = variables.get("XDG_STATE_HOME") or str(
        Path(variables.get("HOME", "~")).expanduser() / ".local/state"
    )
    return Path(home) / "strongroom" / instance


def has_static_cloud_credentials(
    environment: Mapping[str, str] | None = None, *, google_file: Path | None = None
) -> bool:
    """Tell whether long-lived cloud credentials are at hand.

    Args:
        environment: the variables; the process's own when not given. AWS's tools take keys from it, and from the
            files that it names or that lie in its home.
        google_file: the file of Google credentials, if there is one; a key in it is long-lived.
    """
    variables = os.environ if environment is None else environment
    in_environment = any(variables.get(name) for name in STATIC_CLOUD_CREDENTIALS)
    if in_environment and not variables.get("AWS_SESSION_TOKEN"):
        return True
    home = Path(variables.get("HOME") or "~").expanduser() / ".aws"
    files = (
        Path(variables.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"),
        Path(variables.get("AWS_CONFIG_FILE") or home / "config"),
    )
    return any(_holds_aws_keys(file) for file in files) or (
        google_file is not None and _holds_google_key(google_file)
    )


def _holds_aws_keys(file: Path) -> bool:
    try:
        text = file.expanduser().read_text("utf-8", "replace").lower()
    except OSError:
        return False  # AWS's tools cannot read it either
    return "aws_secret_access_key" in text and "aws_session_token" not in text


def _holds_google_key(file: Path) -> bool:
    """Tell whether a file of credentials is anything but a federation's, which holds no secret of its own."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return True  # when in doubt
    return not isinstance(content, dict) or content.get("type") != "external_account"


def process_environment() -> Mapping[str, str]:
    """Return this process's variables, for references to secrets that stand there."""
    return os.environ


def client_key(environment: Mapping[str, str] | None = None) -> Secret[str] | None:
    """Return the API key that a client of a vault finds in the environment."""
    variables = os.environ if environment is None else environment
    text = variables.get(CLIENT_KEY, "").strip()
    return Secret(text) if text else None


def _without_a_proxy(given: Mapping[str, Any]) -> list[str]:
    """Name the settings that believe a proxy where none is named: they would do nothing, or close every connection."""
    if given.get("trusted_proxies"):
        return []
    believing = {
        "forwarded_header": given.get("forwarded_header", ForwardedHeader.NONE)
        is not ForwardedHeader.NONE,
        "proxy_protocol": given.get("proxy_protocol", False),
        "client_certificate_header": given.get("client_certificate_header") is not None,
    }
    return [
        f"{PREFIX}{name.upper()}: set {PREFIX}TRUSTED_PROXIES as well"
        for name, is_set in believing.items()
        if is_set
    ]


def _plain(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, ValueError)
        else (getattr(error, "strerror", None) or "unreadable")
    )


def _listener(text: str, _variables: Mapping[str, str]) -> Listener:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65_535:  # noqa: PLR2004 - TCP's ports
        raise ValueError("expected HOST:PORT")
    return Listener(host.strip("[]"), int(port))


def _truth(text: str, _variables: Mapping[str, str]) -> bool:
    if text not in ("true", "false"):
        raise ValueError("expected true or false")
    return text == "true"


def _count(text: str, _variables: Mapping[str, str]) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("expected a whole number from 1")
    return int(text)


def _count_or_zero(text: str, variables: Mapping[str, str]) -> int:
    return 0 if text == "0" else _count(text, variables)


def _path(text: str, _variables: Mapping[str, str]) -> Path:
    return Path(text).expanduser()


def _reference(text: str, _variables: Mapping[str, str]) -> SecretReference:
    return parse_reference(text)


def _text(text: str, _variables: Mapping[str, str]) -> str:
    return text


def _region(text: str, _variables: Mapping[str, str]) -> str:
    if not REGION.fullmatch(text):
        raise ValueError("a region is a word like `uae` or `me-central-1`")
    return text


def _words(text: str, _variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _networks(text: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    words = _words(text, variables)
    for word in words:
        parse_network(word)
    return words


def _forwarded_header(text: str, _variables: Mapping[str, str]) -> ForwardedHeader:
    if text not in {each.value for each in ForwardedHeader}:
        raise ValueError("expected " + " or ".join(sorted(ForwardedHeader)))
    return ForwardedHeader(text)


def _header_name(text: str, _variables: Mapping[str, str]) -> str:
    name = text.lower()
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError("expected a header's name that begins with x-")
    return name


def _paths(text: str, variables: Mapping[str, str]) -> tuple[Path, ...]:
    return tuple(_path(word, variables) for word in _words(text, variables))


def _cancel_or_leave(text: str, _variables: Mapping[str, str]) -> str:
    if text not in {"cancel", "leave"}:
        raise ValueError("expected cancel or leave")
    return text


def _counts(text: str, variables: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(_count(word, variables) for word in _words(text, variables))


def _probe_seconds(text: str, variables: Mapping[str, str]) -> int:
    seconds = _count_or_zero(text, variables)
    if 0 < seconds < PROBE_SECONDS_MIN:
        raise ValueError(f"expected 0 (never), or {PROBE_SECONDS_MIN} seconds at least")
    return seconds


def _origin(text: str, _variables: Mapping[str, str]) -> str:
    if _ORIGIN.fullmatch(text) is None or text.endswith(":443" if text[4] == "s" else ":80"):
        raise ValueError("expected https://HOST or https://HOST:PORT, as a browser prints it")
    return text


def _origins(text: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_origin(word, variables) for word in _words(text, variables))


def _aaguids(text: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    words = tuple(word.lower() for word in _words(text, variables))
    if not all(_AAGUID.fullmatch(word) for word in words):
        raise ValueError("expected AAGUIDs, comma-separated")
    return words


_READERS: Final[Mapping[str, Callable[[str, Mapping[str, str]], Any]]] = {
    "environment": lambda text, _: Environment(text),
    "state": _path,
    "instance": _text,
    "vault_listen": _listener,
    "gateway_listen": _listener,
    "webhooks_listen": _listener,
    "console_listen": _listener,
    "console_origin": _origin,
    "card_algorithm": lambda text, _: CardAlgorithm(text),
    "key_days_sealing": _count,
    "key_days_signing": _count,
    "key_days_hashing": _count,
    "key_days_root": _count,
    "key_rotation_automatic": _truth,
    "passkey_attestation": lambda text, _: PasskeyAttestation(text),
    "passkey_models": _aaguids,
    "passkey_roots": _path,
    "worker_listen": _listener,
    "vault_internal_listen": _listener,
    "vault_internal_url": _text,
    "internal_ca": _path,
    "internal_certificate": _path,
    "internal_key": _path,
    "internal_crl": _paths,
    "public_url": _text,
    "api_urls": _origins,
    "tls_certificate": _path,
    "tls_key": _path,
    "plain_http": _truth,
    "vault_database": _reference,
    "core_database": _reference,
    "login_secrets": _path,
    "login_passwords": lambda text, _: parse_login_passwords(text),
    "secret_seconds": _count,
    "postgres_binaries": _path,
    "key_store": lambda text, _: KeyStoreName(text),
    "key_file_passphrase": _reference,
    "aws_region": _text,
    "aws_endpoint": _text,
    "aws_kms_key_prefix": _text,
    "pkcs11_module": _path,
    "pkcs11_token": _text,
    "pkcs11_pin": _reference,
    "pkcs11_key_prefix": _text,
    "aws_kms_merchant_keys": read_purposes,
    "gcp_kms_key_ring": read_key_ring,
    "gcp_kms_key_prefix": _text,
    "gcp_kms_endpoint": read_address,
    "gcp_credentials": _path,
    "transit_url": read_address,
    "transit_ca": _path,
    "transit_mount": _text,
    "transit_namespace": _text,
    "transit_key_prefix": _text,
    "transit_approle_mount": _text,
    "transit_role_id": _text,
    "transit_secret_id_file": _path,
    "transit_token_file": _path,
    "audit_sink": _path,
    "audit_origin": _text,
    "log_file": _path,
    "operations_from": _networks,
    "trusted_proxies": _networks,
    "forwarded_header": _forwarded_header,
    "proxy_protocol": _truth,
    "client_certificate_header": _header_name,
    "console_from": _networks,
    "breached_passwords": _path,
    "group_commit_rows": _count,
    "group_commit_batches": _count,
    "rate_secret_per_second": _count,
    "rate_public_per_second": _count,
    "rate_stranger_per_second": _count,
    "rate_visitor_per_second": _count,
    "rate_login_per_minute": _count,
    "reveals_per_minute": _count,
    "reveal_burst_count": _count,
    "reveal_burst_seconds": _count,
    "reveal_stop_seconds": _count_or_zero,
    "egress_loopback": _words,
    "egress_ca": _path,
    "processor_timeout_seconds": _count,
    "connection_probe_seconds": _probe_seconds,
    "recovery_delays_seconds": _counts,
    "recovery_people_seconds": _count,
    "hold_default_seconds": _count,
    "hold_soon_seconds": _count_or_zero,
    "hold_on_expiry": _cancel_or_leave,
    "delivery_delays_seconds": _counts,
    "settlement_kept_days": _count,
    "worker": _truth,
    "worker_poll_ms": _count,
    "key_backup_days": _count,
    "vault_locations": _words,
    "vault_region": _region,
}
