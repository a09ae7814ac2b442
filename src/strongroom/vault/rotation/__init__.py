# SPDX-License-Identifier: Apache-2.0
"""Rotation of a merchant's data keys: a new version at once, what is sealed moved behind it, the old one destroyed."""
