# SPDX-License-Identifier: Apache-2.0
"""Sessions of people: short access tokens, refresh tokens that rotate, and what ends them."""
