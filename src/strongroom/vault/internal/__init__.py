# SPDX-License-Identifier: Apache-2.0
"""The vault's internal port: `Forwarder` and `Connections` for the processes of other roles, over mutual TLS."""
