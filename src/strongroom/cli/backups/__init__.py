# SPDX-License-Identifier: Apache-2.0
"""What `strongroom backup` does: makes a backup, puts one back, and drills."""
