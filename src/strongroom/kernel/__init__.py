# SPDX-License-Identifier: Apache-2.0
"""The vocabulary that every other package speaks. Pure: no clock, no disk, no socket, no randomness."""
