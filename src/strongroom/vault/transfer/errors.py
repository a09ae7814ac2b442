# SPDX-License-Identifier: Apache-2.0
"""Why something about an import or an export is refused. No message holds a value of a row.

Refused
├── ImportUnknown        404   not there, another tenant's or of the other mode
├── ImportKeyUnknown     404   no import key was made yet
├── ImportEnded          409   it is done, has failed or was canceled
├── ImportOffsetWrong    409   the part does not begin where the file goes on: ask where it does
├── ImportSlowed         429   it has told of more cards that were stored than may be told at once
├── ContentRefused       422   the file is not what was said; the import has failed, and says why
├── ExportUnknown        404
├── PieceUnknown         404   there is no piece of that number (yet)
└── RecipientRefused     422   the receiver's key is none that an export is sealed for
"""

from math import ceil

from strongroom.kernel.errors import Conflict, NotThere, Refused


class ImportUnknown(NotThere):
    """There is no such import."""

    code = "import_unknown"


class ImportKeyUnknown(NotThere):
    """No import key was made for this tenant and mode yet."""

    code = "import_key_unknown"


class ImportEnded(Conflict):
    """This import has ended: it takes nothing more."""

    code = "import_ended"


class ImportOffsetWrong(Conflict):
    """This part does not begin where the file goes on. Read the import: its `offset` says where."""

    code = "import_offset_wrong"


class ImportSlowed(Refused):
    """This import has told of more cards that are stored than may be told at once; it goes on where it is, later."""

    code = "import_slowed"
    status = 429

    def __init__(self, seconds: float) -> None:
        super().__init__()
        #: When the next part is taken.
        self.better_after_seconds = max(1, ceil(seconds))


class ContentRefused(Refused):
    """The file is not what was said of it, and the import has failed."""

    code = "import_content_refused"
    status = 422

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        #: A word for the import's row and the audit record.
        self.problem = problem


class ExportUnknown(NotThere):
    """There is no such export."""

    code = "export_unknown"


class PieceUnknown(NotThere):
    """This export has no piece of that number, or not yet."""

    code = "export_piece_unknown"


class RecipientRefused(Refused):
    """An export is sealed for an OpenPGP certificate that can encrypt, or a JWK: RSA of 3072 bits or more, or P-256."""

    code = "export_recipient_refused"
    status = 422
