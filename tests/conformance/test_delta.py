"""The Delta history passes the suite that asof ships; its mirror is read with deltalake itself."""

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from asof.testing.history import HistorySuite


class TestDelta(HistorySuite):
    adapter = "delta"
    url = "history/"

    def read_mirror(self, history, table) -> pa.Table:
        try:
            delta = DeltaTable(str(history.folder / table.name))
        except TableNotFoundError:
            return table.schema.empty_table()
        return pa.table(delta.to_pyarrow_dataset().to_table())
