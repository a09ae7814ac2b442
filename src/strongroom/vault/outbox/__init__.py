# SPDX-License-Identifier: Apache-2.0
"""What merchants are told of the vault: it waits in the vault's own database until it is brought to the core's."""
