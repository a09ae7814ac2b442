# SPDX-License-Identifier: Apache-2.0
"""Secrets that are kept elsewhere: what follows a reference, and what changes the secret behind it."""
