"""Names and values as SQL text."""

from collections.abc import Iterable, Sequence
from glob import escape


def quoted(name: str) -> str:
    """Return a column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string as SQL."""
    return "'" + value.replace("'", "''") + "'"


def files(places: Sequence[str]) -> str:
    """Return the rows of Parquet files as a relation: of just these, with no columns but their own.

    Else a folder called "kind=x" would be a column `kind`, in the place of that in the file.
    """
    return f"read_parquet([{', '.join(text(escape(place)) for place in places)}], hive_partitioning = false)"


def listed(numbers: Iterable[int]) -> str:
    """Return numbers as SQL, to stand in parentheses."""
    return ", ".join(map(str, numbers))


def same_key(keys: Sequence[str], one: str, other: str) -> str:
    """Return the condition that rows of two relations have the same key."""
    return " AND ".join(f"{one}.{quoted(key)} = {other}.{quoted(key)}" for key in keys)


def sources_of(journal: str) -> str:
    """Return the name of the registered journal rows of `Rows.sources`."""
    return f"{journal}_sources"
