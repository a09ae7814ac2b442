# SPDX-License-Identifier: Apache-2.0
"""Receipts: what became of a payment, signed, with the proof that the audit log says so too."""
