# SPDX-License-Identifier: Apache-2.0
"""What `doctor` says of each kind of key store: where it is, and what to look at when it refuses. Asks nothing."""

from strongroom.config import KeyStoreName, Settings
from strongroom.keys import KeyStoreUnavailable


def place(settings: Settings) -> str:
    """Say which store it is, and where."""
    match settings.key_store:
        case KeyStoreName.AWS_KMS:
            where = settings.aws_endpoint or settings.aws_region
        case KeyStoreName.GCP_KMS:
            where = settings.gcp_kms_key_ring
        case KeyStoreName.TRANSIT:
            where = f"{settings.transit_url}, {settings.transit_mount}"
        case KeyStoreName.PKCS11:
            where = f"{settings.pkcs11_module}, {settings.pkcs11_token}"
        case _:
            where = None
    return f"{settings.key_store}, {where}" if where else str(settings.key_store)


def remedy(settings: Settings, error: Exception) -> str:
    """Say what to do about a store that does not open, or that refuses."""
    match settings.key_store:
        case KeyStoreName.FILE:
            return "restore the folder `keys` from your backup, file and passphrase of one day"
        case KeyStoreName.PKCS11 if isinstance(error, KeyStoreUnavailable):
            return (
                "check STRONGROOM_PKCS11_MODULE and _TOKEN, and that this account reaches the HSM"
            )
        case KeyStoreName.PKCS11:
            return "check PIN and roots (strongroom key-store init): docs/howto/use-an-hsm.md"
        case _ if isinstance(error, KeyStoreUnavailable):
            return "check the network; then strongroom doctor again"
        case KeyStoreName.GCP_KMS:
            return "check credentials and grants: docs/howto/use-google-cloud-kms.md"
        case KeyStoreName.TRANSIT:
            return "check login, policy and keys: docs/howto/use-openbao-transit.md"
        case _:
            return "check region, network and this role's grants on the KMS keys"
