# SPDX-License-Identifier: Apache-2.0
"""Knows by its name what nobody keeps: a security code, or the cryptogram of one payment (PCI DSS 3.3.1). Pure."""

import re
from typing import Final

_CODE: Final = re.compile(
    r"(?:.*[ ._-])?(?:cvc|cvc2|cvv|cvv2|cvn|csc|cid|cav2|card[ _-]?code|security[ _-]?code|"
    r"verification[ _-]?(?:value|code))(?:[ ._-].*)?"
)
#: What authenticates one payment of a network token or by 3-D Secure.
_CRYPTOGRAM: Final = re.compile(r"(?:.*[ ._-])?(?:cryptogram|[ctu]avv|ucaf)(?:[ ._-].*)?")
_CODE_VALUE: Final = re.compile(r"[0-9]{3,4}")


def is_code(name: str) -> bool:
    """Tell whether a name is that of a security code."""
    return _CODE.fullmatch(name.strip().lower()) is not None


def is_cryptogram(name: str) -> bool:
    """Tell whether a name is that of a payment's cryptogram."""
    return _CRYPTOGRAM.fullmatch(name.strip().lower()) is not None


def holds_code(name: str, value: str) -> bool:
    """Tell whether a value is a security code by its name and its form: `cid` is a customer's id elsewhere."""
    return is_code(name) and _CODE_VALUE.fullmatch(value.strip()) is not None


def holds_cryptogram(name: str, value: str) -> bool:
    """Tell whether a value is a cryptogram by its name. Its form says nothing."""
    return is_cryptogram(name) and value.strip() != ""
