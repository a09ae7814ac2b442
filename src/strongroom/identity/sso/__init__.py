# SPDX-License-Identifier: Apache-2.0
"""Single sign-on: tenants' identity providers (OpenID Connect), and logins that they vouch for."""
