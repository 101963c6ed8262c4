"""The rules of windows in plain Python: the oracle that the algebra, engines and stores are held to.

Slow on purpose: each answer looks at every event, sums are fractions, nothing is kept between two answers.
Source: SEMANTICS.md, section 4.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from typing import Literal, cast

from asof.testing.reference import Key, Known, Reference, Stored
from asof.testing.values import canonical
from asof.windows.conditions import Condition

Kind = Literal["exact", "hop", "sawtooth", "lifetime", "session"]


@dataclass(frozen=True, slots=True)
class Span:
    """A window: its kind, its length (the gap of a session), and its hop; in microseconds."""

    kind: Kind
    length_us: int = 0
    hop_us: int = 0


@dataclass(frozen=True, slots=True)
class Happening:
    """An event: its time, the key of its source, and the value of one column."""

    time: int
    key: Key
    value: object


def events(source: Reference, t: int, *, known: Known, pin: int | None = None) -> list[Stored]:
    """Give the events that are visible at T: of each key and event time the newest row that is, if it is no retirement.

    In the order of time, then of keys.
    """
    found: dict[tuple[Key, int | None], Stored] = {}
    for row in source.rows(pin, retracted=True):
        if source.is_candidate(row, t, known=known, pin=pin):
            found[row.key, row.event_time] = row  # rows come in commit order
    alive = [row for row in found.values() if not row.retired]
    return sorted(alive, key=lambda row: (row.event_time or 0, ordered_key(row.key)))


def satisfied(condition: Condition, row: Mapping[str, object]) -> bool:
    """Tell whether a condition is true of a row."""
    return _truth(condition, row) == 1


def _truth(condition: Condition, row: Mapping[str, object]) -> float:
    """Give 1 for true, 0 for false, 1/2 for neither: then "and" is the least and "or" the greatest of its parts."""
    parts = [_truth(part, row) for part in condition.parts]
    value = row[condition.column] if condition.column else None
    match condition.operator:
        case "and":
            return min(parts)
        case "or":
            return max(parts)
        case "not":
            return 1 - parts[0]
        case "null":
            return int(value is None)
        case sign:
            return 0.5 if value is None else int(any(_compares(sign, value, other) for other in condition.values))


def _compares(sign: str, value: object, other: object) -> bool:
    one, two = ordered(value), ordered(other)
    less, equal = one < two, one == two
    return {
        "in": equal, "==": equal, "!=": not equal,
        "<": less, "<=": less or equal, ">": not less and not equal, ">=": not less,
    }[sign]  # fmt: skip


def in_window(happened: Sequence[Happening], span: Span, t: int) -> list[Happening]:
    """Give those of the events, which are in order and none later than T, that a window at T holds."""
    match span.kind:
        case "exact":
            return [each for each in happened if t - span.length_us < each.time <= t]
        case "hop":
            end = math.floor(Fraction(t, span.hop_us)) * span.hop_us
            return [each for each in happened if end - span.length_us < each.time <= end]
        case "sawtooth":
            start = math.floor(Fraction(t - span.length_us, span.hop_us)) * span.hop_us
            return [each for each in happened if start < each.time <= t]
        case "lifetime":
            return [*happened]
        case "session":
            run: list[Happening] = []
            for each in reversed(happened):
                if (run[0].time if run else t) - each.time >= span.length_us:
                    break
                run.insert(0, each)
            return run


def reasons(  # noqa: PLR0913 - one question
    source: Reference,
    of: Callable[[Stored], bool],
    t: int,
    *,
    span: Span,
    where: Callable[[Stored], bool],
    column: str | None,
    known: Known,
    pin: int | None = None,
) -> dict[tuple[Key, int, int], str]:
    """Give for each row of an entity, by key, event time and commit, why it is no event of a window; "" if it is one.

    Args:
        source: The events.
        of: Tells whether a row is of the entity.
        t: T.
        span: The window.
        where: Tells whether a row satisfies the condition.
        column: Whose values count; None: the events themselves.
        known: Knowledge mode.
        pin: The last commit that counts.
    """
    own = [row for row in events(source, t, known=known, pin=pin) if of(row) and where(row)]
    happened = [Happening(row.event_time or 0, row.key, None) for row in own]
    ended = max((e.time for e in happened if e not in in_window(happened, span, t)), default=None)

    def reason(row: Stored) -> str:
        at = row.event_time or 0
        if source.is_retracted(row, t, known=known, pin=pin):
            return "retracted"
        if not source.is_candidate(row, t, known=known, pin=pin):
            return "in the future" if at > t else "not yet available"
        alone = [Happening(at, row.key, None)]
        outside = ended is not None and at <= ended if span.kind == "session" else not in_window(alone, span, t)
        same = [each for each in source.rows(pin, retracted=True) if (each.key, each.event_time) == (row.key, at)]
        standing = [each for each in same if source.is_candidate(each, t, known=known, pin=pin)][-1]
        why = {
            "outside the window": outside,
            "retired": standing.retired,
            "of another key": not of(standing),
            "corrected": standing is not row,
            "not where": not where(row),
            "no value": column is not None and row.values.get(column) is None,
        }
        return next((name for name, holds in why.items() if holds), "")

    every = [row for row in source.rows(pin, retracted=True) if not row.retired and of(row)]
    return {(row.key, row.event_time or 0, row.commit): reason(row) for row in every}


def aggregate(function: str, held: Sequence[Happening], t: int, *, most: int = 0, q: float = 0) -> object:
    """Give what a function makes of the events of a window; of approximate ones what they should come to."""
    values = [each.value for each in held if each.value is not None]
    match function:
        case "count":
            return len(held)
        case "since_last":
            return float(Fraction(t - held[-1].time, 10**6)) if held else None
        case "since_value":
            return aggregate("since_last", [each for each in held if each.value is not None], t)
        case "first_k":
            return values[:most]
        case "last_k":
            return values[-most:]
        case "top_k" | "top_k_approx":
            return _top(values, most)
        case "count_by":
            return [{"value": value, "count": count} for value, count in _by_value(values)]
        case "asof.testing.algebra:time_span":
            return held[-1].time - held[0].time if held else None
        case "quantile":
            return _quantile(values, q)
        case _:
            return _OF_VALUES[function](values)


def _sum(values: Sequence[object]) -> object:
    if not values:
        return 0
    if odd := _odd(values):
        return odd[0]
    exact = sum(map(_fraction, values), Fraction())
    if isinstance(values[0], Decimal):
        with localcontext(prec=200):
            return Decimal(exact.numerator) / exact.denominator
    return _float(exact) if isinstance(values[0], float) else int(exact)


def _mean(values: Sequence[object]) -> object:
    if not values:
        return None
    return odd[0] if (odd := _odd(values)) else _float(sum(map(_fraction, values), Fraction()) / len(values))


def _variance(values: Sequence[object]) -> float | None:
    if len(values) == 1 or not values:
        return None
    if _odd(values):
        return math.nan
    exact = [*map(_fraction, values)]
    middle = sum(exact) / Fraction(len(exact))
    return _float(sum((each - middle) ** 2 for each in exact) / Fraction(len(exact) - 1))


def _stddev(values: Sequence[object]) -> float | None:
    found = _variance(values)
    return None if found is None else math.sqrt(found)


def _odd(values: Sequence[object]) -> list[float]:
    """Give what a sum is if not all values are finite."""
    odd = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    return [math.nan if len({str(each) for each in odd}) > 1 else odd[0]] if odd else []


def _fraction(value: object) -> Fraction:
    if not isinstance(value, int | float | Decimal):
        raise TypeError(value)
    return Fraction(value)


def _float(exact: Fraction | int) -> float:
    try:
        return float(exact) + 0.0
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _by_value(values: Sequence[object]) -> list[tuple[object, int]]:
    """Give different values with their counts, the least value first."""
    different: list[object] = []
    for value in map(canonical, values):
        if not any(value is other or value == other for other in different):
            different.append(value)
    counted = [(each, sum(each is other or each == other for other in map(canonical, values))) for each in different]
    return sorted(counted, key=lambda pair: ordered(pair[0]))


def _geometric_mean(values: Sequence[object]) -> float | None:
    logs = [math.log(value) for value in values if isinstance(value, float) and 0 < value < math.inf]
    return math.exp(_float(sum(map(Fraction, logs)) / Fraction(len(logs)))) if logs else None


def _quantile(values: Sequence[object], q: float) -> float | None:
    """Give the first of the ordered values that with those before it makes up the share, as it is written."""
    for place, value in enumerate(sorted(values, key=ordered), 1):
        if place >= Fraction(str(q)) * len(values):
            return float(_fraction(value)) if isinstance(value, int | Decimal) else cast("float", value)
    return None


def _top(values: Sequence[object], most: int) -> list[dict[str, object]]:
    by_count = sorted(_by_value(values), key=lambda pair: -pair[1])  # which keeps the order of equal counts
    return [{"value": value, "count": count} for value, count in by_count[:most]]


def ordered(value: object) -> tuple[object, ...]:
    """Give what a value is ordered by: text by its bytes, NaN above all floats."""
    if isinstance(value, float) and math.isnan(value):
        return (1,)
    return (0, value.encode() if isinstance(value, str) else value)


def ordered_key(key: Key) -> tuple[object, ...]:
    """Give what a key is ordered by."""
    return tuple(part.encode() if isinstance(part, str) else part for part in key)


_OF_VALUES: Mapping[str, Callable[[Sequence[object]], object]] = {
    "asof.testing.algebra:geometric_mean": _geometric_mean,
    "count_values": len,
    "sum": _sum,
    "mean": _mean,
    "variance": _variance,
    "stddev": _stddev,
    "min": partial(min, key=ordered, default=None),
    "max": partial(max, key=ordered, default=None),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "count_distinct_approx": lambda values: len(_by_value(values)),
    "count_distinct": lambda values: len(_by_value(values)),
    "any": any,
    "all": all,
}
