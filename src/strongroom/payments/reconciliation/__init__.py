# SPDX-License-Identifier: Apache-2.0
"""Settlement reports: what processors say they settled, read from their files. Nothing is kept or compared here yet."""

from strongroom.payments.reconciliation.adyen import AdyenReport
from strongroom.payments.reconciliation.generic import GenericReport
from strongroom.payments.reconciliation.model import Kind, Line, ReportRefused
from strongroom.payments.reconciliation.reading import Format, read, read_stream
from strongroom.payments.reconciliation.stripe import StripeReport

__all__ = [
    "AdyenReport",
    "Format",
    "GenericReport",
    "Kind",
    "Line",
    "ReportRefused",
    "StripeReport",
    "read",
    "read_stream",
]
