"""Aggregations: a function over a window of one column of events, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asof.errors import NotFoundError, UsageError
from asof.windows import functions, sketches
from asof.windows.conditions import Condition
from asof.windows.functions import Function
from asof.windows.kinds import Window
from asof.windows.users import is_users, users_function


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What is made of the events of a window.

    Attributes:
        name: Of the feature.
        function: One of NAMES, or `module:name` of a user's, see `asof.windows.users`.
        window: Which events count.
        column: The column of the source whose values are taken; None: the events themselves.
        most: How many values, of a function that gives several; of count_distinct up to how many it is exact, 0 for any
            number; else 0.
        where: Of which events; None: of all. Any other is no event of this aggregation, nor of the run of its session.
        q: Which quantile, from 0 to 1; None of other functions.
        digest: Of a user's function: the hash of its module, see `asof.windows.users.source_hash`; "" is not compared.

    Raises:
        NotFoundError: No such function. UsageError: A column or a number that it needs is missing, or has no use.
    """

    name: str
    function: str
    window: Window
    column: str | None = None
    most: int = 0
    where: Condition | None = None
    q: float | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        """Check the parts."""
        where = f"feature {self.name}"
        users = is_users(self.function)
        if self.function not in NAMES and not users:
            raise NotFoundError.named("function", self.function, NAMES, where=where)
        if self.column is None and self.function not in ALONE and not users:
            raise UsageError(f"{self.function} needs a column", where=where)
        wrong = (self.most > 0) != (self.function in SEVERAL) and self.function != "count_distinct"
        if wrong or not 0 <= self.most <= MOST:
            raise UsageError(
                f"{self.function} of {self.most} values", where=where,
                todo=f"say how many values, up to {MOST}, to {', '.join(SEVERAL)}, and to no other",
            )  # fmt: skip
        if (self.q is not None) != (self.function == "quantile"):
            raise UsageError(
                f"{self.function} with q = {self.q}", where=where, todo="say which to quantile, and to no other"
            )
        if self.q is not None:
            sketches.share_of(self.q)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that it uses, each once."""
        own = () if self.column is None else (self.column,)
        return tuple(dict.fromkeys((*own, *(() if self.where is None else self.where.columns))))

    @property
    def approximate(self) -> str:
        """How far off it may be, where it is not exact whatever the events are; else "", which is false."""
        if self.function not in DISTINCT:
            return sketches.BOUNDS.get(self.function, "")
        bound = f"{sketches.BOUNDS['count_distinct']}; exact up to {self.exact_up_to} values"
        return bound if self.exact_up_to else ""

    @property
    def exact_up_to(self) -> int:
        """Up to how many values a distinct count is exact; 0 for any number."""
        return sketches.FEW_DISTINCT if self.function == "count_distinct_approx" else self.most

    def algebra(self, scale: int | None = None) -> Function[Any]:
        """Return the function; the scale is that of `asof.windows.functions.total`, for functions of numbers.

        Raises:
            NotFoundError, UsageError: A user's function cannot be imported. ConflictError: Its module is another one.
        """
        name = self.function
        if name in ALONE:
            return _OF_EVENTS[name](events=self.column is None)
        if name in SEVERAL:
            return _OF_SEVERAL[name](self.most)
        if name in OF_NUMBERS:
            return _OF_NUMBERS[name](scale)
        if self.q is not None:
            return sketches.quantile(self.q)
        if name in DISTINCT and self.exact_up_to:
            return sketches.count_distinct(self.exact_up_to, name=name)
        return users_function(name, self.digest) if is_users(name) else _OF_VALUES[name]()


_OF_EVENTS: Mapping[str, Callable[..., Function[Any]]] = {
    "count": functions.count,
    "since_last": functions.since_last,
}
_OF_SEVERAL: Mapping[str, Callable[[int], Function[Any]]] = {
    "first_k": functions.first_k,
    "last_k": functions.last_k,
    "top_k": functions.top_k,
    "top_k_approx": sketches.top_k,
    "count_by": functions.count_by,
}
_OF_NUMBERS: Mapping[str, Callable[[int | None], Function[Any]]] = {
    "sum": functions.total,
    "mean": functions.mean,
    "variance": functions.variance,
    "stddev": functions.stddev,
}
_OF_VALUES: Mapping[str, Callable[[], Function[Any]]] = {
    "min": functions.least,
    "max": functions.greatest,
    "first": functions.first,
    "last": functions.last,
    "count_distinct": functions.count_distinct,
    "any": functions.any_true,
    "all": functions.all_true,
}

MOST = 100_000

ALONE = tuple(_OF_EVENTS)
"""Functions of events, which take no column; with one they take its values."""

SEVERAL = tuple(_OF_SEVERAL)
"""Functions that give several values: at most so many."""

OF_NUMBERS = tuple(_OF_NUMBERS)

DISTINCT = ("count_distinct", "count_distinct_approx")

NAMES = (*ALONE, *OF_NUMBERS, *SEVERAL, *_OF_VALUES, DISTINCT[1], "quantile")
