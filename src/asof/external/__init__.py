"""Groups whose rows lie outside of the store: folders of Parquet files, Delta tables, tables of a server.

Each kind gives a `Rows` that engines read like a stored history (docs/decisions/0021).
"""

from asof.external.open import external_rows

__all__ = ["external_rows"]
