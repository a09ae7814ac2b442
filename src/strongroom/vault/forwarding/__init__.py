# SPDX-License-Identifier: Apache-2.0
"""A merchant's own requests to its registered destinations, with cards in the places of slots (`POST /v1/forward`)."""
