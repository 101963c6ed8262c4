"""Conditions on the columns of a source: which of its events count.

    (col("arr_delay") > 15) & ~col("dest").is_in(["JFK", "LGA"])

A condition is true, false or, where it compares a null, neither, as in SQL; events count for which it is true. Values
are compared exactly, text by its bytes; NaN equals itself and is above all floats.

A document of a condition is nested lists, such as ["and", [">", "arr_delay", 15], ["not", ["null", "dest"]]]. JSON has
no type of its own for floats, decimals, bytes, dates and timestamps: they are {"float": "15.5"} and so on.
"""

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from reprlib import repr as shown  # of what is nested deep
from typing import Any, Literal, NoReturn, TypeGuard, cast, get_args

from asof.clock import from_us, to_us
from asof.errors import NotFoundError, UsageError

Value = bool | int | float | str | bytes | date | datetime | Decimal
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]
Operator = Literal[Comparison, "in", "null", "and", "or", "not"]
Row = Mapping[str, object]
Truth = bool | None

COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)

MOST_VALUES = 1000
"""Of is_in."""

MOST_PARTS = 1000
"""Comparisons of a condition."""

DEEPEST = 50
"""So many conditions may be nested, of and, or, and not."""

HOW = "write & for and, | for or, ~ for not, each comparison in parentheses: (col('x') > 1) & (col('x') < 5)"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, made by `col`; conditions are equal if they are written alike.

    Attributes:
        operator: What it does.
        column: The column of a comparison, of "in" and of "null"; else "".
        values: What is compared with: one value; of "in" some.
        parts: What "and" and "or" join; the one that "not" turns.
    """

    operator: Operator
    column: str = ""
    values: tuple[Value, ...] = ()
    parts: tuple["Condition", ...] = ()
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what would take a machine's stack."""
        object.__setattr__(self, "depth", 1 + max((part.depth for part in self.parts), default=0))
        if self.depth > DEEPEST or len(self.parts) > MOST_PARTS or len(self.values) > MOST_VALUES:
            raise UsageError(
                f"a condition of {len(self.values) or len(self.parts)} parts, {self.depth} deep",
                todo=f"write at most {MOST_VALUES} values, {MOST_PARTS} parts and {DEEPEST} levels",
            )

    def __and__(self, other: "Condition") -> "Condition":
        return _joined("and", self, other)

    def __or__(self, other: "Condition") -> "Condition":
        return _joined("or", self, other)

    def __invert__(self) -> "Condition":
        return Condition("not", parts=(self,))

    def __bool__(self) -> NoReturn:
        raise UsageError(f"{self} has no truth of its own: it has one for each event", todo=HOW)

    def __str__(self) -> str:
        match self.operator:
            case "and" | "or":
                return (" & " if self.operator == "and" else " | ").join(f"({part})" for part in self.parts)
            case "not":
                return f"~({self.parts[0]})"
            case "in":
                return f"{self.column}.is_in({list(self.values)!r})"
            case "null":
                return f"{self.column}.is_null()"
            case sign:
                return f"{self.column} {sign} {self.values[0]!r}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it uses, each once, in the order in which they are written."""
        return tuple(dict.fromkeys(each.column for each in self.leaves()))

    def leaves(self) -> Iterator["Condition"]:
        """Give the conditions that are of a column."""
        if self.column:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def predicate(self) -> Callable[[Row], bool]:
        """Return a function that tells whether the condition is true of a row.

        A row has values by column, as Arrow gives them to Python; a column that it does not have is null.
        """
        truth = _truth(self)
        return lambda row: truth(row) is True

    def check(self, types: Mapping[str, str], *, where: str = "") -> None:
        """Check the columns and the values compared with.

        Args:
            types: The types of the source's columns, as `asof.definitions.types` writes them.
            where: The place, for messages.

        Raises:
            NotFoundError: No such column. UsageError: Its values are of another type.
        """
        for leaf in self.leaves():
            if leaf.column not in types:
                raise NotFoundError.named("column", leaf.column, types, where=where)
            for value in leaf.values:
                if not _is_of(value, types[leaf.column]):
                    raise UsageError(
                        f"{leaf.column} is {types[leaf.column]}, compared with {value!r:.50}", where=where,
                        todo=_advice(types[leaf.column]),
                    )  # fmt: skip

    def document(self) -> list[Any]:
        """Return the condition as a document of JSON."""
        if self.parts:
            return [self.operator, *(part.document() for part in self.parts)]
        return [self.operator, self.column, *map(_value_document, self.values)]


class Column:
    """A column of the source, to be compared with values.

    Args:
        name: Its name.
    """

    __slots__ = ("_name",)
    __hash__ = None  # pyright: ignore[reportAssignmentType] - what == does is no equality

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{name!r} is no column", todo="write col('name')")
        self._name = name

    def __eq__(self, value: object) -> Condition:  # pyright: ignore[reportIncompatibleMethodOverride] - it makes one
        return self._compared("==", value)

    def __ne__(self, value: object) -> Condition:  # pyright: ignore[reportIncompatibleMethodOverride] - it makes one
        return self._compared("!=", value)

    def __lt__(self, value: object) -> Condition:
        return self._compared("<", value)

    def __le__(self, value: object) -> Condition:
        return self._compared("<=", value)

    def __gt__(self, value: object) -> Condition:
        return self._compared(">", value)

    def __ge__(self, value: object) -> Condition:
        return self._compared(">=", value)

    def is_in(self, values: Iterable[object]) -> Condition:
        """Return the condition that the value is one of some."""
        listed = [values] if isinstance(values, str | bytes) else [*values]
        if isinstance(values, str | bytes) or not listed:
            raise UsageError(f"{self!r}.is_in({values!r:.50})", todo="pass a list of values, at least one")
        return Condition("in", self._name, tuple(_canonical(value, self._name) for value in listed))

    def is_null(self) -> Condition:
        """Return the condition that there is no value."""
        return Condition("null", self._name)

    def _compared(self, sign: Comparison, value: object) -> Condition:
        return Condition(sign, self._name, (_canonical(value, self._name),))

    def __repr__(self) -> str:
        return f"col({self._name!r})"

    def __bool__(self) -> NoReturn:
        raise UsageError(f"{self!r} is no condition", todo=f"write {self!r} == True for a column of booleans; {HOW}")

    def _no_condition(self, _: object = None) -> NoReturn:
        bool(self)
        raise AssertionError  # bool raises

    __and__ = __rand__ = __or__ = __ror__ = __invert__ = _no_condition


def col(name: str) -> Column:
    """Return a column of the source, to be compared: `col("arr_delay") > 15`."""
    return Column(name)


def condition_from(document: Sequence[Any]) -> Condition:
    """Return the condition of a document.

    Raises:
        UsageError: It is none.
    """
    return _from(document, 0)


def _from(document: object, depth: int) -> Condition:
    if not _is_list(document) or len(document) < 2 or depth > DEEPEST:  # noqa: PLR2004 - an operator and its object
        raise _no_document(document)
    sign, first, *others = document
    if sign == "not" and not others:
        return Condition("not", parts=(_from(first, depth + 1),))
    if sign in ("and", "or") and others:
        return Condition(sign, parts=tuple(_from(part, depth + 1) for part in (first, *others)))
    if isinstance(first, str) and first:
        if sign == "null" and not others:
            return Condition("null", first)
        if (sign in COMPARISONS and len(others) == 1) or (sign == "in" and others):
            return Condition(sign, first, tuple(_value_from(value) for value in others))
    raise _no_document(document)


def _is_list(document: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(document, list | tuple)


def _no_document(document: object) -> UsageError:
    return UsageError(f"{shown(document)} is no condition")


def _joined(sign: Literal["and", "or"], one: Condition, other: Condition) -> Condition:
    """Join two conditions; what is joined alike already stays one level deep."""
    for part in (one, other):
        if not isinstance(part, Condition):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{part!r:.50} is no condition", todo=HOW)
    return Condition(
        sign, parts=tuple(each for part in (one, other) for each in (part.parts if part.operator == sign else (part,)))
    )


# ---- values


def _canonical(value: object, column: str) -> Value:
    """Return a value as values of columns are; refuse what is none."""
    match value:
        case None:
            raise UsageError(f"{column} is compared with None", todo=f"write col({column!r}).is_null()")
        case Column() | Condition():
            raise UsageError(f"{column} is compared with {value!r:.50}", todo=f"compare columns with values; {HOW}")
        case bool() | bytes():
            return value
        case str():
            return _text(str.__str__(value))
        case numbers.Integral():
            return int(value)
        case float():
            return math.nan if math.isnan(value) else float(value) + 0.0
        case Decimal() if value.is_finite():
            return value
        case datetime():
            return from_us(to_us(value, what=column))
        case date():
            return value
        case _:
            raise UsageError(f"{column} is compared with {type(value).__name__} {value!r:.50}", todo="pass a value")


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{value!r:.50} is no text: {error.reason}") from error
    return value


def _is_of(value: Value, dtype: str) -> bool:
    """Return whether a value is one of a column of a type, or can be without loss."""
    if isinstance(value, bool):
        return dtype == "bool"
    if dtype.startswith("decimal("):
        return isinstance(value, int | Decimal) and _fits(Decimal(value), *_digits(dtype))
    match dtype:
        case "int8" | "int16" | "int32" | "int64":
            return isinstance(value, int) and -(2**63) <= value < 2**63
        case "float32" | "float64":
            return isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**53)
        case "string":
            return isinstance(value, str)
        case "bytes":
            return isinstance(value, bytes)
        case "timestamp":
            return isinstance(value, datetime)
        case "date":
            return isinstance(value, date) and not isinstance(value, datetime)
        case _:
            return False


def _digits(dtype: str) -> tuple[int, int]:
    precision, _, scale = dtype.removeprefix("decimal(").removesuffix(")").partition(",")
    return int(precision), int(scale)


def _fits(value: Decimal, precision: int, scale: int) -> bool:
    _, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    places = -int(exponent) - (len(text) - len(text.rstrip("0")))  # 1.50 has one digit after the point
    return not value or (places <= scale and value.copy_abs() < Decimal(10) ** (precision - scale))


def _advice(dtype: str) -> str:
    match dtype.partition("(")[0]:
        case "timestamp":
            return "compare with an aware datetime"
        case "date":
            return "compare with a datetime.date"
        case "decimal":
            return f"compare with a decimal.Decimal that is a {dtype}, or a whole number"
        case "int8" | "int16" | "int32" | "int64":
            return "compare with a whole number of 64 bits"
        case "float32" | "float64":
            return "compare with a float, or a whole number up to 2**53"
        case "string" | "bytes" | "bool":
            return f"compare with {'True or False' if dtype == 'bool' else 'text' if dtype == 'string' else 'bytes'}"
        case _:
            return "of such columns only is_null() is known"


def _value_document(value: Value) -> object:
    match value:
        case bool() | int() | str():
            return value
        case float():
            return {"float": repr(value)}
        case bytes():
            return {"bytes": value.hex()}
        case datetime():
            return {"timestamp": to_us(value)}
        case Decimal():
            return {"decimal": str(value)}
        case date():
            return {"date": value.isoformat()}


_READ: Mapping[str, Callable[[Any], Value]] = {
    "float": float,
    "bytes": bytes.fromhex,
    "timestamp": from_us,
    "decimal": Decimal,
    "date": date.fromisoformat,
}


def _value_from(document: object) -> Value:
    if isinstance(document, bool | int | str):
        return _canonical(document, "a column")
    parts = [*cast("dict[str, object]", document).items()] if isinstance(document, dict) else []
    if len(parts) == 1:
        [(kind, value)] = parts
        if kind in _READ and isinstance(value, int if kind == "timestamp" else str):
            try:
                return _canonical(_READ[kind](value), "a column")
            except (ValueError, ArithmeticError):
                pass
    raise UsageError(f"{shown(cast('object', document))} is no value of a condition")


# ---- truth


def _truth(condition: Condition) -> Callable[[Row], Truth]:
    """Return what tells whether a condition is true of a row, or false, or neither."""
    column = condition.column
    parts = [_truth(part) for part in condition.parts]
    match condition.operator:
        case "and":
            return lambda row: _first((part(row) for part in parts), wanted=False)
        case "or":
            return lambda row: _first((part(row) for part in parts), wanted=True)
        case "not":
            return lambda row: None if (found := parts[0](row)) is None else not found
        case "null":
            return lambda row: row.get(column) is None
        case "in":
            ranks = frozenset(map(_rank, condition.values))
            return lambda row: None if (value := row.get(column)) is None else _rank(value) in ranks
        case sign:
            compare, rank = _COMPARE[sign], _rank(condition.values[0])
            return lambda row: None if (value := row.get(column)) is None else compare(_rank(value), rank)


def _first(truths: Iterator[Truth], *, wanted: bool) -> Truth:
    """Return the wanted truth if one has it, else whether all are known."""
    known = True
    for truth in truths:
        if truth is wanted:
            return wanted
        known = known and truth is not None
    return (not wanted) if known else None


_COMPARE: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _rank(value: object) -> tuple[bool, object]:
    """Return what values of one type are compared by; numbers of several types are compared exactly."""
    if isinstance(value, float):
        return (True, 0.0) if math.isnan(value) else (False, value)
    return False, value.encode() if isinstance(value, str) else value
