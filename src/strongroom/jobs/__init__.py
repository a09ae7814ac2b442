# SPDX-License-Identifier: Apache-2.0
"""Work in the background of a role: what is done again and again."""

from strongroom.jobs.periodic import Periodic, Task

__all__ = ["Periodic", "Task"]
