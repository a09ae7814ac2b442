# SPDX-License-Identifier: Apache-2.0
"""Searching tokens: by what may be shown of them, or by a card number's fingerprint."""
