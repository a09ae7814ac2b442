# SPDX-License-Identifier: Apache-2.0
"""Showing a stored card: for a stated purpose, to who may, recorded first, and never without bound."""
