# SPDX-License-Identifier: Apache-2.0
"""Who has access: extra permissions for an hour, reviews of everybody's, and what ends when nobody uses it."""
