# SPDX-License-Identifier: Apache-2.0
"""Logging in: two steps that tell nothing until both were shown, what is counted against guessing, and step-up."""
