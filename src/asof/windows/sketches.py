"""Functions whose states stay small: exact up to a number of values, and sketches of `datasketches` beyond.

All of them switch by content: so many values are too many, in whatever order they came. How far off an answer may be
then is said by `BOUNDS`. Sketches are bytes, and no state is changed in place: to join two of them takes some 40 us of
distinct counts (4 kB each) and 5 to 200 us of the others; many events at once are gathered first.

The distinct count is the same for the same values, in any order and however they are divided. Quantiles draw lots, and
frequent values depend on the order: beyond the exact ones two answers may differ, both within the bound.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache, reduce
from hashlib import blake2b
from types import ModuleType
from typing import Any, NamedTuple

from asof.errors import DataError, UsageError
from asof.windows.functions import Counts, Event, Function, counted, order_of

LG_K = 12
"""Of distinct counts (HyperLogLog): 4,096 registers of a byte."""

FEW_DISTINCT = 256
"""Different values that `count_distinct_approx` counts exactly; they take as much as a sketch."""

MOST_DISTINCT = 100_000
"""That `count_distinct` may be asked to count exactly before it goes on with a sketch: 1.6 MB a state."""

KLL_K = 512

FEW_VALUES = 1024
"""Values among which a quantile is exact; they take 9 kB, and a sketch of 100,000 takes 12."""

LG_ITEMS = 11

FEW_ITEMS = 1024
"""Different values whose counts are exact; a sketch keeps up to 1,536."""

MOST_ITEMS = 100

BOUNDS: Mapping[str, str] = {
    "count_distinct": f"within 4.8 % of 997 in 1,000 counts (HyperLogLog, lg_k = {LG_K})",
    "quantile": f"a rank within 0.54 % of 99 in 100 answers (KLL, k = {KLL_K}); exact up to {FEW_VALUES} values",
    "top_k_approx": f"counts within 0.18 % of all values (frequent items, lg = {LG_ITEMS});"
    f" exact up to {FEW_ITEMS} different values",
}

Distinct = frozenset[bytes] | bytes
"""Digests of the different values; a sketch of them where there are too many."""


def count_distinct(exact_up_to: int = FEW_DISTINCT, *, name: str = "count_distinct_approx") -> Function[Distinct]:
    """Return how many different values there are: exactly up to so many, else about."""
    if not 1 <= exact_up_to <= MOST_DISTINCT:
        raise UsageError(f"{name} exact up to {exact_up_to} values", todo=f"ask for 1 to {MOST_DISTINCT}")
    library = sketch_library()

    def with_digests(made: Any, digests: Iterable[bytes]) -> Any:  # noqa: ANN401 - the library's
        for digest in digests:
            made.update(int.from_bytes(digest[:8], "big", signed=True))
        return made

    def sketch(digests: Iterable[bytes]) -> bytes:
        empty = library.hll_sketch(LG_K, library.tgt_hll_type.HLL_8, True)  # noqa: FBT003 - full size from the start
        made = with_digests(empty, digests)
        return joined(made, made)

    def joined(one: Any, other: Any) -> bytes:  # noqa: ANN401 - the library's
        """Join sketches: those that were joined once depend on nothing but what is in them, to the byte."""
        union = library.hll_union(LG_K)
        union.update(one)
        union.update(other)
        return union.get_result(library.tgt_hll_type.HLL_8).serialize_compact()

    def of(digests: frozenset[bytes]) -> Distinct:
        return digests if len(digests) <= exact_up_to else sketch(digests)

    def merge(one: Distinct, other: Distinct) -> Distinct:
        if isinstance(one, frozenset) and isinstance(other, frozenset):
            return of(one | other)
        if isinstance(one, frozenset):
            one, other = other, one
        made = library.hll_sketch.deserialize(one)
        if isinstance(other, frozenset):
            return with_digests(made, other).serialize_compact() if other else one
        return joined(made, library.hll_sketch.deserialize(other))

    def join(states: Sequence[Distinct]) -> Distinct:
        sets = [state for state in states if isinstance(state, frozenset)]
        sketches = [state for state in states if isinstance(state, bytes)]
        return reduce(merge, sketches, of(frozenset[bytes]().union(*sets)))

    def finish(state: Distinct, _: int) -> int:
        if isinstance(state, bytes):
            return round(library.hll_sketch.deserialize(state).get_estimate())
        return len(state)

    return Function[Distinct](
        name,
        frozenset(),
        prepare=lambda event: None if event.value is None else frozenset([_digest(event.value)]),
        merge=merge,
        finish=finish,
        gather=lambda values: of(frozenset(_digest(value) for value in values if value is not None)),
        join=join,
    )


def _digest(value: object) -> bytes:
    from asof.windows.values import packed  # noqa: PLC0415 - msgspec takes longer than all of the definitions

    return blake2b(packed(value), digest_size=16).digest()


class Ranked(NamedTuple):
    """Numbers that a quantile is found among.

    Attributes:
        nans: How many are NaN: they are above all.
        values: The others in order; a sketch of them where there are too many.
    """

    nans: int = 0
    values: tuple[float, ...] | bytes = ()


def quantile(q: float) -> Function[Ranked]:
    """Return the least of the values such that a share q of them is no greater, a float64; null of no values.

    Args:
        q: From 0, the least value, to 1, the greatest. As it is written: 0.1 of 10 values is one.
    """
    share = share_of(q)
    library = sketch_library()

    def sketch(values: tuple[float, ...] | bytes) -> Any:  # noqa: ANN401 - the library's
        if isinstance(values, bytes):
            return library.kll_doubles_sketch.deserialize(values)
        import numpy as np  # noqa: PLC0415 - 0.15 s, and few windows have so many values

        made = library.kll_doubles_sketch(KLL_K)
        made.update(np.array(values, np.float64))
        return made

    def of(nans: int, values: list[float]) -> Ranked:
        ordered = tuple(sorted(values))
        return Ranked(nans, ordered if len(ordered) <= FEW_VALUES else sketch(ordered).serialize())

    def merge(one: Ranked, other: Ranked) -> Ranked:
        nans = one.nans + other.nans
        if isinstance(one.values, tuple) and isinstance(other.values, tuple):
            return of(nans, [*one.values, *other.values])
        if not one.values or not other.values:
            return Ranked(nans, one.values or other.values)
        both = sketch(one.values)
        both.merge(sketch(other.values))
        return Ranked(nans, both.serialize())

    def finish(state: Ranked, _: int) -> float | None:
        exact = isinstance(state.values, tuple)
        found = None if exact else sketch(state.values)
        many = len(state.values) if found is None else found.n
        place = max(1, math.ceil(share * (many + state.nans)))
        if not many + state.nans:
            return None
        if place > many:
            return math.nan
        return float(state.values[place - 1] if found is None else found.get_quantile(place / many, True))  # noqa: FBT003

    def gather(given: Sequence[object]) -> Ranked:
        values = [_number(value) for value in given if value is not None]
        finite = [value for value in values if not math.isnan(value)]
        return of(len(values) - len(finite), finite)

    def prepare(event: Event) -> Ranked | None:
        return None if event.value is None else gather([event.value])

    return Function("quantile", Ranked(), prepare, merge, finish, gather=gather)


def share_of(q: float) -> Fraction:
    """Return a share as it is written: 0.1 is a tenth. Raises UsageError if it is none."""
    if not 0 <= q <= 1:
        raise UsageError(f"a quantile of {q}", todo="ask for one from 0 to 1")
    return Fraction(repr(float(q)))


def _number(value: object) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value) + 0.0
    raise DataError(f"quantile of numbers met {type(value).__name__} {value!r:.50}")


Frequent = Counts | bytes
"""How often values occur; a sketch of that where there are too many."""


def top_k(most: int) -> Function[Frequent]:
    """Return the so many most frequent values with their counts, about; of equal counts the least value first."""
    if not 1 <= most <= MOST_ITEMS:
        raise UsageError(f"top_k_approx of {most} values", todo=f"ask for 1 to {MOST_ITEMS}")
    from asof.windows.values import packed, unpacked  # noqa: PLC0415 - the same

    library = sketch_library()

    def sketch(state: Frequent) -> Any:  # noqa: ANN401 - the library's
        if isinstance(state, bytes):
            return library.frequent_strings_sketch.deserialize(state)
        made = library.frequent_strings_sketch(LG_ITEMS)
        for _, (value, many) in sorted(state.items()):
            made.update(packed(value).decode("latin-1"), many)
        return made

    def of(state: Counts) -> Frequent:
        return state if len(state) <= FEW_ITEMS else sketch(state).serialize()

    def merge(one: Frequent, other: Frequent) -> Frequent:
        if not one or not other:
            return one or other
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            return of(_together(one, other))
        both = sketch(one)
        both.merge(sketch(other))
        return both.serialize()

    def finish(state: Frequent, _: int) -> list[dict[str, object]]:
        if isinstance(state, Mapping):
            found = [*state.values()]
        else:
            no_misses = library.frequent_items_error_type.NO_FALSE_NEGATIVES
            items = sketch(state).get_frequent_items(no_misses)
            found = [(unpacked(item.encode("latin-1")), many) for item, many, *_ in items]
        ordered = sorted(found, key=lambda pair: (-pair[1], order_of(pair[0])))
        return [{"value": value, "count": many} for value, many in ordered[:most]]

    return Function[Frequent](
        "top_k_approx",
        {},
        prepare=lambda event: counted([event.value]) or None,
        merge=merge,
        finish=finish,
        gather=lambda values: of(counted(values)),
    )


def _together(one: Counts, other: Counts) -> Counts:
    both = dict(one)
    for order, (value, many) in other.items():
        both[order] = (value, both.get(order, (value, 0))[1] + many)
    return both


@cache
def sketch_library() -> ModuleType:
    """Return `datasketches`, loaded now."""
    import datasketches  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - only who asks for one waits for it

    return datasketches
