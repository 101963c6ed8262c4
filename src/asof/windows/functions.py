"""The algebra: what is made of the events of a window.

A function turns each event into a state (`prepare`), joins the states of two sets of events that share none (`merge`),
and says what a state comes to (`finish`). Some can also take events out of a state (`remove`). States are plain values
that are never changed in place. They come to the same for the same events, in whatever order these came and however
they were divided: `merge` is associative and commutative.

A null is no value: no function counts it, but for those of events. What a function makes of no values is its empty
value: 0 of counts and sums, False of any, True of all, [] of lists, null of the others.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Generic, NamedTuple, TypeVar, cast

from asof.errors import DataError, UsageError
from asof.windows.exact import UNIT, FloatSum, float_sum, rounded, sum_of

S = TypeVar("S")
Order = tuple[object, ...]
Counts = Mapping[Order, tuple[object, int]]

LEAST, GREATEST = -(2**63), 2**63 - 1
SECOND_US = 1_000_000
DIGITS = 38


class Event(NamedTuple):
    """An event as functions see it.

    Attributes:
        time_us: When it happened.
        identity: The bytes of its source's key, whose order is that of keys: with its time it is told from all others.
        value: Of the function's column; None is null. Floats are canonical: one NaN, no -0.0.
    """

    time_us: int
    identity: bytes
    value: object = None


@dataclass(frozen=True)
class Function(Generic[S]):
    """A function over the events of a window.

    Attributes:
        name: As features and messages call it.
        empty: The state of no events.
        prepare: Makes the state of one event; None if it has no value. Raises DataError for a value that is not taken.
        merge: Joins the states of two sets of events that share none.
        finish: Says what a state comes to at a time (microseconds); None is null. Raises DataError if it does not fit.
        remove: Takes the second state out of the first, which holds it; None if that cannot be done.
        gather: Makes the state of many events, if there is a quicker way than to add one after the other.
        gives: The type of what it comes to, as `asof.definitions.types` writes it; "" of functions of ours, where it
            follows from that of the column.
    """

    name: str
    empty: S
    prepare: Callable[[Event], S | None]
    merge: Callable[[S, S], S]
    finish: Callable[[S, int], object]
    remove: Callable[[S, S], S] | None = None
    gather: Callable[[Iterable[Event]], S] | None = None
    gives: str = ""

    def add(self, state: S, event: Event) -> S:
        """Return the state with an event."""
        part = self.prepare(event)
        return state if part is None else self.merge(state, part)

    def of(self, events: Iterable[Event]) -> S:
        """Return the state of events."""
        if self.gather is not None:
            return self.gather(events)
        state = self.empty
        for event in events:
            state = self.add(state, event)
        return state


# ---- counts and truths


def count(*, events: bool = True) -> Function[int]:
    """Return how many events there are; else how many values."""
    return Function(
        "count",
        0,
        prepare=lambda event: 1 if events or event.value is not None else None,
        merge=lambda one, other: one + other,
        finish=lambda state, _: state,
        remove=lambda state, part: state - part,
        gather=lambda found: sum(1 for event in found if events or event.value is not None),
    )


def any_true() -> Function[tuple[int, int]]:
    """Return whether a value is true."""
    return _truths("any", lambda state, _: state[0] > 0)


def all_true() -> Function[tuple[int, int]]:
    """Return whether no value is false."""
    return _truths("all", lambda state, _: state[0] == state[1])


def _truths(name: str, finish: Callable[[tuple[int, int], int], object]) -> Function[tuple[int, int]]:
    """Return a function of how many are true, and how many there are."""

    def prepare(event: Event) -> tuple[int, int] | None:
        if event.value is None:
            return None
        if isinstance(event.value, bool):
            return int(event.value), 1
        raise _refused(name, "booleans", event.value)

    return Function(
        name,
        (0, 0),
        prepare,
        merge=lambda one, other: (one[0] + other[0], one[1] + other[1]),
        finish=finish,
        remove=lambda state, part: (state[0] - part[0], state[1] - part[1]),
    )


# ---- sums


class Moments(NamedTuple):
    """Sums of values, exact.

    Attributes:
        many: How many values.
        total: Their sum: of integers and decimals in units of their last digit, of floats in units of 2**-1074.
        squares: The sum of their squares, in the square of that unit; 0 where nobody asks.
    """

    many: int
    total: FloatSum
    squares: int

    def plus(self, other: "Moments") -> "Moments":
        """Return both together."""
        return Moments(self.many + other.many, self.total.plus(other.total), self.squares + other.squares)

    def minus(self, other: "Moments") -> "Moments":
        """Return what is left without the other."""
        return Moments(self.many - other.many, self.total.minus(other.total), self.squares - other.squares)


def total(scale: int | None = None) -> Function[Moments]:
    """Return the sum: of integers 64 bits wide, of decimals as wide as they get, of floats rounded once.

    Args:
        scale: Digits after the point of decimals; 0 of integers; None of floats.
    """

    def finish(state: Moments, _: int) -> object:
        units = state.total.units
        if scale is None:
            return rounded(units, UNIT) if state.total.odd is None else state.total.odd
        if scale == 0:
            if not LEAST <= units <= GREATEST:
                raise DataError(f"the sum {units} does not fit int64", todo="declare the column as float64")
            return units
        if abs(units) >= 10**DIGITS:
            raise DataError(f"the sum has more than {DIGITS} digits", todo="declare the column as float64")
        return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -scale))

    return _moments("sum", scale, finish)


def mean(scale: int | None = None) -> Function[Moments]:
    """Return the mean, a float64 that is rounded once; null of no values. The scale is that of `total`."""

    def finish(state: Moments, _: int) -> float | None:
        if not state.many:
            return None
        if state.total.odd is not None:
            return state.total.odd
        return rounded(state.total.units, state.many * _unit(scale))

    return _moments("mean", scale, finish)


def variance(scale: int | None = None) -> Function[Moments]:
    """Return the sample variance, a float64 that is rounded once; null of less than two values."""
    return _moments("variance", scale, lambda state, _: _variance(state, scale), squares=True)


def stddev(scale: int | None = None) -> Function[Moments]:
    """Return the square root of the sample variance."""

    def finish(state: Moments, _: int) -> float | None:
        found = _variance(state, scale)
        return None if found is None else math.sqrt(found)

    return _moments("stddev", scale, finish, squares=True)


def _variance(state: Moments, scale: int | None) -> float | None:
    if state.many < 2:  # noqa: PLR2004 - a sample
        return None
    if state.total.odd is not None:
        return math.nan
    spread = state.many * state.squares - state.total.units**2
    return rounded(spread, state.many * (state.many - 1) * _unit(scale) ** 2)


def _unit(scale: int | None) -> int:
    return UNIT if scale is None else 10**scale


def _moments(
    name: str, scale: int | None, finish: Callable[[Moments, int], object], *, squares: bool = False
) -> Function[Moments]:
    def prepare(event: Event) -> Moments | None:
        value = event.value
        if value is None:
            return None
        if scale is None and isinstance(value, float):
            summed = float_sum(value)
        elif scale == 0 and isinstance(value, int):
            summed = FloatSum(int(value))
        elif scale and isinstance(value, Decimal):
            summed = FloatSum(_units_of(value, scale))
        else:
            raise _refused(name, "floats" if scale is None else f"decimals with {scale} digits", value)
        return Moments(1, summed, summed.units**2 if squares else 0)

    def gather(events: Iterable[Event]) -> Moments:
        values = [event.value for event in events if event.value is not None]
        if scale is not None or squares or not all(isinstance(value, float) for value in values):
            parts = (part for value in values if (part := prepare(Event(0, b"", value))) is not None)
            return reduce(Moments.plus, parts, empty)
        return Moments(len(values), sum_of(cast("list[float]", values)), 0)

    empty = Moments(0, FloatSum(), 0)
    return Function(name, empty, prepare, Moments.plus, finish, Moments.minus, gather)


def _units_of(value: Decimal, scale: int) -> int:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent < -scale:
        raise DataError(f"{value} has more than {scale} digits after the point")
    units = int("".join(map(str, digits))) * 10 ** (exponent + scale)
    return -units if sign else units


# ---- values of some events


class Found(NamedTuple):
    """A value with what it is ordered by."""

    order: Order
    value: object


def last() -> Function[Found | None]:
    """Return the value of the last event that has one; of equal times that of the greatest identity."""
    return _best("last", _moment, greatest=True)


def first() -> Function[Found | None]:
    """Return the value of the first event that has one; of equal times that of the least identity."""
    return _best("first", _moment, greatest=False)


def greatest() -> Function[Found | None]:
    """Return the greatest value; NaN is above all."""
    return _best("max", lambda event: order_of(event.value), greatest=True)


def least() -> Function[Found | None]:
    """Return the least value; NaN is above all."""
    return _best("min", lambda event: order_of(event.value), greatest=False)


def last_k(most: int) -> Function[tuple[Found, ...]]:
    """Return the values of the last so many events that have one, the last of them last."""
    return _some("last_k", most, lambda found: found[-most:])


def first_k(most: int) -> Function[tuple[Found, ...]]:
    """Return the values of the first so many events that have one."""
    return _some("first_k", most, lambda found: found[:most])


def since_last(*, events: bool = True) -> Function[int | None]:
    """Return the seconds since the last event, else since the last value: a float64 that is rounded once."""
    return Function[int | None](
        "since_last",
        None,
        prepare=lambda event: event.time_us if events or event.value is not None else None,
        merge=lambda one, other: max((each for each in (one, other) if each is not None), default=None),
        finish=lambda state, t_us: None if state is None else rounded(t_us - state, SECOND_US),
    )


def _moment(event: Event) -> Order:
    return event.time_us, event.identity


def _best(name: str, order: Callable[[Event], Order], *, greatest: bool) -> Function[Found | None]:
    def merge(one: Found | None, other: Found | None) -> Found | None:
        if one is None or other is None:
            return one or other
        return max(one, other, key=_order) if greatest else min(one, other, key=_order)

    def gather(events: Iterable[Event]) -> Found | None:
        found = [Found(order(event), event.value) for event in events if event.value is not None]
        return (max if greatest else min)(found, key=_order, default=None)

    return Function[Found | None](
        name,
        None,
        gather=gather,
        prepare=lambda event: None if event.value is None else Found(order(event), event.value),
        merge=merge,
        finish=lambda state, _: None if state is None else state.value,
    )


def _some(name: str, most: int, kept: Callable[[list[Found]], list[Found]]) -> Function[tuple[Found, ...]]:
    _check_most(name, most)
    return Function[tuple[Found, ...]](
        name,
        (),
        prepare=lambda event: None if event.value is None else (Found(_moment(event), event.value),),
        merge=lambda one, other: tuple(kept(sorted((*one, *other), key=_order))),
        finish=lambda state, _: [found.value for found in state],
    )


def _order(found: Found) -> Order:
    return found.order


# ---- how often values occur


def count_distinct() -> Function[Counts]:
    """Return how many different values there are."""
    return _counts("count_distinct", lambda state, _: len(state))


def top_k(most: int) -> Function[Counts]:
    """Return the so many most frequent values with their counts; of equal counts the least value first."""
    _check_most("top_k", most)

    def finish(state: Counts, _: int) -> list[dict[str, object]]:
        ordered = sorted(state.items(), key=lambda item: (-item[1][1], item[0]))
        return [{"value": value, "count": many} for _, (value, many) in ordered[:most]]

    return _counts("top_k", finish)


def count_by(most: int) -> Function[Counts]:
    """Return all values with their counts, the least value first; refused at the end if there are more than so many.

    A state has them all, as that of `top_k`: whether there are too many is not known before others are taken out.
    """
    _check_most("count_by", most)

    def finish(state: Counts, _: int) -> list[dict[str, object]]:
        if len(state) > most:
            raise DataError(
                f"count_by of {most} values met {len(state)}", todo="ask for more, or for the top_k of them"
            )
        return [{"value": value, "count": many} for _, (value, many) in sorted(state.items(), key=_by_order)]

    return _counts("count_by", finish)


def _by_order(item: tuple[Order, object]) -> Order:
    return item[0]


def _counts(name: str, finish: Callable[[Counts, int], object]) -> Function[Counts]:
    return Function[Counts](
        name,
        {},
        prepare=lambda event: None if event.value is None else {order_of(event.value): (event.value, 1)},
        merge=lambda one, other: _both(one, other, 1),
        finish=finish,
        remove=lambda state, part: _both(state, part, -1),
        gather=counted,
    )


def counted(events: Iterable[Event]) -> Counts:
    """Return the values of events with how often they occur, by what they are ordered by."""
    counts: dict[Order, tuple[object, int]] = {}
    for event in events:
        if event.value is not None:
            order = order_of(event.value)
            counts[order] = (event.value, counts.get(order, (None, 0))[1] + 1)
    return counts


def _both(one: Counts, other: Counts, sign: int) -> Counts:
    both = dict(one)
    for order, (value, many) in other.items():
        both[order] = (value, both.get(order, (value, 0))[1] + sign * many)
    return {order: counted for order, counted in both.items() if counted[1]}


# ---- what all of them need


def order_of(value: object) -> Order:
    """Return what values of one type are ordered by, and told apart by: NaN is above all floats and equal to itself."""
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    return (value.encode() if isinstance(value, str) else value,)


def _check_most(name: str, most: int) -> None:
    if most < 1:
        raise UsageError(f"{name} of {most} values", todo="ask for one value or more")


def _refused(name: str, what: str, value: object) -> DataError:
    return DataError(f"{name} of {what} met {type(value).__name__} {value!r:.50}")
