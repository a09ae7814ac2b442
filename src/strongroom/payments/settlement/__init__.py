# SPDX-License-Identifier: Apache-2.0
"""Settlement reports against our own books: taken in parts, kept as they came, compared line by line by a worker."""
