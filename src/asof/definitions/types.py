"""The types a feature or a key may have, as pure values; `asof.arrow.types` maps them to Arrow.

    bool  int8 int16 int32 int64  float32 float64  string bytes  date timestamp
    decimal(38, 2)  list<T>  vector<float32, 128>  struct<a: int64, b: string>

Timestamps are UTC microseconds. A `vector` has a fixed length (embeddings).
"""

import re
from dataclasses import dataclass

from asof.errors import UsageError

SCALARS = frozenset(
    "bool int8 int16 int32 int64 float32 float64 string bytes date timestamp".split()  # noqa: SIM905 - reads as the docstring does
)
KEY_TYPES = frozenset("bool int8 int16 int32 int64 string bytes date timestamp".split())  # noqa: SIM905 - read as a list
MAX_DECIMAL_DIGITS = 38
LINE = 200
"""Characters of a wrong type that a message shows."""

LONGEST = 100_000
"""Characters of a type's text: a struct of some thousand fields."""

LONGEST_VECTOR = 16_384
"""Embeddings have some thousand numbers; DuckDB holds 2,048 vectors at a time."""

DEEPEST = 8
"""So many types may be nested: DuckDB takes twice as long for each list in a list."""

TOKEN = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*|\d+|[<>(),:])")


@dataclass(frozen=True, slots=True)
class DType:
    """A type: its name and what it is made of.

    Attributes:
        name: A scalar's name, or "decimal", "list", "vector", "struct".
        numbers: (precision, scale) of a decimal; (length,) of a vector.
        fields: Element types: one for list and vector (named "item"), all named ones of a struct.
    """

    name: str
    numbers: tuple[int, ...] = ()
    fields: tuple[tuple[str, "DType"], ...] = ()

    def __str__(self) -> str:
        """Return the text that `parse_type` reads back."""
        match self.name:
            case "decimal":
                return f"decimal({self.numbers[0]}, {self.numbers[1]})"
            case "list":
                return f"list<{self.fields[0][1]}>"
            case "vector":
                return f"vector<{self.fields[0][1]}, {self.numbers[0]}>"
            case "struct":
                return "struct<" + ", ".join(f"{n}: {t}" for n, t in self.fields) + ">"
            case _:
                return self.name


class _Parser:
    """Recursive descent over the tokens of one type text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0
        if len(text) > LONGEST:
            raise self.error()
        found: list[str] = TOKEN.findall(text)
        if "".join(found) != "".join(text.split()):
            raise self.error()
        self.tokens = found[::-1]

    def error(self) -> UsageError:
        return UsageError(
            f"{self.text if len(self.text) < LINE else self.text[:LINE] + '...'!r} is no type",
            todo="use one of " + ", ".join(sorted(SCALARS)) + ", decimal(p, s), list<T>, vector<T, n>, struct<a: T>",
        )

    def take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self.tokens[-1] != expected):
            raise self.error()
        return self.tokens.pop()

    def number(self) -> int:
        token = self.take()
        if not token.isdigit() or len(token) > len(str(LONGEST_VECTOR)):
            raise self.error()
        return int(token)

    def type(self) -> DType:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error()
        found = self.one()
        self.depth -= 1
        return found

    def one(self) -> DType:
        name = self.take()
        if name in SCALARS:
            return DType(name)
        match name:
            case "decimal":
                self.take("(")
                precision = self.number()
                self.take(",")
                scale = self.number()
                self.take(")")
                if not (1 <= precision <= MAX_DECIMAL_DIGITS and scale <= precision):
                    raise self.error()
                return DType("decimal", (precision, scale))
            case "list":
                self.take("<")
                item = self.type()
                self.take(">")
                return DType("list", (), (("item", item),))
            case "vector":
                self.take("<")
                item = self.type()
                self.take(",")
                length = self.number()
                self.take(">")
                if not 1 <= length <= LONGEST_VECTOR:
                    raise self.error()
                return DType("vector", (length,), (("item", item),))
            case "struct":
                return self.struct()
            case _:
                raise self.error()

    def struct(self) -> DType:
        fields: list[tuple[str, DType]] = []
        separator = self.take("<")
        while separator != ">":
            name = self.take()
            if not name.isidentifier():
                raise self.error()
            self.take(":")
            fields.append((name, self.type()))
            separator = self.take()
            if separator not in (",", ">"):
                raise self.error()
        if len({n.lower() for n, _ in fields}) != len(fields):  # DuckDB takes a and A for one
            raise self.error()
        return DType("struct", (), tuple(fields))


def parse_type(text: str | DType) -> DType:
    """Return the type that a text names.

    Raises:
        UsageError: The text names no type.
    """
    if isinstance(text, DType):
        return text
    parser = _Parser(text)
    parsed = parser.type()
    if parser.tokens:
        raise parser.error()
    return parsed
