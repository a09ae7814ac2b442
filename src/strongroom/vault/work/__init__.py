# SPDX-License-Identifier: Apache-2.0
"""Long work of the vault's own: jobs with progress, which a killed process leaves where they are."""
