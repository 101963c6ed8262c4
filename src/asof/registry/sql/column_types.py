"""Column types that mean the same in every database: texts compare by their characters, and nothing is cut off."""

from typing import Any

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT, VARBINARY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.sql.type_api import TypeEngine

MYSQL = ("mysql", "mariadb")

TEXT: TypeEngine[str] = Text().with_variant(LONGTEXT(), *MYSQL)
"""Text of any length; never part of an index."""

BYTES: TypeEngine[bytes] = LargeBinary().with_variant(LONGBLOB(), *MYSQL)
"""Bytes of any length; never part of an index."""

DIGEST: TypeEngine[bytes] = LargeBinary().with_variant(VARBINARY(16), *MYSQL)
"""16 bytes, which may be part of an index."""


def short_text(length: int) -> TypeEngine[str]:
    """Return the type of a short text, which may be part of an index, and is ordered by its characters.

    In MySQL the collation is that of the table; see `dialects`.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Constant(FunctionElement[str]):
    """A text as default of a column of type `TEXT`."""

    inherit_cache = False

    def __init__(self, value: str) -> None:
        """Keep the value, which has no quotes."""
        super().__init__()
        self.value = value


@compiles(Constant)
def _constant(element: Constant, _compiler: Any, **_: object) -> str:  # noqa: ANN401 - a compiler of SQLAlchemy
    return f"'{element.value}'"


@compiles(Constant, *MYSQL)
def _constant_of_mysql(element: Constant, _compiler: Any, **_: object) -> str:  # noqa: ANN401 - as above
    return f"('{element.value}')"
