# SPDX-License-Identifier: Apache-2.0
"""Seals anew what older versions of a key have sealed in the core database: columns, work, progress."""
