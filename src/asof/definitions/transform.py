"""Transforms that belong to a model: what becomes of features between the store and the model.

They are declared with a view, fitted on the training split by `asof.fitted`, and applied alike in batch and online.
What each of them computes is said in docs/transforms.md.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar, cast

from asof.definitions.types import DType
from asof.errors import NotFoundError, UsageError

Document = dict[str, Any]  # JSON: the foreign edge where Any is honest

Scalar = str | int | float | bool
"""A value that a definition may name: what JSON has."""

WHOLE = frozenset({"bool", "int8", "int16", "int32", "int64"})
NUMBERS = WHOLE | {"float32", "float64", "decimal"}
NAMED = WHOLE | {"string", "date"}
"""Types whose values make readable names of columns."""

LABELS = NAMED | {"bytes"}
"""Types whose values are equal or not, and never a float."""

FLOAT = DType("float64")
GREATEST = sys.float_info.max
LINE = 100
"""Characters of a wrong value that a message shows."""

FEWEST_BUCKETS = 2
MOST_BUCKETS = 1_000_000
STRATEGIES = ("mean", "median", "most_frequent")


class Transform:
    """What becomes of a column of values.

    Attributes:
        kind: Its name in documents.
        takes: The names of the types that it takes.
    """

    __slots__ = ()
    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]] = NUMBERS

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - most give floats, whatever they take
        """Return the type of its values, where it takes those of `dtype`."""
        return FLOAT

    def __str__(self) -> str:
        """Return what people call it: "Clip(high=0.95)"."""
        said = ", ".join(f"{name}={value!r}" for name, value in self.document().items() if name != "kind")
        return f"{type(self).__name__}({said})"

    def document(self) -> Document:
        """Return it as JSON types: its kind, and what is not the default."""
        said = {f.name: getattr(self, f.name) for f in fields(cast("Any", self))}
        defaults = {f.name: f.default for f in fields(cast("Any", self))}
        return {"kind": self.kind} | {
            name: list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
            for name, value in said.items()
            if value != defaults[name] or type(value) is not type(defaults[name])
        }


@dataclass(frozen=True, slots=True)
class Standard(Transform):
    """(x - mean) / standard deviation, that of a population; of a constant column x - mean."""

    kind = "standard"


@dataclass(frozen=True, slots=True)
class MinMax(Transform):
    """From `low` at the least value of training to `high` at the greatest; of a constant column x - least + low.

    Attributes:
        low: Where the least value goes.
        high: Where the greatest goes.
        clip: Whether values beyond those of training stay within [low, high].
    """

    low: float = 0.0
    high: float = 1.0
    clip: bool = False
    kind = "minmax"

    def __post_init__(self) -> None:
        """Check the range."""
        _to_floats(self, "low", "high")
        if not isinstance(self.clip, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"clip={self.clip!r} is neither True nor False", where="MinMax")
        if self.low >= self.high:
            raise UsageError(f"low {self.low} is not below high {self.high}", where=str(self))


@dataclass(frozen=True, slots=True)
class Robust(Transform):
    """(x - median) / (quantile `high` - quantile `low`); where both quantiles are equal, x - median.

    Attributes:
        low: The share of values below the lower quantile.
        high: That below the upper one.
    """

    low: float = 0.25
    high: float = 0.75
    kind = "robust"

    def __post_init__(self) -> None:
        """Check the shares."""
        _check_shares(self)


@dataclass(frozen=True, slots=True)
class Clip(Transform):
    """Values below the quantile `low` become it, those above the quantile `high` become that; infinite ones, too.

    Attributes:
        low: The share of values below the lower quantile; None leaves the side open.
        high: That below the upper one; None leaves the side open.
    """

    low: float | None = 0.01
    high: float | None = 0.99
    kind = "clip"

    def __post_init__(self) -> None:
        """Check the shares."""
        if self.low is None and self.high is None:
            raise UsageError("a clip with no bound", where=str(self), todo="pass low=0.01, high=0.99 or both")
        _check_shares(self)


@dataclass(frozen=True, slots=True)
class Log(Transform):
    """ln(x + plus); null where x + plus is 0 or less.

    Attributes:
        plus: What is added first; 1.0 is computed as log1p(x).
    """

    plus: float = 1.0
    kind = "log"

    def __post_init__(self) -> None:
        """Check the number."""
        _to_floats(self, "plus")


@dataclass(frozen=True, slots=True)
class Bucket(Transform):
    """How many edges are at or below x: 0 below the first one, 1 from the first up to the second.

    Attributes:
        edges: Where buckets begin, rising; () makes them of the training split.
        count: How many buckets that hold about as many values each; None if there are edges. Equal edges are one.
    """

    edges: tuple[float, ...] = ()
    count: int | None = None
    kind = "bucket"

    def __init__(self, edges: Iterable[float] = (), *, count: int | None = None) -> None:
        """Check and keep the edges."""
        given = tuple(_number(edge, "an edge", "Bucket") for edge in edges)
        where = f"Bucket({list(given)})"
        if bool(given) == (count is not None):
            todo = "write Bucket([0, 15, 60]), or Bucket(count=10)"
            raise UsageError("edges, or a count: one of both", where=where, todo=todo)
        if any(a >= b for a, b in pairwise(given)):
            raise UsageError("edges must rise", where=where)
        if count is not None:
            _check_count(count, f"Bucket(count={count!r})", 1000)
        object.__setattr__(self, "edges", given)
        object.__setattr__(self, "count", count)

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - the same of all numbers
        """Return the type of the numbers of buckets."""
        return DType("int64")


@dataclass(frozen=True, slots=True)
class OneHot(Transform):
    """A column of 0 and 1 for each category, named `feature=category`; all are 0 for others, and for a null.

    Attributes:
        most: So many categories at most, the most frequent; None for all, which may be 1,000.
        categories: The categories, if they are not those of the training split.
    """

    most: int | None = None
    categories: tuple[Scalar, ...] = ()
    kind = "onehot"
    takes = NAMED

    def __init__(self, most: int | None = None, *, categories: Iterable[Scalar] = ()) -> None:
        """Check and keep the parts."""
        object.__setattr__(self, "most", most)
        object.__setattr__(self, "categories", _labels(categories, "OneHot"))
        if most is not None:
            _check_count(most, f"OneHot(most={most!r})", MOST_BUCKETS, fewest=1)
            if self.categories:
                raise UsageError(
                    "most= says nothing of given categories", where=str(self), todo="leave one of both out"
                )

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - the same of all categories
        """Return the type of 0 and 1."""
        return DType("int8")


@dataclass(frozen=True, slots=True)
class Ordinal(Transform):
    """The place of a category among those of the training split in their order, from 0; a null stays null.

    Attributes:
        unknown: What others become; None: null.
        categories: The categories in the order that is meant, if it is not that of their values.
    """

    unknown: int | None = -1
    categories: tuple[Scalar, ...] = ()
    kind = "ordinal"
    takes = LABELS

    def __init__(self, unknown: int | None = -1, *, categories: Iterable[Scalar] = ()) -> None:
        """Check and keep the parts."""
        if unknown is not None and (isinstance(unknown, bool) or not isinstance(unknown, int)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"unknown={unknown!r} is no integer", where="Ordinal", todo="pass -1, or None for a null")
        object.__setattr__(self, "unknown", unknown)
        object.__setattr__(self, "categories", _labels(categories, "Ordinal"))
        if unknown is not None and 0 <= unknown < len(self.categories):
            raise UsageError(f"unknown={unknown} is the place of {self.categories[unknown]!r}", where=str(self))

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - the same of all categories
        """Return the type of places."""
        return DType("int64")


@dataclass(frozen=True, slots=True)
class Hashing(Transform):
    """A bucket from 0 by a hash of the value, the same everywhere; nothing is fitted, and a null stays null.

    Attributes:
        buckets: How many; different values may share one.
    """

    buckets: int = 1024
    kind = "hashing"
    takes = LABELS

    def __post_init__(self) -> None:
        """Check the number."""
        _check_count(self.buckets, f"Hashing(buckets={self.buckets!r})", 2**31)

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - the same of all values
        """Return the type of buckets."""
        return DType("int64")


@dataclass(frozen=True, slots=True)
class Impute(Transform):
    """What a null becomes: the mean, the median or the most frequent value of the training split, or a given one.

    Attributes:
        strategy: "mean", "median", "most_frequent" (of several the least), or "constant"; a number is a value.
        value: What a null becomes, if it is given.
    """

    strategy: str = "mean"
    value: Scalar | None = None
    kind = "impute"

    def __init__(self, strategy: str | float = "mean", *, value: Scalar | None = None) -> None:
        """Tell a strategy from a value."""
        if not isinstance(strategy, str) and value is None and strategy is not None:  # pyright: ignore[reportUnnecessaryComparison] - callers err
            strategy, value = "constant", strategy
        elif value is not None and strategy in ("mean", "constant"):  # it was left out, or read from a document
            strategy = "constant"
        elif strategy not in STRATEGIES or value is not None:
            todo = 'pass "mean", "median", "most_frequent", a number, or value="a text"'
            raise UsageError(f"{strategy!r} is no way to impute", where="Impute", todo=todo)
        if value is not None:
            _labels([value], "Impute")
        object.__setattr__(self, "strategy", strategy)
        object.__setattr__(self, "value", value)

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride] - a value tells its type
        """The types that it takes: a value is of few."""
        match self.value:
            case None:
                return NUMBERS if self.strategy in ("mean", "median") else LABELS | {"float32", "float64"}
            case bool():
                return frozenset({"bool"})
            case str():
                return frozenset({"string"})
            case int():
                return NUMBERS - {"bool", "decimal"}
            case float():
                return frozenset({"float32", "float64"})

    def gives(self, dtype: DType) -> DType:
        """Return the type of its values: that of the column, and of a mean or a median float64."""
        return FLOAT if self.strategy in ("mean", "median") else dtype


BUILT_IN: Mapping[str, type[Transform]] = {
    each.kind: each for each in (Standard, MinMax, Robust, Clip, Log, Bucket, OneHot, Ordinal, Hashing, Impute)
}


def built_in_from(document: Mapping[str, Any]) -> Transform:
    """Return the transform of a document.

    Raises:
        NotFoundError: There is no such kind. UsageError: Its parts are none of that kind.
    """
    parts = dict(document)
    kind = str(parts.pop("kind", ""))
    if kind not in BUILT_IN:
        raise NotFoundError.named("transform", kind, BUILT_IN)
    try:
        return BUILT_IN[kind](**parts)
    except TypeError as error:
        raise UsageError(f"this is no transform: {error}", where=kind) from error


def _number(value: object, what: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -GREATEST <= value <= GREATEST:
        raise UsageError(f"{what} is {repr(value)[:LINE]}, no finite number", where=where)
    return float(value)


def _to_floats(transform: Transform, *names: str) -> None:
    for name in names:
        number = _number(getattr(transform, name), name, type(transform).__name__)
        object.__setattr__(transform, name, number)


def _check_shares(transform: Robust | Clip) -> None:
    where = type(transform).__name__
    for name in ("low", "high"):
        if getattr(transform, name) is not None:
            _to_floats(transform, name)
    low = 0.0 if transform.low is None else transform.low
    high = 1.0 if transform.high is None else transform.high
    if not 0 <= low < high <= 1:
        todo = "pass shares of the values from 0 to 1, such as 0.01 and 0.99"
        raise UsageError(f"low={transform.low}, high={transform.high} are no quantiles", where=where, todo=todo)


def _check_count(value: object, where: str, most: int, *, fewest: int = FEWEST_BUCKETS) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not fewest <= value <= most:
        raise UsageError(f"{value!r} is no integer from {fewest} to {most:,}", where=where)


def _labels(given: Iterable[Scalar], where: str) -> tuple[Scalar, ...]:
    """Return values that a definition names.

    Raises:
        UsageError: One is no text, number or bool; they are of several types; or one stands there twice.
    """
    if isinstance(given, str):
        raise UsageError(f"categories={given!r} is one text", where=where, todo="pass a list of them")
    found = tuple(given)
    for each in found:
        number = isinstance(each, int | float) and -GREATEST <= each <= GREATEST
        if not number and not isinstance(each, str):
            raise UsageError(f"{repr(each)[:LINE]} is no text, number or bool", where=where)
    if len({type(each) for each in found}) > 1:
        raise UsageError("the categories are of several types", where=where)
    if len(set(found)) < len(found):
        raise UsageError("a category stands there twice", where=where)
    return found
