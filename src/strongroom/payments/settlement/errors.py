# SPDX-License-Identifier: Apache-2.0
"""Why a settlement report is not taken.

Refused
├── NotThere
│   └── ReconciliationUnknown
├── Conflict
│   ├── ReportEnded            its file is there already, or was refused
│   ├── ReportOffsetWrong      the part does not begin where the file stands
│   └── ReportNotRead          it is being read; again when that has ended
├── ReportNotTaken    422      a line cannot be read, or holds a card number
└── ReportTooLarge    422      more than one report may have
"""

from strongroom.kernel.errors import Conflict, NotThere, Refused


class ReconciliationUnknown(NotThere):
    """There is no such reconciliation."""

    code = "reconciliation_unknown"


class ReportEnded(Conflict):
    """This report's file takes nothing more: it is there, or it was refused."""

    code = "report_ended"


class ReportOffsetWrong(Conflict):
    """The part does not begin where the file stands; read the reconciliation and go on at its `offset`."""

    code = "report_offset_wrong"


class ReportNotRead(Conflict):
    """The report was not compared to its end yet; ask again when it was."""

    code = "report_not_read"


class ReportNotTaken(Refused):
    """The report cannot be read."""

    code = "report_not_taken"
    status = 422


class ReportTooLarge(Refused):
    """The file is larger than a report may be: send it in several."""

    code = "report_too_large"
    status = 422
