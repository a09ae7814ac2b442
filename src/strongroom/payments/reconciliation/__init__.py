# SPDX-License-Identifier: Apache-2.0
"""Settlement reports: what processors say they settled, read from their files. Nothing is kept or compared here."""

from strongroom.payments.reconciliation.adyen import AdyenReport
from strongroom.payments.reconciliation.generic import GenericReport
from strongroom.payments.reconciliation.model import Kind, Line, ReportRefused
from strongroom.payments.reconciliation.reading import (
    ROW_BYTES_MAX,
    Format,
    Reading,
    read,
    read_stream,
    whole_rows,
)
from strongroom.payments.reconciliation.stripe import StripeReport

__all__ = [
    "ROW_BYTES_MAX",
    "AdyenReport",
    "Format",
    "GenericReport",
    "Kind",
    "Line",
    "Reading",
    "ReportRefused",
    "StripeReport",
    "read",
    "read_stream",
    "whole_rows",
]
