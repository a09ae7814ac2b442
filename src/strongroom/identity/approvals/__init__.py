# SPDX-License-Identifier: Apache-2.0
"""Four eyes: what one person asks for, another decides."""
