# SPDX-License-Identifier: Apache-2.0
"""People: who they are, how they are invited, and what proves them."""
