# SPDX-License-Identifier: Apache-2.0
"""What a running process says of itself: log lines, metrics, health. It names things and never shows them."""
