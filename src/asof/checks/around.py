"""What checks ask of the store that the rows are for."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa

from asof.errors import UnsupportedError


class Around(Protocol):
    """The store around a group, as far as checks see it."""

    def sql(self, statement: str, tables: Mapping[str, pa.Table], *, where: str) -> pa.Table:
        """Return what a statement makes of tables; see `Engine.transform`."""
        ...

    def known(self, group: str, keys: pa.Table, *, where: str) -> np.ndarray:
        """Return for each row of keys, in the order of the group's, whether the group has a row of it, not retired.

        Raises:
            NotFoundError: There is no such group. UsageError: Its keys are others.
        """
        ...

    def changes(self, rows: pa.Table) -> tuple[int, int]:
        """Return of how many of these rows the key has a row in the history, and how many of them differ from it."""
        ...


class NoStore:
    """No store: for those who check rows by themselves. Rules that need one are left out, and the report says so."""

    def sql(self, statement: str, tables: Mapping[str, pa.Table], *, where: str) -> pa.Table:
        """See `Around.sql`."""
        from asof.engine.sandbox import Sandbox  # noqa: PLC0415 - DuckDB is loaded for those who need it

        sandbox = Sandbox()
        try:
            return sandbox.run(statement, tables, where=where)
        finally:
            sandbox.close()

    def known(self, group: str, keys: pa.Table, *, where: str) -> np.ndarray:
        """See `Around.known`."""
        del keys
        raise UnsupportedError(f"there is no store to look group {group!r} up in", where=where)

    def changes(self, rows: pa.Table) -> tuple[int, int]:
        """See `Around.changes`."""
        del rows
        raise UnsupportedError("there is no store to compare rows with")
