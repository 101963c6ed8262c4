"""Conditions of `asof.windows.conditions` as SQL text."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from asof.arrow.types import inferred_type
from asof.clock import to_us
from asof.engine.literals import quoted, text
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import Condition, Value

SIGNS: Mapping[str, str] = {"==": "=", "!=": "<>"}


def as_sql(condition: Condition, schema: pa.Schema) -> str:
    """Return a condition on columns of a schema as SQL, in parentheses: true, false, or null.

    Args:
        condition: The condition, checked.
        schema: The columns.
    """
    parts = [as_sql(part, schema) for part in condition.parts]
    match condition.operator:
        case "and" | "or":
            return "(" + f" {condition.operator.upper()} ".join(parts) + ")"
        case "not":
            return f"(NOT {parts[0]})"
        case "null":
            return f"({quoted(condition.column)} IS NULL)"
        case "in":
            column, values = _compared(condition, schema)
            return f"({column} IN ({', '.join(values)}))"
        case sign:
            column, values = _compared(condition, schema)
            return f"({column} {SIGNS.get(sign, sign)} {values[0]})"


def check(aggregations: Iterable[Aggregation], schema: pa.Schema) -> None:
    """Check conditions of aggregations over columns of a schema; see `Condition.check`."""
    if wheres := [(each.name, each.where) for each in aggregations if each.where is not None]:
        types = {field.name: str(inferred_type(field.type)) for field in schema}
        for name, where in wheres:
            where.check(types, where=f"feature {name}")


def _compared(condition: Condition, schema: pa.Schema) -> tuple[str, list[str]]:
    """Return a column and values in one type, into which the column goes without loss."""
    name, of = quoted(condition.column), schema.field(condition.column).type
    target, column = "", name
    if pa.types.is_floating(of):
        # DuckDB 2.0 believes the statistics of Parquet, which leave NaN out: "x < 1" it takes for always true.
        target, column = "DOUBLE", f"CASE WHEN isnan({name}) THEN 'nan'::DOUBLE ELSE {name}::DOUBLE END"
    elif pa.types.is_integer(of):
        target, column = "BIGINT", f"{name}::BIGINT"
    elif pa.types.is_decimal(of):
        target = f"DECIMAL({of.precision}, {of.scale})"
    elif pa.types.is_timestamp(of):
        target, column = "BIGINT", f"epoch_us({name})"
    return column, [_literal(value, target) for value in condition.values]


def _literal(value: Value, target: str) -> str:
    """Return a value as SQL of a type; "" for the type that it has by itself."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return text(value)
        case bytes():
            return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
        case Decimal():
            return f"'{value:f}'::{target}"
        case datetime():
            return f"'{to_us(value)}'::{target}"
        case date():
            return f"'{value.isoformat()}'::DATE"
        case int() | float():
            return f"'{value!r}'::{target}"
