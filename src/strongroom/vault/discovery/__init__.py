# SPDX-License-Identifier: Apache-2.0
"""Discovery: looks for card numbers where they should not be (PCI DSS 12.10.7). Keeps and tells no number."""

from strongroom.vault.discovery.baseline import BaselineRefused
from strongroom.vault.discovery.baseline import new as new_findings
from strongroom.vault.discovery.baseline import read as read_baseline
from strongroom.vault.discovery.baseline import written as written_baseline
from strongroom.vault.discovery.decoys import self_test
from strongroom.vault.discovery.files import FileSearch
from strongroom.vault.discovery.files import Progress as ScanProgress
from strongroom.vault.discovery.model import Finding as ScanFinding
from strongroom.vault.discovery.model import Form as ScanForm
from strongroom.vault.discovery.model import Kind as ScanKind
from strongroom.vault.discovery.model import Level as ScanLevel
from strongroom.vault.discovery.model import Report as ScanReport
from strongroom.vault.discovery.postgres import DatabaseSearch

__all__ = [
    "BaselineRefused",
    "DatabaseSearch",
    "FileSearch",
    "ScanFinding",
    "ScanForm",
    "ScanKind",
    "ScanLevel",
    "ScanProgress",
    "ScanReport",
    "new_findings",
    "read_baseline",
    "self_test",
    "written_baseline",
]
