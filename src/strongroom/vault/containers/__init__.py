# SPDX-License-Identifier: Apache-2.0
"""Containers of tokens, and the rules that say who may do what with what is in them."""
