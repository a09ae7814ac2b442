# SPDX-License-Identifier: Apache-2.0
"""Where a root key is, as far as its name says so: AWS and Google put the place into it."""

import re
from typing import Final

from strongroom.keys.model import RootInfo

#: `arn:aws:kms:me-central-1:111122223333:key/…`, and the other partitions.
_AWS: Final = re.compile(r"arn:aws[a-z-]*:kms:(?P<place>[a-z0-9-]+):[0-9]*:.+")
#: `projects/P/locations/L/keyRings/R/cryptoKeys/K…`
_GOOGLE: Final = re.compile(r"projects/[^/]+/locations/(?P<place>[a-z0-9-]+)/keyRings/.+")


def location_of(root: RootInfo) -> str | None:
    """Return the place that a root's name tells (`me-central-1`), or None where it tells none."""
    found = _AWS.fullmatch(root.key_id) or _GOOGLE.fullmatch(root.key_id)
    return None if found is None else found["place"]
