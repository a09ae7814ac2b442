# SPDX-License-Identifier: Apache-2.0
"""Honeytokens: tokens that no system uses. Who names one is told nothing, and is found out."""
