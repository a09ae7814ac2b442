# SPDX-License-Identifier: Apache-2.0
"""Measurements. They print figures and ratios, write JSON, and assert nothing about time."""
