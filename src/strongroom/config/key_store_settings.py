# SPDX-License-Identifier: Apache-2.0
"""The settings of the key stores: which one, and where its roots are. What they must be is in `config.key_stores`."""

import enum
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.config.references import SecretReference
from strongroom.config.sentences import says


class KeyStoreName(enum.StrEnum):
    """Where the key roots live."""

    AWS_KMS = "aws-kms"
    FILE = "file"
    PKCS11 = "pkcs11"
    GCP_KMS = "gcp-kms"
    TRANSIT = "transit"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStoreSettings:
    """What a process is told of the key store at start."""

    key_store: KeyStoreName = field(
        default=KeyStoreName.FILE,
        metadata=says(
            "`file` (sealed with a passphrase; refused in production), `aws-kms`, `gcp-kms`, `transit` (OpenBao, "
            "HashiCorp Vault) or `pkcs11` (an HSM)."
        ),
    )
    key_file_passphrase: SecretReference | None = field(
        default=None,
        metadata=says(
            "Reference to the passphrase of the key file; without one a random one is kept in `state`."
        ),
    )
    aws_region: str | None = field(default=None, metadata=says("Region of the KMS keys."))
    aws_endpoint: str | None = field(
        default=None,
        metadata=says("Another endpoint for KMS (an emulator). Refused in production."),
    )
    aws_kms_key_prefix: str = field(
        default="alias/strongroom-",
        metadata=says(
            "Prefix of the KMS key aliases; the purpose follows (`alias/strongroom-card`)."
        ),
    )
    pkcs11_module: Path | None = field(
        default=None,
        metadata=says("The HSM vendor's PKCS#11 library (`/usr/lib/softhsm/libsofthsm2.so`)."),
    )
    pkcs11_token: str = field(
        default="strongroom", metadata=says("Label of the token that holds the roots.")
    )
    pkcs11_pin: SecretReference | None = field(
        default=None,
        metadata=says(
            "Reference to the PIN of the token's user; read whenever a session is opened."
        ),
    )
    pkcs11_key_prefix: str = field(
        default="strongroom-",
        metadata=says("Prefix of the roots' labels in the token; the purpose follows."),
    )
    aws_kms_merchant_keys: tuple[str, ...] = field(
        default=(),
        metadata=says(
            "Purposes (comma-separated: `card,credential`) of which each merchant has a KMS key of its own, by the "
            "alias prefix, purpose, `-`, merchant; you make those keys. What belongs to no merchant stays on the "
            "purpose's."
        ),
    )
    gcp_kms_key_ring: str | None = field(
        default=None,
        metadata=says(
            "Key ring of the roots in Google Cloud KMS (`projects/P/locations/L/keyRings/R`)."
        ),
    )
    gcp_kms_key_prefix: str = field(
        default="strongroom-",
        metadata=says("Prefix of the keys in that ring; the purpose follows (`strongroom-card`)."),
    )
    gcp_kms_endpoint: str | None = field(
        default=None,
        metadata=says("Another endpoint for Google Cloud KMS (a fake). Refused in production."),
    )
    gcp_credentials: Path | None = field(
        default=None,
        metadata=says(
            "File of Google credentials: workload identity federation; a key file is refused in production. Default: "
            "what GOOGLE_APPLICATION_CREDENTIALS names, else the machine's service account."
        ),
    )
    transit_url: str | None = field(
        default=None,
        metadata=says(
            "Scheme, host and port of the OpenBao or Vault server. Plain HTTP is refused in production."
        ),
    )
    transit_ca: Path | None = field(
        default=None,
        metadata=says(
            "PEM file of the authorities of that server's certificate, trusted instead of the machine's; needed in "
            "production."
        ),
    )
    transit_mount: str = field(
        default="transit", metadata=says("Path where the Transit engine is mounted.")
    )
    transit_namespace: str | None = field(
        default=None, metadata=says("Namespace of the engine and of the login.")
    )
    transit_key_prefix: str = field(
        default="strongroom-",
        metadata=says("Prefix of the Transit keys; the purpose follows (`strongroom-card`)."),
    )
    transit_approle_mount: str = field(
        default="approle", metadata=says("Path where AppRole is mounted.")
    )
    transit_role_id: str | None = field(
        default=None, metadata=says("RoleID of this process's AppRole.")
    )
    transit_secret_id_file: Path | None = field(
        default=None,
        metadata=says("File with the SecretID of that AppRole (mode 0600); read at each login."),
    )
    transit_token_file: Path | None = field(
        default=None,
        metadata=says(
            "File with a token, in the place of AppRole; read anew when the token is refused. Refused in production."
        ),
    )
