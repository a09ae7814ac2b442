# SPDX-License-Identifier: Apache-2.0
"""The vault's internal port: `Forwarder`, `Connections`, `Outbox` for the processes of other roles, over mutual TLS."""
