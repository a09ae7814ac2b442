# SPDX-License-Identifier: Apache-2.0
"""What AWS calls its errors."""

from botocore.exceptions import ClientError


def aws_code(error: BaseException | None) -> str:
    """Return what AWS calls an error; nothing for one that is none of AWS's."""
    if not isinstance(error, ClientError):
        return ""
    return error.response.get("Error", {}).get("Code", "")
