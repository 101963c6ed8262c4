"""The laws of the algebra of windows, to be tried on a user's function, and two examples of such functions.

check_laws(users_function("geometric:mean"), st.floats(0.01, 100))
"""

import math
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from asof.windows import states
from asof.windows.exact import UNIT, rounded, units_of
from asof.windows.functions import Event, Function
from asof.windows.values import packed, unpacked

LogSum = tuple[int, int]
Ends = tuple[int, int] | None


def check_laws(function: Function[Any], values: st.SearchStrategy[Any], *, examples: int = 100) -> None:
    """Try whether a function makes the same of the same events in any order, with any tiling, and through bytes.

    Raises:
        AssertionError: It does not; the events are shown.
    """

    @settings(max_examples=examples, deadline=None, phases=[Phase.generate, Phase.shrink], database=None)
    @given(data=st.data())
    def hold(data: st.DataObject) -> None:
        moments = st.tuples(st.integers(-3, 10), st.sampled_from([b"a", b"b", b"ab"]))
        when = data.draw(st.lists(moments, unique=True, max_size=8))
        events = [Event(time, identity, data.draw(st.none() | values)) for time, identity in when]
        once = function.of(sorted(events))
        wanted = repr(function.finish(once, 20))
        assert repr(function.finish(function.of(events), 20)) == wanted
        tiles = [function.of(events[:3]), function.empty, function.of(events[5:]), function.of(events[3:5])]
        merged = function.merge(function.merge(tiles[0], tiles[1]), function.merge(tiles[2], tiles[3]))
        assert repr(function.finish(merged, 20)) == wanted
        assert repr(function.finish(function.merge(function.merge(tiles[3], tiles[2]), tiles[0]), 20)) == wanted
        kept = [decode(function, encode(function, tile)) for tile in tiles]
        assert kept == tiles
        merged = function.merge(function.merge(kept[0], kept[2]), kept[3])
        assert repr(function.finish(merged, 20)) == wanted
        assert repr(function.finish(function.joined(kept), 20)) == wanted
        assert repr(function.finish(function.joined(kept[::-1]), 20)) == wanted
        if function.remove is not None:
            rest = function.remove(once, function.of(events[:3]))
            assert repr(function.finish(rest, 20)) == repr(function.finish(function.of(events[3:]), 20))

    hold()


def encode(function: Function[Any], state: Any) -> bytes:  # noqa: ANN401 - any function's
    """Return a state as bytes."""
    return packed(states.plain(function, state))


def decode(function: Function[Any], data: bytes) -> Any:  # noqa: ANN401 - any function's
    """Return the state of bytes."""
    (state,) = states.read(function, [unpacked(data)])
    return state


def _log(event: Event) -> LogSum | None:
    value = event.value
    if not isinstance(value, float) or not 0 < value < math.inf:
        return None
    return 1, units_of(math.log(value))


geometric_mean = Function[LogSum](
    "geometric mean of the positive values",
    (0, 0),
    prepare=_log,
    merge=lambda one, other: (one[0] + other[0], one[1] + other[1]),
    finish=lambda state, _: math.exp(rounded(state[1], state[0] * UNIT)) if state[0] else None,
    remove=lambda state, part: (state[0] - part[0], state[1] - part[1]),
    gives="float64",
)
"""Logarithms are added up as integers, see `asof.windows.exact`: a sum of floats would depend on the order."""


def _ends(one: Ends, other: Ends) -> Ends:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


time_span = Function[Ends](
    "microseconds from the first event to the last",
    None,
    prepare=lambda event: (event.time_us, event.time_us),
    merge=_ends,
    finish=lambda state, _: state and state[1] - state[0],
    gives="int64",
)
