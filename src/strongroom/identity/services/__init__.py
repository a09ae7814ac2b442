# SPDX-License-Identifier: Apache-2.0
"""Services: machines that prove themselves with a key of their own and get short access tokens."""
