# SPDX-License-Identifier: Apache-2.0
"""Second factors that Strongroom itself keeps: authenticator apps (TOTP) and recovery codes."""
