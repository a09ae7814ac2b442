# SPDX-License-Identifier: Apache-2.0
"""New ids for a set of tokens, when the old ones leaked: dead at once, or good for a bounded time."""
