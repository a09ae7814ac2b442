# SPDX-License-Identifier: Apache-2.0
"""Where roots live: one module per kind of key store. Only `compose` and the command line choose one."""
