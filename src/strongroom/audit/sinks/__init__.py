# SPDX-License-Identifier: Apache-2.0
"""Where the log is published to: places outside its database that hold what they were given."""
