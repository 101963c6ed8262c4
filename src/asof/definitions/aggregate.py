"""Aggregates: features that are made of the events of another group, over windows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from asof.definitions.durations import duration_us, show_duration
from asof.definitions.feature import Feature
from asof.definitions.types import DType, parse_type
from asof.errors import NotFoundError, UsageError
from asof.windows.aggregation import ALONE, OF_NUMBERS, Aggregation
from asof.windows.conditions import Condition
from asof.windows.kinds import Window
from asof.windows.users import is_users, source_hash, users_function

Over = str | timedelta | Window
"""A window; a length alone is that of an exact one."""

NUMBERS = frozenset(("int8", "int16", "int32", "int64", "float32", "float64", "decimal"))
ORDERED = NUMBERS | {"bool", "string", "bytes", "date", "timestamp"}
WIDEST = 38


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function of the events of a group, over one window or several: a feature for each window.

    Attributes:
        function: One of `asof.windows.aggregation.NAMES`, or "module:name" of a user's.
        column: The column of the source whose values are taken; None: the events themselves.
        windows: Which events count.
        most: How many values, of a function that gives several; see `Aggregation`.
        where: A condition on the source's columns: other events do not count.
        q: Which quantile.
        name: Of the feature, if there is one window; "": made of the others, such as "amount_sum_24h".
        description: What it says, for people and search.
        unit: Unit of measure.
        tags: Free words for search.

    Raises:
        UsageError: There is no window, or a name for several.
    """

    function: str
    column: str | None
    windows: tuple[Window, ...]
    most: int = 0
    where: Condition | None = None
    q: float | None = None
    name: str = ""
    description: str = ""
    unit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __post_init__(self) -> None:
        """Check the parts."""
        if not self.windows:
            raise UsageError("an aggregate over no window", where=self.function, todo='pass over="6h"')
        if self.name and len(self.windows) > 1:
            todo = "leave out name=, or write an aggregate for each window"
            raise UsageError(
                f"one name, {self.name!r}, for {len(self.windows)} windows", where=self.function, todo=todo
            )

    def features(self, types: Mapping[str, DType], *, where: str) -> tuple[Feature, ...]:
        """Return a feature for each window.

        Args:
            types: The columns of the source with their types.
            where: Which source, for messages.

        Raises:
            NotFoundError: The source has no such column. UsageError: The function does not take its type.
        """
        return tuple(self._feature(window, types, where) for window in self.windows)

    def _feature(self, window: Window, types: Mapping[str, DType], where: str) -> Feature:
        name = self.name or self._named(window)
        digest = source_hash(self.function) if is_users(self.function) else ""
        aggregation = Aggregation(name, self.function, window, self.column, self.most, self.where, self.q, digest)
        return Feature(
            name,
            type_over(aggregation, types, where=where),
            description=self.description,
            unit=self.unit,
            tags=self.tags,
            aggregation=aggregation,
        )

    def _named(self, window: Window) -> str:
        function = re.sub("[.:]", "_", self.function)
        if self.most and "_k" in function:
            function = function.replace("_k", f"_{self.most}")
        if self.q is not None:
            function = f"q{self.q:g}".replace(".", "_")
        return "_".join(filter(None, (self.column, function, window_name(window))))


def windows_of(over: Over | Sequence[Over]) -> tuple[Window, ...]:
    """Return the windows that a user names.

    Raises:
        UsageError: One of them is none.
    """
    several = [over] if isinstance(over, str | timedelta | Window) else over
    return tuple(
        each if isinstance(each, Window) else Window("exact", duration_us(each, what="window")) for each in several
    )


def window_name(window: Window) -> str:
    """Return what a window is called in the names of features: "24h", "24h_hop_1h", "session_30m"."""
    length = _short(window.length_us) if window.length_us else ""
    match window.kind:
        case "exact":
            return length
        case "lifetime":
            return "lifetime"
        case "session":
            return f"session_{length}"
        case _:
            return f"{length}_{window.kind}_{_short(window.hop_us)}"


def told(feature: Feature) -> str:
    """Return how a feature is made, in words; "" if it is a column."""
    made = feature.aggregation
    if made is None:
        return ""
    function = made.function.replace("_k", f"_{made.most}") if made.most else made.function
    if made.q is not None:
        function = f"quantile {made.q:g}"
    length, hop = show_duration(made.window.length_us), show_duration(made.window.hop_us)
    window = {
        "exact": f"the last {length}",
        "hop": f"{length} up to the last multiple of {hop}",
        "sawtooth": f"the last {length} and up to {hop} more",
        "lifetime": "all time",
        "session": f"the session with gaps under {length}",
    }[made.window.kind]
    where = "" if made.where is None else f" where {made.where}"
    about = f", approximate: {made.approximate}" if made.approximate else ""
    return f"{function} of {made.column or 'events'}{where} over {window}{about}"


def _short(length_us: int) -> str:
    """Return a length as people say it: "24h" rather than "1d", "7d" rather than "1w"."""
    day = 86_400_000_000
    return "24h" if length_us == day else show_duration(length_us)


def type_over(aggregation: Aggregation, types: Mapping[str, DType], *, where: str) -> DType:
    """Return the type of an aggregation's values over events with columns of some types; see `Aggregate.features`.

    Raises:
        NotFoundError: The source has no such column. UsageError: The function does not take its type.
    """
    column, where = aggregation.column, f"feature {aggregation.name}, {where}"
    if column is not None and column not in types:
        raise NotFoundError.named("column", column, types, where=where)
    if aggregation.where is not None:
        aggregation.where.check({name: str(dtype) for name, dtype in types.items()}, where=where)
    return result_type(aggregation, None if column is None else types[column])


def result_type(aggregation: Aggregation, of: DType | None) -> DType:
    """Return the type of an aggregation's values.

    Args:
        aggregation: What is made.
        of: The type of its column; None if it has none.

    Raises:
        UsageError: The function takes no values of that type.
    """
    function = aggregation.function
    if is_users(function):
        return parse_type(users_function(function).gives)
    if of is None:
        return DType("int64" if function == "count" else "float64")
    _check_type(aggregation, of)
    match function:
        case "count" | "count_distinct" | "count_distinct_approx":
            return DType("int64")
        case "since_last" | "mean" | "variance" | "stddev" | "quantile":
            return DType("float64")
        case "any" | "all":
            return DType("bool")
        case "sum" if of.name == "decimal":
            return DType("decimal", (WIDEST, of.numbers[1]))
        case "sum":
            return DType("float64" if of.name.startswith("float") else "int64")
        case "first_k" | "last_k":
            return DType("list", (), (("item", of),))
        case "top_k" | "top_k_approx" | "count_by":
            return DType("list", (), (("item", DType("struct", (), (("value", of), ("count", DType("int64"))))),))
        case _:
            return of


def _check_type(aggregation: Aggregation, of: DType) -> None:
    function = aggregation.function
    if function in ALONE or function in ("first", "last"):
        return
    taken, what = ORDERED, "scalars"
    if function in OF_NUMBERS or function == "quantile":
        taken, what = NUMBERS, "numbers"
    elif function in ("any", "all"):
        taken, what = frozenset({"bool"}), "booleans"
    elif function in ("first_k", "last_k"):
        return
    if of.name not in taken:
        where = f"feature {aggregation.name}"
        raise UsageError(f"{function} takes {what}, and {aggregation.column} is {of}", where=where)
