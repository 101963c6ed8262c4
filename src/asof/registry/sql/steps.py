"""The steps of migrations. Each is left out if it is done: in MySQL a step is durable at once, and the next may fail.

With the types of `column_types`, a migration is right in every database.
"""

from typing import Any

from alembic import op
from sqlalchemy import Column, inspect
from sqlalchemy.schema import SchemaItem


def add_column(table: str, column: Column[Any]) -> None:
    """Add a column."""
    if column.name not in {each["name"] for each in inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def create_table(table: str, *items: SchemaItem) -> None:
    """Create a table."""
    if not inspect(op.get_bind()).has_table(table):
        op.create_table(table, *items)


def create_index(index: str, table: str, columns: list[str], **options: Any) -> None:  # noqa: ANN401 - those of Alembic
    """Create an index."""
    if index not in {each["name"] for each in inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(index, table, columns, **options)
