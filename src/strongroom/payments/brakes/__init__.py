# SPDX-License-Identifier: Apache-2.0
"""Brakes: what a merchant lets through of its own payments, before a processor is asked (ADR-0021)."""
