# SPDX-License-Identifier: Apache-2.0
"""QR codes, drawn by segno. Nothing leaves this process for it."""

import io
from typing import Final

import segno

from strongroom.kernel.secret import Secret

_SCALE: Final = 6


def qr_png(text: Secret[str]) -> bytes:
    """Return a text as a PNG picture of a QR code."""
    picture = io.BytesIO()
    segno.make(text.expose(), error="m", micro=False).save(picture, kind="png", scale=_SCALE)
    return picture.getvalue()
