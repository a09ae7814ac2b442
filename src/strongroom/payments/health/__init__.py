# SPDX-License-Identifier: Apache-2.0
"""How connections are: what became of what was asked through them lately, and whether their processors let us in."""
