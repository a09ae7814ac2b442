# SPDX-License-Identifier: Apache-2.0
"""The data key table suite over the table that unit tests use."""

import pytest

from contracts.data_key_table import DataKeyTableContract
from contracts.fakes import MemoryDataKeyTable
from strongroom.keys import DataKeyTable


class TestMemoryDataKeyTable(DataKeyTableContract):
    @pytest.fixture
    def table(self) -> DataKeyTable:
        return MemoryDataKeyTable()
