# SPDX-License-Identifier: Apache-2.0
"""Which connection a payment is charged through, and where it goes on to. Moves no money, sees no card number."""
