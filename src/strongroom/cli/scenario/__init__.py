# SPDX-License-Identifier: Apache-2.0
"""The demo's scenario: one file a chapter, played over HTTPS by a process that is not the server's.

Card numbers are in this process's memory only; what is printed or written is masked.
"""
