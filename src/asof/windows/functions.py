"""The algebra: what is made of the events of a window.

A function turns each event into a state (`prepare`), joins the states of two sets of events that share none (`merge`),
and says what a state comes to (`finish`). Some can also take events out of a state (`remove`). States are plain values
that are never changed in place. They come to the same for the same events, in whatever order these came and however
they were divided: `merge` is associative and commutative.

A null is no value: no function counts it, but for those of events. What a function makes of no values is its empty
value: 0 of counts and sums, False of any, True of all, [] of lists, null of the others.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from itertools import chain
from operator import add, mul, sub
from typing import Any, Generic, NamedTuple, TypeVar

from asof.errors import DataError, UsageError
from asof.windows.exact import UNIT, rounded, units_of, units_of_floats

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
        gather: Makes the state of events of their values, nulls among them: of functions for which times and identities
            do not matter, if that is quicker than to join the states of each.
        join: Joins the states of several sets, at least one, if there is a quicker way than one after the other.
        gives: The type of what it comes to, as `asof.definitions.types` writes it; "" of functions of ours, where it
            follows from that of the column.
    """

    name: str
    empty: S
    prepare: Callable[[Event], S | None]
    merge: Callable[[S, S], S]
    finish: Callable[[S, int], object]
    remove: Callable[[S, S], S] | None = None
    gather: Callable[[Sequence[object]], S] | None = None
    join: Callable[[Sequence[S]], S] | None = None
    gives: str = ""

    def of(self, events: Iterable[Event]) -> S:
        """Return the state of events."""
        if self.gather is not None:
            return self.gather([event.value for event in events])
        return self.joined([part for event in events if (part := self.prepare(event)) is not None])

    def joined(self, states: Sequence[S]) -> S:
        """Return the state of several sets of events that share none."""
        if len(states) <= 1:
            return states[0] if states else self.empty
        return reduce(self.merge, states) if self.join is None else self.join(states)


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
        gather=lambda values: len(values) if events else len(values) - values.count(None),
        join=sum,
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
        join=lambda states: (sum(state[0] for state in states), sum(state[1] for state in states)),
    )


# ---- sums


class Moments(NamedTuple):
    """Sums of values, exact.

    Attributes:
        many: How many values.
        units: The sum of the finite ones: of integers and decimals in units of their last digit, of floats in units of
            2**-1074.
        nans, infs, minus_infs: How many of these.
        squares: The sum of the squares of the finite ones, in the square of that unit; 0 where nobody asks.
    """

    many: int = 0
    units: int = 0
    nans: int = 0
    infs: int = 0
    minus_infs: int = 0
    squares: int = 0

    @property
    def odd(self) -> float | None:
        """What the sum is if not all are finite: NaN or an infinity."""
        if self.nans or (self.infs and self.minus_infs):
            return math.nan
        if self.infs or self.minus_infs:
            return math.inf if self.infs else -math.inf
        return None


def _plus(one: Moments, other: Moments) -> Moments:
    return Moments(*map(add, one, other))


def _minus(one: Moments, other: Moments) -> Moments:
    return Moments(*map(sub, one, other))


def _sum(several: Sequence[Moments]) -> Moments:
    return Moments(*map(sum, zip(*several, strict=True)))


def total(scale: int | None = None) -> Function[Moments]:
    """Return the sum: of integers 64 bits wide, of decimals as wide as they get, of floats rounded once.

    Args:
        scale: Digits after the point of decimals; 0 of integers; None of floats.
    """

    def finish(state: Moments, _: int) -> object:
        units = state.units
        if scale is None:
            return rounded(units, UNIT) if state.odd is None else state.odd
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
        return rounded(state.units, state.many * _unit(scale)) if state.odd is None else state.odd

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
    if state.odd is not None:
        return math.nan
    spread = state.many * state.squares - state.units**2
    return rounded(spread, state.many * (state.many - 1) * _unit(scale) ** 2)


def _unit(scale: int | None) -> int:
    return UNIT if scale is None else 10**scale


def _moments(
    name: str, scale: int | None, finish: Callable[[Moments, int], object], *, squares: bool = False
) -> Function[Moments]:
    def units(value: object) -> int:
        if scale is None and isinstance(value, float):
            return units_of(value)
        if scale == 0 and isinstance(value, int):
            return int(value)
        if scale and isinstance(value, Decimal):
            return _units_of(value, scale)
        raise _refused(name, "floats" if scale is None else f"decimals with {scale} digits", value)

    def gather(given: Sequence[object]) -> Moments:
        values = [value for value in given if value is not None]
        found = units_of_floats(values) if scale is None else None
        if found is not None:
            return Moments(len(values), sum(found), 0, 0, 0, sum(map(mul, found, found)) if squares else 0)
        odd = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
        if odd and scale is None:
            values = [value for value in values if not isinstance(value, float) or math.isfinite(value)]
        found = list(map(units, values))
        counts = sum(map(math.isnan, odd)), odd.count(math.inf), odd.count(-math.inf)
        return Moments(len(values) + len(odd), sum(found), *counts, sum(map(mul, found, found)) if squares else 0)

    def prepare(event: Event) -> Moments | None:
        return None if event.value is None else gather([event.value])

    return Function(name, Moments(), prepare, _plus, finish, _minus, gather, _sum)


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
    return _best("last", _moment, max)


def first() -> Function[Found | None]:
    """Return the value of the first event that has one; of equal times that of the least identity."""
    return _best("first", _moment, min)


def greatest() -> Function[Any]:
    """Return the greatest value; NaN is above all."""
    return _extreme("max", max)


def least() -> Function[Any]:
    """Return the least value; NaN is above all."""
    return _extreme("min", min)


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
        join=lambda states: max((state for state in states if state is not None), default=None),
    )


def _moment(event: Event) -> Order:
    return event.time_us, event.identity


def _extreme(name: str, pick: Callable[..., Any]) -> Function[Any]:
    """Return a function whose state is a value: that of states is found as that of values is."""

    def found(given: Sequence[Any]) -> object:
        values = [value for value in given if value is not None]
        if any([value != value for value in values]):  # noqa: C419, PLR0124 - NaN has no order of its own; a list is quicker
            return pick(values, key=order_of)
        return pick(values, default=None)

    return Function[Any](
        name,
        None,
        prepare=lambda event: event.value,
        merge=lambda one, other: found((one, other)),
        finish=lambda state, _: state,
        gather=found,
        join=found,
    )


def _best(name: str, order: Callable[[Event], Order], pick: Callable[..., Any]) -> Function[Found | None]:
    def join(states: Sequence[Found | None]) -> Found | None:
        found = [state for state in states if state is not None]
        return pick(found, key=_order, default=None)

    return Function[Found | None](
        name,
        None,
        prepare=lambda event: None if event.value is None else Found(order(event), event.value),
        merge=lambda one, other: join((one, other)),
        finish=lambda state, _: None if state is None else state.value,
        join=join,
    )


def _some(name: str, most: int, kept: Callable[[list[Found]], list[Found]]) -> Function[tuple[Found, ...]]:
    _check_most(name, most)
    return Function[tuple[Found, ...]](
        name,
        (),
        prepare=lambda event: None if event.value is None else (Found(_moment(event), event.value),),
        merge=lambda one, other: tuple(kept(sorted((*one, *other), key=_order))),
        finish=lambda state, _: [found.value for found in state],
        join=lambda states: tuple(kept(sorted(chain.from_iterable(states), key=_order))),
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
        prepare=lambda event: counted([event.value]) or None,
        merge=lambda one, other: _both(one, other, 1),
        finish=finish,
        remove=lambda state, part: _both(state, part, -1),
        gather=counted,
    )


def counted(values: Iterable[object]) -> Counts:
    """Return values with how often they occur, by what they are ordered by."""
    counts: dict[Order, tuple[object, int]] = {}
    for value in values:
        if value is not None:
            order = order_of(value)
            counts[order] = (value, counts.get(order, (None, 0))[1] + 1)
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
