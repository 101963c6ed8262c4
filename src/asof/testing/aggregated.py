"""Groups that are made of a played history's events, held to the oracle of windows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from asof.arrow.types import arrow_type
from asof.clock import from_us, to_us
from asof.definitions import Entity, FeatureGroup
from asof.definitions.aggregate import Aggregate
from asof.testing.played import Played, known_of, times
from asof.testing.reference import Known, Stored
from asof.testing.strategies import HOUR_US
from asof.testing.values import canonical
from asof.testing.windows import Happening, Span, aggregate, events, in_window, reasons, satisfied
from asof.windows.aggregation import ALONE, Aggregation
from asof.windows.conditions import col
from asof.windows.kinds import Window

Values = tuple[object, ...]

ExplainedWindow = Any
"""An `asof.quality.explanation.ExplainedWindow`, which stands above this package."""

SPANS = [
    Span("exact", HOUR_US),
    Span("exact", 2 * HOUR_US - 1),
    Span("hop", 2 * HOUR_US, HOUR_US),
    Span("sawtooth", 2 * HOUR_US, 3 * HOUR_US),
    Span("session", HOUR_US),
    Span("lifetime"),
]

_NUMBER = ("x", "n")
_SCALAR = ("x", "n", "s")
MADE = [
    *(("count", column, 0) for column in (None, *_SCALAR)),
    *(("since_last", column, 0) for column in (None, "s")),
    *((function, column, 0) for function in ("sum", "mean", "variance", "stddev") for column in _NUMBER),
    *((f, column, 0) for f in ("min", "max", "first", "last", "count_distinct") for column in _SCALAR),
    *((function, column, 2) for function in ("first_k", "last_k", "top_k") for column in _SCALAR),
]


WHERES = [None, None, col("n") > 0, col("s").is_null() | (col("k1") != "a")]


@st.composite
def aggregations(draw: st.DrawFn, spans: Sequence[Span] = SPANS) -> list[tuple[Aggregate, Span]]:
    """Make aggregates over the features of a history, each under a name of its own, over some windows."""
    asked = draw(
        st.lists(
            st.tuples(st.sampled_from(MADE), st.sampled_from(spans), st.sampled_from(WHERES)), min_size=1, max_size=4
        )
    )
    return [
        (Aggregate(function, column, (_window(span),), most, where, name=f"f{place}"), span)
        for place, ((function, column, most), span, where) in enumerate(asked)
    ]


def _window(span: Span) -> Window:
    return Window(span.kind, span.length_us, span.hop_us)


class Aggregated:
    """A group that is made of the events of a played history.

    Attributes:
        name: The group.
        on: The columns of the source that are its keys.
    """

    def __init__(
        self, played: Played, asked: Sequence[tuple[Aggregate, Span]], on: Sequence[str], *, online: bool = False
    ) -> None:
        """Register it."""
        self.name = f"{played.name}_made"
        self.on = tuple(on)
        self._played = played
        self._asked = asked
        types = played.definition.types
        self._types = [arrow_type(types[column]) for column in on]
        self.definition = FeatureGroup(
            self.name,
            entity=Entity(f"{self.name}_entity", keys={f"e{at}": types[column] for at, column in enumerate(on)}),
            source=played.definition,
            source_keys={f"e{at}": column for at, column in enumerate(on)},
            features=[each for each, _ in asked],
            online=online,
        )
        played.store.apply(self.definition)

    def keys(self) -> list[Values]:
        """Return keys that events have, that none has, and a null."""
        stored = [self._of(row) for row in self._played.reference.rows(retracted=True) if not row.retired]
        unknown = tuple(7 if pa.types.is_integer(dtype) else "zz" for dtype in self._types)
        return list(dict.fromkeys([*stored, unknown, (*unknown[:-1], None)]))

    def check_historical(self, rows: Sequence[tuple[Values, int]], known: Known, pin: int | None = None) -> None:
        """Compare a historical read of (key, T)."""
        columns = {f"e{at}": pa.array([key[at] for key, _ in rows], dtype) for at, dtype in enumerate(self._types)}
        spine = pa.table({**columns, "t": times(t for _, t in rows)})
        frame = self._played.store.historical(
            self.name, spine, time="t", known=known_of(known), commits=self._played.pins(pin), statuses=True
        )
        for (key, t), found in zip(rows, frame.to_arrow().to_pylist(), strict=True):
            got = {each.name: (told(found[each.name]), found[f"{each.name}__status"]) for each, _ in self._asked}
            assert got == self._wanted(key, t, known, pin), f"{key} at {t}, known={known}, pin={pin}"

    def check_explained(self, key: Values, t: int, known: Known, pin: int | None = None) -> None:
        """Compare what `explain` says of a key without nulls: the answers, what counts, and why the rest does not.

        The events that it lists, and nothing else, are made into the answers once more.
        """
        found = self._played.store.quality.explain(
            self.name,
            self.key_set(key),
            at=from_us(t),
            known=known_of(known),
            commits=self._played.pins(pin),
            limit=1000,
        )
        (lookup,) = found.lookups
        assert lookup.made_of == self._played.ref
        wanted = self._wanted(key, t, known, pin)
        assert {name: (told(value), lookup.statuses[name]) for name, value in lookup.values.items()} == wanted
        for window, (each, span) in zip(lookup.windows, self._asked, strict=True):
            assert (window.feature, told(window.value), window.status) == (each.name, *wanted[each.name])
            happened = [Happening(to_us(row.event_time), tuple(row.keys.values()), row.value) for row in window.events]
            assert told(_of_window(happened, t, each, q=each.q)) == told(window.value)
            assert all(window.after is None or row.event_time > window.after for row in window.events)
            assert all(row.event_time <= window.until for row in window.events)
            assert self._told(window) == self._reasons(key, t, each, span, known, pin)
            assert window.count == len(window.events)
            assert window.counts == Counter(row.reason for row in window.others)

    def _told(self, window: ExplainedWindow) -> dict[tuple[Values, int, int], str]:
        """Return the reasons of an explanation by rows; what else it says of them is compared here."""
        places = {commit.number: place for place, commit in enumerate(self._played.commits, 1)}
        rows = {(row.key, row.event_time, row.commit): row for row in self._played.reference.rows(retracted=True)}
        found: dict[tuple[Values, int, int], str] = {}
        for each in (*window.events, *window.others):
            place = tuple(each.keys.values()), to_us(each.event_time), places[each.commit.number]
            row = rows[place]
            assert each.commit == self._played.commits[row.commit - 1]
            assert each.available_at == (None if row.available_at is None else from_us(row.available_at))
            assert bool(each.because) == bool(each.reason)
            assert place not in found
            found[place] = each.reason
        return found

    def _reasons(  # noqa: PLR0917 - one question
        self, key: Values, t: int, each: Aggregate, span: Span, known: Known, pin: int | None
    ) -> dict[tuple[Values, int, int], str]:
        """Return the oracle's reasons."""
        source = self._played.reference
        known_rows = reasons(
            source,
            lambda row: self._of(row) == key,
            t,
            span=span,
            where=lambda row: each.where is None or satisfied(each.where, self._row(row)),
            column=each.column,
            known=known,
            pin=pin,
        )
        every = [row for row in source.rows(retracted=True) if not row.retired and self._of(row) == key]
        unpinned = [row for row in every if pin is not None and row.commit > pin]
        return {(row.key, row.event_time or 0, row.commit): "not in the pins" for row in unpinned} | known_rows

    def table(self, key: Values) -> pa.Table:
        """Return a key as a table of one row."""
        return pa.table({f"e{at}": pa.array([key[at]], dtype) for at, dtype in enumerate(self._types)})

    def key_set(self, key: Values) -> dict[str, object]:
        """Return a key as reads take it."""
        return {f"e{at}": value for at, value in enumerate(key)}

    def check_online(self, keys: Iterable[Values]) -> None:
        """Compare online answers, and their replay."""
        every = list(keys)
        asked = [self.key_set(key) for key in every]
        for key, vector in zip(every, self._played.store.online(self.name, asked), strict=True):
            t = vector.receipt.clock_us
            got = {name: (told(value), vector.statuses[name]) for name, value in vector.values.items()}
            assert got == self._wanted(key, t, "served", None), f"online {key} at {t}"
            if self._played.commits:
                assert vector.receipt.commits == {f"{self.name}@1": self._played.commits[-1].number}
            again = self._played.store.replay(vector.receipt)
            assert {name: (told(value), again.statuses[name]) for name, value in again.values.items()} == got
            assert again.event_times == vector.event_times

    def _wanted(self, key: Values, t: int, known: Known, pin: int | None) -> dict[str, tuple[str, str]]:
        visible = [row for row in events(self._played.reference, t, known=known, pin=pin) if self._of(row) == key]
        found: dict[str, tuple[str, str]] = {}
        for each, span in self._asked:
            counting = [row for row in visible if each.where is None or satisfied(each.where, self._row(row))]
            value = None if None in key else expected(counting, t, each, span)
            status = "MISSING" if None in key else "NULL" if value is None else "PRESENT"
            found[each.name] = told(value), status
        return found

    def _row(self, row: Stored) -> dict[str, object]:
        keys = dict(zip(self._played.definition.keys, row.key, strict=True))
        return {**row.values, **keys, "at": from_us(row.event_time or 0)}

    def _of(self, row: Stored) -> Values:
        by_key = dict(zip(self._played.definition.keys, row.key, strict=True))
        return tuple(by_key[name] if name in by_key else row.values.get(name) for name in self.on)


def expected(
    visible: Sequence[Stored], t: int, asked: Aggregate | Aggregation, span: Span, *, q: float | None = None
) -> object:
    """Give what the oracle makes of visible events."""
    column = asked.column
    happened = [Happening(row.event_time or 0, row.key, column and row.values.get(column)) for row in visible]
    return _of_window(in_window(happened, span, t), t, asked, q=q)


def _of_window(held: Sequence[Happening], t: int, asked: Aggregate | Aggregation, *, q: float | None) -> object:
    """Give what the oracle makes of the events of a window."""
    function = asked.function
    if asked.column is not None and function in ALONE:
        function = {"count": "count_values", "since_last": "since_value"}[function]
    return aggregate(function, held, t, most=asked.most, q=q or 0)


def told(value: object) -> str:
    """Give a value to the bit: NaN is NaN, 0 is what a sum of nothing is."""
    plain = canonical(value)
    return repr(0 if plain == 0 and not isinstance(plain, bool) else plain)
