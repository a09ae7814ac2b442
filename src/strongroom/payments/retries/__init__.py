# SPDX-License-Identifier: Apache-2.0
"""Tries what a merchant began again after a soft decline: later, within the schemes' limits, never twice."""

from strongroom.payments.retries.model import LIMITS, Limit, Policy

__all__ = ["LIMITS", "Limit", "Policy"]
