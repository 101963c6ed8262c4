"""What a feature may be made of: functions over windows of another group's events.

    from asof.aggregates import Count, LastK, Mean, session

    carrier_delay = FeatureGroup(
        "carrier_delay",
        entity=carrier,
        source=arrivals,  # a group whose rows are events
        features=[Mean("arr_delay", over=["6h", "7d"]), Count(over="1h"), LastK("dest", 5, over=session(gap="30m"))],
    )

Each window makes a feature, named after it: `arr_delay_mean_6h`, `arr_delay_mean_7d`, `count_1h`. A window is a length
of time, which means `exact`, or one of the functions below. `docs/windows.md` shows what they hold.

Source: SEMANTICS section 4.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, TypedDict, Unpack

from asof.definitions.aggregate import Aggregate, Over, windows_of
from asof.definitions.durations import duration_us
from asof.errors import UsageError
from asof.windows.conditions import Condition, col
from asof.windows.kinds import Window
from asof.windows.users import is_users

__all__ = [
    "All",
    "Any",
    "Count",
    "CountBy",
    "CountDistinct",
    "CountDistinctApprox",
    "Custom",
    "First",
    "FirstK",
    "Last",
    "LastK",
    "Max",
    "Mean",
    "Min",
    "Quantile",
    "SinceLast",
    "Stddev",
    "Sum",
    "TopK",
    "TopKApprox",
    "Variance",
    "col",
    "exact",
    "hop",
    "lifetime",
    "sawtooth",
    "session",
]

Length = str | timedelta


def exact(length: Length) -> Window:
    """Return the window of the last `length` before T, to the microsecond: (T - length, T]."""
    return Window("exact", duration_us(length, what="window"))


def hop(length: Length, *, every: Length) -> Window:
    """Return the window that ends at the last multiple of `every`: (floor(T) - length, floor(T)]."""
    return Window("hop", duration_us(length, what="window"), duration_us(every, what="hop"))


def sawtooth(length: Length, *, every: Length) -> Window:
    """Return the window up to T that begins at a multiple of `every`: (floor(T - length), T]."""
    return Window("sawtooth", duration_us(length, what="window"), duration_us(every, what="hop"))


def lifetime() -> Window:
    """Return the window of all events up to T."""
    return Window("lifetime")


def session(*, gap: Length) -> Window:
    """Return the window of the run of events that still goes on: each came less than `gap` after the one before."""
    return Window("session", duration_us(gap, what="gap"))


class About(TypedDict, total=False):
    """What else may be said of an aggregate.

    Attributes:
        where: A condition on the source's columns, such as `col("arr_delay") > 15`: other events do not count.
        name: Of the feature, if there is one window.
        description: What it says, for people and search.
        unit: Unit of measure.
        tags: Free words for search.
    """

    where: Condition
    name: str
    description: str
    unit: str
    tags: Mapping[str, str]


class _OfEvents(Aggregate):
    """A function of the events, or of those that have a value in a column of the source, over one window or several."""

    of: ClassVar[str]

    def __init__(self, column: str | None = None, *, over: Over | Sequence[Over], **about: Unpack[About]) -> None:
        super().__init__(self.of, column, windows_of(over), **about)


class _OfValues(Aggregate):
    """A function of the values of a column of the source, over one window or several."""

    of: ClassVar[str]

    def __init__(self, column: str, *, over: Over | Sequence[Over], **about: Unpack[About]) -> None:
        super().__init__(self.of, column, windows_of(over), **about)


class _Several(Aggregate):
    """A function that gives a list of at most `most` values of a column of the source."""

    of: ClassVar[str]

    def __init__(self, column: str, most: int, *, over: Over | Sequence[Over], **about: Unpack[About]) -> None:
        super().__init__(self.of, column, windows_of(over), most, **about)


class Count(_OfEvents):
    """How many events there are, or how many values of a column; 0 of none."""

    of = "count"


class SinceLast(_OfEvents):
    """Seconds since the last event, or the last value of a column; null of none."""

    of = "since_last"


class Sum(_OfValues):
    """The sum: int64, a decimal of 38 digits, or a float64 that is rounded once; 0 of no values."""

    of = "sum"


class Mean(_OfValues):
    """The mean, a float64 that is rounded once; null of no values."""

    of = "mean"


class Variance(_OfValues):
    """The sample variance, rounded once; null of less than two values."""

    of = "variance"


class Stddev(_OfValues):
    """The square root of the sample variance; null of less than two values."""

    of = "stddev"


class Min(_OfValues):
    """The least value; null of none."""

    of = "min"


class Max(_OfValues):
    """The greatest value, NaN above all; null of none."""

    of = "max"


class First(_OfValues):
    """The value of the first event that has one; null of none."""

    of = "first"


class Last(_OfValues):
    """The value of the last event that has one; null of none."""

    of = "last"


class CountDistinct(_OfValues):
    """How many different values there are; 0 of none. Keeps them all: for many, take `CountDistinctApprox`."""

    of = "count_distinct"


class CountDistinctApprox(_OfValues):
    """About how many different values there are, by a sketch of bounded size; `describe` states the bound."""

    of = "count_distinct_approx"


class Quantile(Aggregate):
    """About which value a share `q` of the values does not exceed, by a sketch; `describe` states the bound."""

    def __init__(self, column: str, q: float, *, over: Over | Sequence[Over], **about: Unpack[About]) -> None:
        super().__init__("quantile", column, windows_of(over), q=q, **about)


class Custom(Aggregate):
    """What a function of your own makes: a `Function` in a module that can be imported, see `asof.windows.users`.

    The module's hash is part of the version of the group: with other source, apply the group again. A server takes none
    from a client.
    """

    def __init__(
        self, function: str, column: str | None = None, *, over: Over | Sequence[Over], **about: Unpack[About]
    ) -> None:
        if not is_users(function):
            todo = 'name it "module:name", or use an aggregate of asof.aggregates'
            raise UsageError(f"{function!r} is no function of yours", todo=todo)
        super().__init__(function, column, windows_of(over), **about)


class Any(_OfValues):
    """Whether a value is true; False of none."""

    of = "any"


class All(_OfValues):
    """Whether no value is false; True of none."""

    of = "all"


class FirstK(_Several):
    """The values of the first `most` events that have one; [] of none."""

    of = "first_k"


class LastK(_Several):
    """The values of the last `most` events that have one, the last of them last; [] of none."""

    of = "last_k"


class TopK(_Several):
    """The `most` most frequent values with their counts; [] of none."""

    of = "top_k"


class TopKApprox(_Several):
    """About the `most` most frequent values with their counts, by a sketch; `describe` states the bound."""

    of = "top_k_approx"


class CountBy(_Several):
    """All values with their counts, the least first; an error if there are more than `most` of them."""

    of = "count_by"
