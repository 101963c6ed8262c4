"""What `--json` prints: documents of JSON types.

Times are RFC 3339 in UTC, decimals text, bytes base64. NaN and infinity have no JSON: they become null.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

Document = Mapping[str, Any]
"""JSON: the foreign edge where Any is honest."""

if TYPE_CHECKING:
    import pyarrow as pa

    from asof.records import Commit
    from asof.registry.plan import Plan

COMMIT_SHAPE: Document = {
    "commit": "weather@1:17",
    "group": "weather@1",
    "number": 17,
    "kind": "write",
    "committed_at": "2026-01-01T12:00:00Z",
    "availability": "commit",
    "rows": 72,
    "unchanged": 0,
    "retired": 0,
    "compared": 72,
    "changed": [{"feature": "temp", "rows": 9}],
    "quarantined": 0,
    "retracts": None,
    "reason": "",
    "meta": {"source": "nightly"},
    "writer": "ana@host",
    "repeated": False,
}

PLAN_SHAPE: Document = {
    "changes": [
        {
            "action": "create",
            "kind": "group",
            "name": "weather",
            "version": 1,
            "details": ["keys origin: string (entity airport)"],
        }
    ],
    "anything": True,
}


def encode(document: object) -> str:
    """Return a document as JSON text."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()


def commit_document(commit: "Commit") -> dict[str, Any]:
    """Return a commit."""
    import msgspec

    from asof.catalog.answers import commit_answer

    return msgspec.to_builtins(commit_answer(commit))


def plan_document(plan: "Plan") -> dict[str, Any]:
    """Return a plan."""
    import msgspec

    from asof.catalog.answers import plan_answer

    return msgspec.to_builtins(plan_answer(plan))


def table_document(table: "pa.Table", *, data: bool, limit: int | None = None) -> dict[str, Any]:
    """Return a table: its rows, its columns, and the values if they are wanted.

    Args:
        table: Any table.
        data: Whether the values are wanted; else `data` is null.
        limit: Values of at most so many rows.
    """
    shown = table if limit is None else table.slice(0, limit)
    return {
        "rows": table.num_rows,
        "columns": {field.name: str(field.type) for field in table.schema},
        "data": whole_microseconds(shown).to_pylist() if data else None,
    }


def whole_microseconds(table: "pa.Table") -> "pa.Table":
    """Return the table with nanoseconds cut off: Python's times have microseconds."""
    import pyarrow as pa

    fields = [
        pa.field(f.name, pa.timestamp("us", tz=f.type.tz)) if pa.types.is_timestamp(f.type) else f for f in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)
