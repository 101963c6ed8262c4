"""States of functions as lists of values, for stores that keep trees of them.

States that are equal give equal bytes, but for sketches whose states depend on the order in which events came. Sizes: a
count takes 1 to 9 bytes, a sum of everyday floats some 60 (at most 600, with squares), a value found that of the value
and its event's identity, a distinct count 18 a value or 4 kB, a quantile 9 a value or some 12 kB.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from asof.errors import PermanentError
from asof.windows.functions import Found, Function, Moments, order_of
from asof.windows.sketches import Ranked

VERSION = 1
"""Of what they are written as."""


def plain(function: Function[Any], state: Any) -> object:  # noqa: ANN401 - any function's
    """Return the state of a function as lists of values, which `asof.windows.values` writes."""
    return _form(function)[0](state)


def read(function: Function[Any], plain: Iterable[Any]) -> list[Any]:
    """Return the states of what `plain` gave, as they were unpacked.

    Raises:
        PermanentError: One is no state of this function.
    """
    try:
        return _form(function)[1](plain)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        todo = "rebuild the online store from history"
        raise PermanentError(f"a state of {function.name} cannot be read: {error}", todo=todo) from error


def _form(function: Function[Any]) -> "Form":
    return _FORMS.get(function.name, _PLAIN)


Form = tuple[Callable[[Any], object], Callable[[Iterable[Any]], list[Any]]]
"""How a state is written; how several are read, since a read of few states is mostly calls."""


def _each(read: Callable[[Any], Any]) -> Callable[[Iterable[Any]], list[Any]]:
    return lambda written: [*map(read, written)]


def _same(state: Any) -> Any:  # noqa: ANN401 - any state
    return state


def _canonical(value: object) -> object:
    """Return a value with the one NaN that is equal to itself in tuples."""
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def _tuples(state: Any) -> Any:  # noqa: ANN401 - any state
    """Return a state whose lists are tuples."""
    return tuple(map(_tuples, cast("list[object]", state))) if isinstance(state, list) else _canonical(state)


def _found(state: Found | None) -> object:
    return None if state is None else [*state.order, state.value]


def _read_found(state: list[Any] | None) -> Found | None:
    if state is None:
        return None
    time, identity, value = state
    return Found((time, identity), _canonical(value))


def _several(state: tuple[Found, ...]) -> object:
    return [each for found in state for each in (*found.order, found.value)]


def _read_several(state: list[Any]) -> tuple[Found, ...]:
    return tuple(Found((time, identity), _canonical(value)) for time, identity, value in _grouped(state, 3))


def _counts(state: Mapping[Any, tuple[object, int]] | bytes) -> object:
    if isinstance(state, bytes):
        return state
    return [each for order in sorted(state) for each in state[order]]


def _read_counts(state: list[Any] | bytes) -> Mapping[Any, tuple[object, int]] | bytes:
    if isinstance(state, bytes):
        return state
    return {order_of(value): (_canonical(value), many) for value, many in _grouped(state, 2)}


def _grouped(flat: list[Any], size: int) -> Any:  # noqa: ANN401 - tuples of the size
    parts = iter(flat)
    return zip(*[parts] * size, strict=True)


def _distinct(state: Any) -> object:  # noqa: ANN401 - of one of two functions
    if isinstance(state, frozenset):
        return [0, b"".join(sorted(cast("frozenset[bytes]", state)))]
    return [1, state] if isinstance(state, bytes) else [2, _counts(state)]


def _read_distinct(state: list[Any]) -> object:
    kind, data = state
    if kind == 0:
        return frozenset(data[start : start + 16] for start in range(0, len(data), 16))
    return data if kind == 1 else _read_counts(data)


def _ranked(state: Ranked) -> object:
    return [state.nans, state.values]


def _read_ranked(state: list[Any]) -> Ranked:
    nans, values = state
    return Ranked(nans, values if isinstance(values, bytes) else tuple(values))


_PLAIN: Form = (_same, _each(_tuples))
_MOMENTS: Form = (list, _each(Moments._make))
_FOUND: Form = (_found, _each(_read_found))
_VALUE: Form = (_same, list)
_SEVERAL: Form = (_several, _each(_read_several))
_COUNTS: Form = (_counts, _each(_read_counts))
_DISTINCT: Form = (_distinct, _each(_read_distinct))

_FORMS: Mapping[str, Form] = {
    "count": _VALUE,
    "since_last": _VALUE,
    "sum": _MOMENTS,
    "mean": _MOMENTS,
    "variance": _MOMENTS,
    "stddev": _MOMENTS,
    "first": _FOUND,
    "last": _FOUND,
    "min": _VALUE,
    "max": _VALUE,
    "first_k": _SEVERAL,
    "last_k": _SEVERAL,
    "top_k": _COUNTS,
    "count_by": _COUNTS,
    "top_k_approx": _COUNTS,
    "count_distinct": _DISTINCT,
    "count_distinct_approx": _DISTINCT,
    "quantile": (_ranked, _each(_read_ranked)),
}
"""How states are written and read; those of the others, and of users, are plain."""
