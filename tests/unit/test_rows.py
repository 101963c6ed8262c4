"""Rows as bytes: what was encoded comes back."""

from decimal import Decimal

import pyarrow as pa

from asof.arrow.rows import decode_rows, encode_rows
from asof.arrow.types import arrow_type
from asof.definitions.types import parse_type


def test_nulls_around_and_within_structs_come_back():
    kind = arrow_type(parse_type("struct<a: struct<b: decimal(5, 2), c: timestamp>>"))
    values = [None, {"a": None}, {"a": {"b": None, "c": None}}, {"a": {"b": Decimal("1.50"), "c": None}}]
    table = pa.table({"f": pa.array(values, kind)})
    assert decode_rows(encode_rows(table), table.schema).to_pylist() == table.to_pylist()
