# SPDX-License-Identifier: Apache-2.0
"""The processors that Strongroom speaks to, a folder each. Each is translation only (docs/howto/add-a-processor.md)."""
