# SPDX-License-Identifier: Apache-2.0
"""Moving in and out: cards of another provider become tokens here, and leave again sealed for another provider."""
