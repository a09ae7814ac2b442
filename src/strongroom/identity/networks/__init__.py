# SPDX-License-Identifier: Apache-2.0
"""Allow-lists: from which networks a tenant's callers may call, by route group, key, person, role or altogether."""
