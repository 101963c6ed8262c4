"""Names and values as Spark's SQL text."""

from collections.abc import Iterable, Sequence


def quoted(name: str) -> str:
    """Return a column name as SQL."""
    return "`" + name.replace("`", "``") + "`"


def names(columns: Iterable[str], of: str = "") -> str:
    """Return column names as SQL, of a relation if one is given."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + quoted(name) for name in columns)


def same_key(keys: Sequence[str], one: str, other: str) -> str:
    """Return the condition that rows of two relations have the same key."""
    return " AND ".join(f"{one}.{quoted(key)} = {other}.{quoted(key)}" for key in keys)


def greatest(values: Sequence[str]) -> str:
    """Return the greatest of values that are not null; Spark's function wants two."""
    return values[0] if len(values) == 1 else f"greatest({', '.join(values)})"
