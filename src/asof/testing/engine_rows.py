"""The part of the engine suite that gives rows as they are stored: scans, newest rows, comparisons, stamped rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.port import Engine, Rows
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN
from asof.testing.layouts import Laid, lay, layouts
from asof.testing.played import key_columns, times
from asof.testing.reference import Stored, canonical
from asof.testing.stored import AT_US, stored_as
from asof.testing.strategies import FEATURE_TYPES, Case, cases, instants, play

# The same tests run for every adapter, and files stay until the class is done.
searched = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)


class RowsSuite:
    """What every engine must do with the rows of a history; see `asof.engine.port.Engine`.

    Attributes:
        lay: Writes a history to files; see `asof.testing.layouts.lay`.
    """

    lay: ClassVar[Callable[..., Laid]] = staticmethod(lay)

    @searched
    @given(case=cases(), data=st.data())
    def test_a_scan_gives_the_rows_of_an_interval_in_version_order(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        bounds = st.one_of(st.none(), st.sampled_from(instants(case.history)))
        after, until = (None, None) if case.history.group.static else (data.draw(bounds), data.draw(bounds))
        latest = data.draw(st.booleans())
        wanted = [
            row
            for row in laid.reference.rows(case.pin)
            if (after is None or (row.event_time or 0) > after) and (until is None or (row.event_time or 0) <= until)
        ]
        ordered = sorted(wanted, key=_by_key_and_version)
        if latest:
            ordered = list({row.key: row for row in ordered}.values())
        columns = [*laid.rows.keys, *FEATURE_TYPES]
        reader = engine.scan(laid.rows, columns=columns, after_us=after, until_us=until, latest=latest, clocks=True)
        assert reader.schema.names == [*columns, COMMIT_COLUMN, AVAILABLE_COLUMN]
        found = canonical_rows(reader.read_all())
        assert found == [
            [*row.key, *row.values.values(), row.commit, row.available_at] for row in ordered if not row.retired
        ]

    @searched
    @given(case=cases(), data=st.data())
    def test_the_newest_row_of_each_key_counts_retirements_and_no_retracted_rows(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        newest = {row.key: row for row in sorted(laid.reference.rows(case.pin), key=_by_key_and_version)}
        found = canonical_rows(engine.newest(laid.rows).read_all())
        assert found == [_as_newest(row) for row in newest.values()]
        some = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        keys = pa.table(key_columns(case.history, some))
        chosen = canonical_rows(engine.newest(laid.rows, keys=keys).read_all())
        assert chosen == [_as_newest(row) for row in newest.values() if row.key in some]

    @searched
    @given(case=cases(), data=st.data())
    def test_rows_are_compared_with_the_newest_row_of_their_key(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        stored = laid.reference.rows(case.pin, retracted=True)
        newest = {row.key: row for row in sorted(laid.reference.rows(case.pin), key=_by_key_and_version)}
        keys = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        blank = dict.fromkeys(FEATURE_TYPES)
        given_ = [data.draw(st.sampled_from([blank, *(row.values for row in stored)])) for _ in keys]
        t = data.draw(st.sampled_from(instants(case.history)))
        columns = {name: pa.array([values[name] for values in given_], kind) for name, kind in _types(laid.rows)}
        frame = pa.table({**key_columns(case.history, keys), **columns, "__event": pa.array([t] * len(keys))})
        for key, values, found in zip(keys, given_, engine.compare(laid.rows, frame).to_pylist(), strict=True):
            row = newest.get(key)
            if row is None or row.retired or (row.event_time or 0) > t:
                assert set(found.values()) == {None}
                continue
            assert {name: found[name] for name in values} == {
                name: [value] != [row.values[name]] for name, value in values.items()
            }
            assert found["__same"] == (values == row.values)
            named = [other for other in stored if other.key == key and other.values == row.values]
            versions = [(other.event_time or 0, other.commit) for other in named]
            assert (found["__named_event"], found["__named_commit"]) in versions

    @searched
    @given(case=cases(), data=st.data())
    def test_stamped_rows_are_all_rows_with_their_clocks(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        table = engine.stamped(laid.rows).read_all()
        assert table.schema.names == laid.rows.schema.names
        rows = sorted(laid.reference.rows(case.pin, retracted=True), key=_by_key_and_version)
        assert canonical_rows(table) == [
            [
                *row.key,
                *(() if row.event_time is None else (row.event_time,)),
                *row.values.values(),
                row.retired,
                row.commit,
                row.available_at,
            ]
            for row in rows
        ]

    @searched
    @given(case=cases(), data=st.data())
    def test_stamped_rows_of_some_keys_and_those_without_them_are_all_rows(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        every = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        some = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
        keys = pa.table(key_columns(case.history, some))
        horizon = None if case.history.group.static else data.draw(st.sampled_from([None, *instants(case.history)]))
        whole = canonical_rows(engine.stamped(laid.rows, horizon_us=horizon).read_all())
        width = len(laid.rows.keys)
        chosen = engine.stamped(laid.rows, horizon_us=horizon, keys=keys).read_all()
        assert chosen.schema.names == laid.rows.schema.names
        assert canonical_rows(chosen) == [row for row in whole if tuple(row[:width]) in some]
        left = engine.stamped(laid.rows, horizon_us=horizon, without=keys).read_all()
        assert left.schema.names == laid.rows.schema.names
        assert canonical_rows(left) == [row for row in whole if tuple(row[:width]) not in some]

    @pytest.mark.parametrize("where", ["file", "journal", "both"])
    def test_stamped_rows_of_composite_keys_are_told_apart_wherever_they_lie(
        self, engine: Engine, folder: Path, where: str
    ) -> None:
        entity = Entity("e", keys={"k": "string", "n": "int64"})
        group = FeatureGroup("g", entity=entity, features=[Feature("x", "int64")], event_time="at")
        names = {"k": pa.array(["a", "a1", "a", ""]), "n": pa.array([11, 1, 1, 0])}  # "a" + "11" is "a1" + "1"
        table = pa.table({**names, "at": times([AT_US] * 4), "x": pa.array([1, 2, 3, 4])})
        rows = stored_as(group, table, folder, where)
        asked = pa.table({"k": pa.array(["a", "zz", ""]), "n": pa.array([11, 1, 0])})
        assert sorted(engine.stamped(rows, keys=asked).read_all().column("x").to_pylist()) == [1, 4]
        assert sorted(engine.stamped(rows, without=asked).read_all().column("x").to_pylist()) == [2, 3]
        both = engine.stamped(rows, keys=asked, without=asked.slice(2)).read_all()
        assert both.column("x").to_pylist() == [1]


def version(row: Stored) -> tuple[int, int]:
    """Give what orders the rows of a key."""
    return (row.event_time or 0, row.commit)


def _by_key_and_version(row: Stored) -> Any:  # noqa: ANN401 - keys have no type that sorts
    return (row.key, *version(row))


def _types(rows: Rows) -> list[tuple[str, pa.DataType]]:
    return [(name, rows.schema.field(name).type) for name in FEATURE_TYPES]


def _as_newest(row: Stored) -> list[object]:
    return [*row.key, row.event_time or 0, row.commit, row.retired, *row.values.values()]


def canonical_rows(table: pa.Table) -> list[list[object]]:
    """Give the rows as lists, times as microseconds."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    columns: list[list[object]] = [column.to_pylist() for column in plain]
    return [[canonical(value) for value in row] for row in zip(*columns, strict=True)]
