"""Hashes of columns by their canonical values: of one table, however it comes in batches, and never of file bytes.

Nulls, values and lengths go into hashes of their own, so that it does not matter where a batch ends. One NaN, 0.0 for
-0.0; what lies under a null does not count.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ColumnDigest:
    """The hash of one column.

    Args:
        dtype: Its type.
    """

    def __init__(self, dtype: pa.DataType) -> None:
        """Begin with no value."""
        self._dtype = dtype
        self._valid = hashlib.sha256()
        self._values = hashlib.sha256()
        self._lengths = hashlib.sha256()
        types = pa.types
        lists = types.is_list(dtype) or types.is_fixed_size_list(dtype)
        inner = [dtype.value_type] if lists else [field.type for field in dtype] if types.is_struct(dtype) else []
        self._inner = [ColumnDigest(each) for each in inner]

    def update(self, array: pa.Array) -> None:
        """Add values."""
        valid = np.asarray(pc.is_valid(array)).astype(np.uint8)
        self._valid.update(valid.tobytes())
        types, dtype = pa.types, self._dtype
        if types.is_struct(dtype):
            for inner, part in zip(self._inner, array.flatten(), strict=True):
                inner.update(part)
        elif self._inner:
            lengths = pc.fill_null(pc.list_value_length(array), 0)
            self._lengths.update(np.asarray(lengths).astype("<i8").tobytes())
            self._inner[0].update(pc.list_flatten(array))  # it leaves out what lies under a null
        elif types.is_string(dtype) or types.is_binary(dtype):
            self._texts(array)
        else:
            self._values.update(_numbers(array).tobytes())

    def hexdigest(self) -> str:
        """Return the hash of the values so far."""
        whole = hashlib.sha256(str(self._dtype).encode())
        for part in (self._valid, self._values, self._lengths):
            whole.update(part.digest())
        for inner in self._inner:
            whole.update(inner.hexdigest().encode())
        return whole.hexdigest()

    def _texts(self, array: pa.Array) -> None:
        filled = pc.fill_null(array.cast(pa.binary()), b"")
        self._lengths.update(np.asarray(pc.binary_length(filled)).astype("<i8").tobytes())
        _, offsets, data = filled.buffers()
        ends = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
        if len(ends) and data is not None:
            self._values.update(memoryview(data)[int(ends[0]) : int(ends[-1])])


class TableDigest:
    """The hashes of the columns of a table.

    Args:
        schema: Its columns.
    """

    def __init__(self, schema: pa.Schema) -> None:
        """Begin with no row."""
        self._columns = {field.name: ColumnDigest(field.type) for field in schema}
        self.rows = 0

    def update(self, table: pa.Table) -> None:
        """Add rows."""
        for name, column in self._columns.items():
            for chunk in table.column(name).chunks:
                column.update(chunk)
        self.rows += table.num_rows

    def columns(self) -> dict[str, str]:
        """Return the hash of each column."""
        return {name: column.hexdigest() for name, column in self._columns.items()}

    def hexdigest(self) -> str:
        """Return the hash of all columns, with their names and their order."""
        return joined(self.columns())


def joined(columns: dict[str, str]) -> str:
    """Return the hash of the hashes of columns."""
    lines = "\n".join(f"{name} {found}" for name, found in columns.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def _numbers(array: pa.Array) -> Any:  # noqa: ANN401 - NumPy's array of any type
    types, dtype = pa.types, array.type
    if types.is_floating(dtype):
        filled = np.asarray(pc.fill_null(array, 0.0)) + 0.0  # 0.0 of -0.0
        return np.where(np.isnan(filled), np.array(np.nan, filled.dtype), filled)
    if types.is_boolean(dtype):
        return np.asarray(pc.fill_null(array, fill_value=False)).astype(np.uint8)
    if types.is_decimal128(dtype):
        body: Any = memoryview(array.buffers()[1] or b"")
        words: Any = np.frombuffer(body, np.uint64).reshape(-1, 2)[array.offset : array.offset + len(array)]
        valid: Any = np.asarray(pc.is_valid(array))
        return np.where(valid[:, None], words, np.uint64(0))
    if types.is_integer(dtype):
        return np.asarray(pc.fill_null(array, 0)).astype(f"<i{dtype.bit_width // 8}")
    width = pa.int32() if types.is_date32(dtype) else pa.int64()
    return np.asarray(pc.fill_null(array.cast(width), 0))
