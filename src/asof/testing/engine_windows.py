"""The part of the engine suite that aggregates events: every function over every kind of window, held to the oracle."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.clock import from_us
from asof.engine.port import (
    BY_COLUMN,
    EVENT_COLUMN,
    FOUND,
    MISSING,
    NO_TIME,
    OF_COLUMN,
    REASON_COLUMN,
    STATUS_COLUMN,
    TIME_COLUMN,
    VALUE_COLUMN,
    Engine,
    Known,
)
from asof.errors import DataError, NotFoundError, UsageError
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN
from asof.testing.aggregated import expected, told
from asof.testing.layouts import Laid, lay, layouts
from asof.testing.played import declared, times
from asof.testing.reference import Group, Key, Stored
from asof.testing.stored import AT_US, every_type, every_value, rows_of, stored_as
from asof.testing.strategies import BASE_US, FEATURE_TYPES, HOUR_US, Case, History, cases, instants, modes, pins, play
from asof.testing.windows import Happening, Span, aggregate, events, in_window, ordered_key, reasons, satisfied
from asof.windows.aggregation import ALONE, SEVERAL, Aggregation
from asof.windows.conditions import Condition, col
from asof.windows.kinds import Window

_SPANS = [
    *(Span("exact", length) for length in (1, HOUR_US - 1, HOUR_US, 2 * HOUR_US)),
    *(Span(kind, 2 * HOUR_US, hop) for kind in ("hop", "sawtooth") for hop in (1, HOUR_US // 2, HOUR_US, 3 * HOUR_US)),
    *(Span("session", gap) for gap in (1, 2, HOUR_US, HOUR_US + 1)),
    Span("lifetime"),
]
_NUMBERS = [
    *("count", "sum", "mean", "variance", "stddev", "min", "max", "first", "last", "last_k"),
    *("count_distinct", "quantile", "top_k", "top_k_approx"),
]
_FUNCTIONS = {
    "x": [*_NUMBERS, "first_k", "count_by", "count_distinct_approx", "asof.testing.algebra:geometric_mean"],
    "n": [*_NUMBERS, "since_last"],
    "s": ["count", "min", "max", "first", "last", "last_k", "count_distinct", "top_k", "count_by", "top_k_approx"],
}


_COMPARED: Mapping[str, Sequence[object]] = {
    "x": (0, 1.5, math.nan, math.inf),
    "n": (0, 2, 2**53 + 1, 2**53),
    "s": ("", "a", "é", "a'\0"),
    "k1": ("", "a", "b"),
    "at": tuple(from_us(BASE_US + shift) for shift in (-1, 0, HOUR_US, 2 * HOUR_US)),
}


_EVERY_TYPE_COMPARED: Mapping[str, Sequence[object]] = {
    "number": (0, -1, 127, 1000, 2**63 - 1, -(2**63)),
    "ratio": (0, 0.1, 1.5, math.nan, -math.inf, 5e-324, 2**53),
    "truth": (True, False),
    "text": ("", "a", "é", "\U0001f600", "\ue000", "a\0b", "'; --", "\\"),
    "raw": (b"", b"\0", b"\xff\0", b"'"),
    "day": (date(1969, 12, 31), date(2024, 1, 1), date(9999, 12, 31)),
    "when": (from_us(-1), from_us(0), from_us(AT_US).astimezone(timezone(timedelta(hours=1)))),
    "money": (0, Decimal("1.5"), Decimal("12345678901234567890123456789.123456789"), Decimal("-1.50000000000"), 10**28),
}
_EVERY_TYPE: Mapping[str, st.SearchStrategy[object]] = {
    name: st.sampled_from([None, *(value for value in values if not isinstance(value, int) or abs(value) < 128)])
    for name, values in _EVERY_TYPE_COMPARED.items()
}

_OF_ANY = [("first", 0), ("last", 0), ("first_k", 2), ("last_k", 2)]
_OF_SCALARS = [
    *_OF_ANY,
    ("min", 0),
    ("max", 0),
    ("count_distinct", 0),
    ("count_distinct", 9),
    ("top_k", 2),
    ("count_by", 9),
]


def _leaves(name: str, value: st.SearchStrategy[object]) -> st.SearchStrategy[Condition]:
    column = col(name)
    makers = (column.__lt__, column.__le__, column.__gt__, column.__ge__, column.__eq__, column.__ne__)
    several = st.lists(value, min_size=1, max_size=2).map(column.is_in)
    return st.one_of(st.sampled_from(makers).flatmap(value.map), several, st.just(column.is_null()))


def _conditions() -> st.SearchStrategy[Condition | None]:
    leaf = st.one_of([_leaves(name, st.sampled_from(values)) for name, values in _COMPARED.items()])
    deeper = st.recursive(
        leaf,
        lambda part: st.one_of(
            st.builds(Condition.__invert__, part),
            st.builds(Condition.__and__, part, part),
            st.builds(Condition.__or__, part, part),
        ),
        max_leaves=3,
    )
    return st.none() | deeper


def _aggregations() -> st.SearchStrategy[list[tuple[Aggregation, Span]]]:
    alone = st.tuples(st.sampled_from([*ALONE, "asof.testing.algebra:time_span"]), st.none())
    of_column = [st.tuples(st.sampled_from(functions), st.just(name)) for name, functions in _FUNCTIONS.items()]
    asked = st.tuples(st.one_of(alone, *of_column), st.sampled_from(_SPANS), st.integers(1, 3), _conditions())
    return st.lists(asked, min_size=1, max_size=4).map(
        lambda every: [
            (replace(_aggregation(f"f{number}", function, column, span, most), where=where), span)
            for number, ((function, column), span, most, where) in enumerate(every)
        ]
    )


def _aggregation(name: str, function: str, column: str | None, span: Span, most: int) -> Aggregation:
    window = Window(span.kind, span.length_us, span.hop_us)
    if function == "count_distinct":
        most = 100 * (most - 1)
    elif function == "count_by":
        most = 10
    elif function not in SEVERAL:
        return Aggregation(name, function, window, column, q=most / 4 if function == "quantile" else None)
    return Aggregation(name, function, window, column, most)


_ASKED = _aggregations()


_FEW = settings(
    max_examples=20, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None
)
"""Examples of tables that have all types at once."""


class WindowsSuite:
    """What every engine must do with windows of events; see `asof.engine.port.Engine.aggregate`.

    Attributes:
        lay: Writes a history to files; see `asof.testing.layouts.lay`.
    """

    lay: ClassVar[Callable[..., Laid]] = staticmethod(lay)

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)
    @given(case=cases(static=False), asked=_ASKED, data=st.data())
    def test_aggregates_are_the_oracles_however_history_lies(
        self, engine: Engine, folder: Path, case: Case, asked: list[tuple[Aggregation, Span]], data: st.DataObject
    ) -> None:
        history = case.history
        known, pin = data.draw(modes(history)), data.draw(pins(history))
        laid = self.lay(history, play(history), data.draw(layouts(history)), folder, pin=pin)
        on = data.draw(st.sampled_from([laid.rows.keys, laid.rows.keys[:1], ("s",), ("n",), ("s", laid.rows.keys[0])]))
        spine = _spine(laid, data, on)
        found = _aggregated(engine, laid, spine, on=on, aggregations=[each for each, _ in asked], known=known)
        for place, (key, t) in enumerate(spine):
            every = events(laid.reference, t, known=known, pin=pin)
            visible = [row for row in every if _values(laid, row, on) == key]
            counting = [_counting(laid, visible, each) for each, _ in asked]
            wanted = [
                None if None in key else expected(those, t, each, span, q=each.q)
                for those, (each, span) in zip(counting, asked, strict=True)
            ]
            newest = max(
                (_newest(those, t, span) for those, (_, span) in zip(counting, asked, strict=True)),
                key=lambda at: NO_TIME if at is None else at,
            )
            status = (MISSING, None) if None in key else (FOUND, newest)
            assert _told(found[place]) == _told([*wanted, *status]), f"{on} = {key} at {t}, known={known}"

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)
    @given(case=cases(static=False), asked=_ASKED, data=st.data())
    def test_explain_gives_each_row_of_an_entity_the_oracles_reason(
        self, engine: Engine, folder: Path, case: Case, asked: list[tuple[Aggregation, Span]], data: st.DataObject
    ) -> None:
        history = case.history
        known, pin = data.draw(modes(history)), data.draw(pins(history))
        laid = self.lay(history, play(history), data.draw(layouts(history)), folder, pin=pin)
        on = data.draw(st.sampled_from([laid.rows.keys, laid.rows.keys[:1], ("s",), ("n",), ("s", laid.rows.keys[0])]))
        (each, span), *_ = asked
        for key, t in [(key, t) for key, t in _spine(laid, data, on) if None not in key][:3]:
            found = _reasons(engine, laid, key, t, on=on, aggregation=each, known=known)
            wanted = reasons(
                laid.reference,
                lambda row, key=key: _values(laid, row, on) == key,
                t,
                span=span,
                where=lambda row: each.where is None or satisfied(each.where, _row(laid, row)),
                column=each.column,
                known=known,
                pin=pin,
            )
            assert found == wanted, f"{on} = {key} at {t}, known={known}"

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)
    @given(case=cases(static=False), data=st.data())
    def test_rows_of_a_time_are_all_rows_within_it(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        bounds = st.sampled_from([None, *instants(case.history)])
        after_us, until_us = data.draw(bounds), data.draw(bounds)
        every = engine.stamped(laid.rows).read_all()
        times_us = every.column(laid.rows.event_time or "").cast(pa.int64()).to_pylist()
        within = [(after_us is None or after_us < t) and (until_us is None or t <= until_us) for t in times_us]
        found = engine.stamped(laid.rows, after_us=after_us, until_us=until_us).read_all()
        assert repr(found.to_pylist()) == repr(every.filter(pa.array(within, pa.bool_())).to_pylist())

    @pytest.mark.parametrize("where", ["file", "journal"])
    def test_a_sum_that_does_not_fit_is_refused_and_one_that_fits_in_the_end_is_not(
        self, engine: Engine, folder: Path, where: str
    ) -> None:
        for last, fits in ((1, False), (-1, True)):
            values = [2**63 - 1, last, *([1, -1] if fits else [])]
            history = History(Group(tuple(FEATURE_TYPES)), ("string",), ())
            columns = {
                "k1": pa.array(["a"] * len(values)),
                "at": times(AT_US + n for n in range(len(values))),
                "n": pa.array(values, pa.int64()),
            }
            rows = stored_as(declared(history, "g"), pa.table(columns), folder, where)
            spine = pa.table({"k1": ["a"], TIME_COLUMN: times([AT_US + HOUR_US])})
            total = Aggregation("total", "sum", Window("lifetime"), "n")
            if fits:
                answer = engine.aggregate(spine, rows, on=["k1"], aggregations=[total], known="event")
                assert answer.column("total").to_pylist() == [2**63 - 2]
            else:
                with pytest.raises(DataError, match="does not fit int64"):
                    engine.aggregate(spine, rows, on=["k1"], aggregations=[total], known="event")

    @_FEW
    @given(data=st.data())
    def test_conditions_on_columns_of_every_type_are_as_in_python(
        self, engine: Engine, folder: Path, data: st.DataObject
    ) -> None:
        group = every_type()
        held = data.draw(st.lists(st.fixed_dictionaries(dict(_EVERY_TYPE)), min_size=1, max_size=4))
        schema = rows_of(group).schema
        columns: dict[str, pa.Array] = {
            name: pa.array([row[name] for row in held], schema.field(name).type) for name in _EVERY_TYPE
        }
        missing = {feature.name: pa.nulls(len(held), schema.field(feature.name).type) for feature in group.features}
        at = times(AT_US + number for number in range(len(held)))
        table = pa.table({"k": ["a"] * len(held), "at": at, **(missing | columns)})
        leaves = [data.draw(_leaves(name, st.sampled_from(values))) for name, values in _EVERY_TYPE_COMPARED.items()]
        asked = [Aggregation(leaf.column, "count", Window("lifetime"), where=leaf) for leaf in leaves]
        spine = pa.table({"k": ["a"], TIME_COLUMN: times([AT_US + HOUR_US])})
        rows = stored_as(group, table, folder, "file")
        found = engine.aggregate(spine, rows, on=["k"], aggregations=asked, known="event").to_pylist()[0]
        for each in asked:
            assert each.where is not None
            expected = [satisfied(each.where, row) for row in table.to_pylist()]
            assert found[each.name] == sum(expected), each.where
            assert [*map(each.where.predicate(), table.to_pylist())] == expected, each.where

    @_FEW
    @given(data=st.data())
    def test_functions_take_values_of_every_type(self, engine: Engine, folder: Path, data: st.DataObject) -> None:
        group = every_type()
        nested = every_value().to_pylist()
        columns = {each.name: each.name for each in group.features}
        makers = {
            name: _EVERY_TYPE.get(name, st.sampled_from([row[name] for row in nested] if name in columns else [None]))
            for name in columns
        }
        held = data.draw(st.lists(st.fixed_dictionaries(makers), min_size=1, max_size=4))
        at = [AT_US + number for number in range(len(held))]
        schema = rows_of(group).schema
        table = pa.table(
            {"k": ["a"] * len(held), "at": times(at)}
            | {name: pa.array([row[name] for row in held], schema.field(name).type) for name in columns}
        )
        asked = [
            Aggregation(f"{function}_{name}", function, Window("lifetime"), name, most)
            for name in columns
            for function, most in (_OF_SCALARS if name in _EVERY_TYPE else _OF_ANY)
        ]
        spine = pa.table({"k": ["a"], TIME_COLUMN: times([AT_US + HOUR_US])})
        rows = stored_as(group, table, folder, "file")
        found = engine.aggregate(spine, rows, on=["k"], aggregations=asked, known="event").to_pylist()[0]
        stored = table.to_pylist()
        for each in asked:
            happened = [Happening(t, ("a",), row[each.column or ""]) for t, row in zip(at, stored, strict=True)]
            wanted = aggregate(each.function, happened, AT_US + HOUR_US, most=each.most)
            assert told(found[each.name]) == told(wanted), each.name

    def test_nan_is_above_all_floats_though_statistics_of_files_leave_it_out(
        self, engine: Engine, folder: Path
    ) -> None:
        history = History(Group(tuple(FEATURE_TYPES)), ("string",), ())
        values = pa.array([0.0, math.nan], pa.float64())
        table = pa.table({"k1": ["a", "a"], "at": times([AT_US, AT_US + 1]), "x": values})
        rows = stored_as(declared(history, "g"), table, folder, "file")
        spine = pa.table({"k1": ["a"], TIME_COLUMN: times([AT_US + HOUR_US])})
        x, nan = col("x"), float("nan")
        wheres = [x < 1, x <= 0, x > 1, x != 0, x == nan, x < nan]
        asked = [
            Aggregation(f"f{number}", "count", Window("lifetime"), where=where) for number, where in enumerate(wheres)
        ]
        found = engine.aggregate(spine, rows, on=["k1"], aggregations=asked, known="event").to_pylist()[0]
        assert [found[each.name] for each in asked] == [1] * len(asked)

    def test_conditions_on_other_columns_and_values_of_other_types_are_refused(
        self, engine: Engine, folder: Path
    ) -> None:
        rows = stored_as(every_type(), every_value(), folder, "file")
        spine = pa.table({"k": ["a"], TIME_COLUMN: times([AT_US])})
        for where, error, match in (
            (col("tex") == "a", NotFoundError, "did you mean 'text'"),
            (col("text") > 1, UsageError, "text is string, compared with 1"),
            (col("number") == "1", UsageError, "compare with a whole number"),
            (col("truth") == 1, UsageError, "True or False"),
            (~(col("money") < 1.5) | (col("number") == 1), UsageError, "decimal.Decimal"),
            (col("numbers") == 1, UsageError, "only is_null"),
        ):
            asked = Aggregation("f", "count", Window("lifetime"), where=where)
            with pytest.raises(error, match=match):
                engine.aggregate(spine, rows, on=["k"], aggregations=[asked], known="event")


def _spine(laid: Laid, data: st.DataObject, on: Sequence[str]) -> list[tuple[tuple[object, ...], int]]:
    stored = [_values(laid, row, on) for row in laid.reference.rows(retracted=True) if not row.retired]
    unknown = tuple(7 if pa.types.is_integer(laid.rows.schema.field(name).type) else "zz" for name in on)
    keys = st.sampled_from([*stored, unknown, (*unknown[:-1], None)])
    shifts = st.sampled_from([0, 0, 1, -1, HOUR_US, 2 * HOUR_US])
    when = st.builds(int.__add__, st.sampled_from(instants(laid.history)), shifts)
    return data.draw(st.lists(st.tuples(keys, when), max_size=8))


def _values(laid: Laid, row: Stored, on: Sequence[str]) -> tuple[object, ...]:
    by_key = dict(zip(laid.rows.keys, row.key, strict=True))
    return tuple(by_key[name] if name in by_key else row.values[name] for name in on)


def _row(laid: Laid, row: Stored) -> dict[str, object]:
    return {**row.values, **dict(zip(laid.rows.keys, row.key, strict=True)), "at": from_us(row.event_time or 0)}


def _aggregated(
    engine: Engine,
    laid: Laid,
    spine: Sequence[tuple[tuple[object, ...], int]],
    *,
    on: Sequence[str],
    aggregations: Sequence[Aggregation],
    known: Known,
) -> list[list[object]]:
    columns = {
        name: pa.array([key[place] for key, _ in spine], laid.rows.schema.field(name).type)
        for place, name in enumerate(on)
    }
    table = pa.table({**columns, TIME_COLUMN: times(t for _, t in spine)})
    found = engine.aggregate(table, laid.rows, on=on, aggregations=aggregations, known=known)
    assert found.num_rows == len(spine)
    assert found.column_names == [*(each.name for each in aggregations), STATUS_COLUMN, EVENT_COLUMN]
    return [list(row.values()) for row in found.to_pylist()]


def _reasons(  # noqa: PLR0913 - one question
    engine: Engine,
    laid: Laid,
    key: tuple[object, ...],
    t: int,
    *,
    on: Sequence[str],
    aggregation: Aggregation,
    known: Known,
) -> dict[tuple[Key, int, int], str]:
    """Return the reasons that an engine gives; what else it says of the rows is compared here."""
    spine = pa.table(
        {name: pa.array([key[place]], laid.rows.schema.field(name).type) for place, name in enumerate(on)}
        | {TIME_COLUMN: times([t])}
    )
    table = engine.explain(spine, laid.rows, on=on, aggregation=aggregation, known=known).read_all()
    stored = {(row.key, row.event_time, row.commit): row for row in laid.reference.rows(retracted=True)}
    found: dict[tuple[Key, int, int], str] = {}
    order: list[tuple[object, ...]] = []
    for each in table.to_pylist():
        place = (tuple(each[name] for name in laid.rows.keys), each[EVENT_COLUMN], each[COMMIT_COLUMN])
        row = stored[place]
        value = None if aggregation.column is None else row.values.get(aggregation.column)
        assert told(each[VALUE_COLUMN]) == told(value)
        assert each[AVAILABLE_COLUMN] == (None if row.available_at is None else from_us(row.available_at))
        by = stored.get((*place[:2], each[BY_COLUMN]))
        assert (by is None) == (each[BY_COLUMN] is None)
        if by is not None:
            assert tuple(each[OF_COLUMN].values()) == _values(laid, by, on)
        assert place not in found
        found[place] = each[REASON_COLUMN]
        order.append((place[1], ordered_key(place[0]), place[2]))
    assert order == sorted(order)
    return found


def _counting(laid: Laid, visible: Sequence[Stored], asked: Aggregation) -> list[Stored]:
    return [row for row in visible if asked.where is None or satisfied(asked.where, _row(laid, row))]


def _newest(events: Sequence[Stored], t: int, span: Span) -> int | None:
    happened = [Happening(row.event_time or 0, row.key, None) for row in events]
    return max((each.time for each in in_window(happened, span, t)), default=None)


def _told(values: Sequence[object]) -> list[str]:
    return [told(value) for value in values]
