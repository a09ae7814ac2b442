# SPDX-License-Identifier: Apache-2.0
"""Erasure by destroying keys: deleted tokens, customers, merchants, and what a container's retention says."""
