"""The conformance suite of the engine port: an adapter is right when it answers as the oracle does.

class TestDuckDB(EngineSuite):
    adapter = "duckdb"
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.arrow.layout import stored_schema
from asof.arrow.types import TIMESTAMP
from asof.clock import from_us
from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.port import (
    EVENT_COLUMN,
    EXPIRED,
    FOUND,
    MISSING,
    NO_TIME,
    RETIRED,
    STATUS_COLUMN,
    TIME_COLUMN,
    Engine,
    Known,
    Profile,
    Rows,
)
from asof.errors import BackendError
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, Stamp
from asof.testing.adapters import open_adapter
from asof.testing.engine_keys import KeysSuite
from asof.testing.engine_sql import SqlSuite
from asof.testing.engine_windows import WindowsSuite
from asof.testing.layouts import Laid, lay_stamped, layouts
from asof.testing.played import key_columns, times
from asof.testing.reference import Answer, Key, Stored, canonical
from asof.testing.stored import AT_US, every_type, every_value, rows_of, stored_as
from asof.testing.strategies import FEATURE_TYPES, Case, cases, instants, play

ROW_STATUS = {"MISSING": MISSING, "PRESENT": FOUND, "NULL": FOUND, "EXPIRED": EXPIRED, "RETIRED": RETIRED}

# The same tests run for every adapter, and files stay until the class is done.
searched = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)


class EngineSuite(KeysSuite, WindowsSuite, SqlSuite):
    """What every engine must do; see `asof.engine.port.Engine`.

    Attributes:
        adapter: Name of the entry point.
        url: What a store's settings would say; default: the name.
    """

    adapter: ClassVar[str]
    url: ClassVar[str] = ""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
        """Give the engine under test."""
        root = str(tmp_path_factory.mktemp("engine"))
        engine: Engine = open_adapter("engine", cls.adapter, cls.url or cls.adapter, root=root)
        yield engine
        engine.close()

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Give a folder for data files."""
        return tmp_path_factory.mktemp("files")

    # ---- against the oracle

    @searched
    @given(case=cases(), data=st.data())
    def test_look_ups_are_the_oracles_however_history_lies(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        places = data.draw(layouts(case.history))
        laid = self.lay(case.history, play(case.history), places, folder, pin=case.pin)
        found = looked_up(engine, laid, case.spine, case.known)
        for place, (key, t) in enumerate(case.spine):
            answers = laid.reference.answer(key, t, known=case.known, pin=case.pin)
            assert found[place] == expected(laid, answers), f"{key} at {t}, known={case.known}, {places}"

    @searched
    @given(case=cases(), data=st.data())
    def test_the_commit_of_an_answer_is_that_of_the_newest_row(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        places = data.draw(layouts(case.history))
        laid = self.lay(case.history, play(case.history), places, folder, pin=case.pin)
        table = look_up(engine, laid, case.spine, "event")
        for (key, t), commit in zip(case.spine, table.column(COMMIT_COLUMN).to_pylist(), strict=True):
            rows = [row for row in laid.reference.rows(case.pin) if row.key == key and (row.event_time or 0) <= t]
            newest = max(rows, key=_version, default=None)
            assert commit == (None if newest is None else newest.commit)

    @searched
    @given(case=cases(), data=st.data())
    def test_rows_of_the_future_change_no_answer(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        """Law 2."""
        t = data.draw(st.sampled_from(instants(case.history)))
        known = data.draw(st.sampled_from(("served", "event")))

        def is_past(row: Stored) -> bool:
            if row.event_time is not None and row.event_time > t:
                return False
            return known == "event" or row.available_at is None or row.available_at <= t

        places = data.draw(layouts(case.history))
        reference = play(case.history)
        spine = [(key, t) for key, _ in case.spine]
        whole = look_up(engine, self.lay(case.history, reference, places, folder), spine, known)
        past = look_up(engine, self.lay(case.history, reference, places, folder, keep=is_past), spine, known)
        assert _canonical_rows(whole) == _canonical_rows(past)

    @searched
    @given(case=cases(), data=st.data())
    def test_an_answer_that_is_profiled_is_the_same(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        profile = Profile()
        told = look_up(engine, laid, case.spine, case.known, profile)
        assert _canonical_rows(told) == _canonical_rows(look_up(engine, laid, case.spine, case.known))
        assert profile.files is None or profile.files_read is None or profile.files_read <= profile.files

    @searched
    @given(case=cases(), data=st.data())
    def test_the_order_of_the_spine_and_its_duplicates_change_no_answer(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        """Law 7."""
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        count = len(case.spine)
        taken = data.draw(st.lists(st.integers(0, count - 1), max_size=2 * count)) if count else []
        whole = _canonical_rows(look_up(engine, laid, case.spine, case.known))
        again = _canonical_rows(look_up(engine, laid, [case.spine[i] for i in taken], case.known))
        assert again == [whole[i] for i in taken]

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
        found = _canonical_rows(reader.read_all())
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
        found = _canonical_rows(engine.newest(laid.rows).read_all())
        assert found == [_as_newest(row) for row in newest.values()]
        some = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        keys = pa.table(key_columns(case.history, some))
        chosen = _canonical_rows(engine.newest(laid.rows, keys=keys).read_all())
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
        assert _canonical_rows(table) == [
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
    @given(case=cases(static=False), data=st.data())
    def test_what_a_horizon_drops_no_later_answer_can_show(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder)
        horizon = data.draw(st.sampled_from(instants(case.history)))
        kept = lay_stamped(laid, engine.stamped(laid.rows, horizon_us=horizon).read_all(), folder)
        known = max(case.known, horizon) if isinstance(case.known, int) else case.known
        spine = [(key, max(t, horizon)) for key, t in case.spine]
        before = _canonical_rows(look_up(engine, laid, spine, known))
        assert _canonical_rows(look_up(engine, kept, spine, known)) == before

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
        whole = _canonical_rows(engine.stamped(laid.rows, horizon_us=horizon).read_all())
        width = len(laid.rows.keys)
        chosen = engine.stamped(laid.rows, horizon_us=horizon, keys=keys).read_all()
        assert chosen.schema.names == laid.rows.schema.names
        assert _canonical_rows(chosen) == [row for row in whole if tuple(row[:width]) in some]
        left = engine.stamped(laid.rows, horizon_us=horizon, without=keys).read_all()
        assert left.schema.names == laid.rows.schema.names
        assert _canonical_rows(left) == [row for row in whole if tuple(row[:width]) not in some]

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

    # ---- shapes and types

    def test_an_empty_history_gives_typed_nothing(self, engine: Engine) -> None:
        group = every_type()
        rows = rows_of(group)
        spine = pa.table({"k": pa.array(["a", None]), TIME_COLUMN: times([AT_US, AT_US])})
        found = engine.look_up(spine, rows, columns=["number", "when"], known="event", ttl_us=None)
        assert found.column(STATUS_COLUMN).to_pylist() == [MISSING, MISSING]
        assert found.schema.names == ["number", "when", STATUS_COLUMN, EVENT_COLUMN, COMMIT_COLUMN]
        assert found.schema.field("when").type == TIMESTAMP
        assert engine.scan(rows, columns=["k", "number"]).read_all().num_rows == 0
        assert engine.newest(rows).read_all().num_rows == 0
        assert engine.stamped(rows).read_all().num_rows == 0

    @pytest.mark.parametrize("where", ["file", "journal", "both"])
    def test_an_empty_spine_gives_no_rows(self, engine: Engine, folder: Path, where: str) -> None:
        rows = stored_as(every_type(), every_value(), folder, where)
        spine = pa.table({"k": pa.array([], pa.string()), TIME_COLUMN: times([])})
        found = engine.look_up(spine, rows, columns=["numbers"], known="served", ttl_us=1)
        assert found.num_rows == 0
        assert found.schema.field("numbers").type == rows.schema.field("numbers").type

    @pytest.mark.parametrize("known", ["served", "event", AT_US + 20])
    @pytest.mark.parametrize("where", ["file", "journal", "both"])
    def test_values_of_every_type_come_back_as_they_were(
        self, engine: Engine, folder: Path, where: str, known: Known
    ) -> None:
        group, table = every_type(), every_value()
        rows = stored_as(group, table, folder, where)
        names = [feature.name for feature in group.features]
        keys = table.column("k")
        spine = pa.table({"k": keys, TIME_COLUMN: times([AT_US + 20] * len(keys))})
        found = engine.look_up(spine, rows, columns=names, known=known, ttl_us=None)
        assert found.select(names).schema.types == [table.schema.field(n).type for n in names]
        assert found.select(names).to_pylist() == table.select(names).to_pylist()
        assert engine.scan(rows, columns=["k", *names]).read_all().select(names).equals(table.select(names))
        assert engine.newest(rows).read_all().select(names).equals(table.select(names))
        assert engine.stamped(rows).read_all().select(names).equals(table.select(names))

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [
            ("bool", [False, True]),
            ("int8", [-(2**7), 2**7 - 1]),
            ("int64", [-(2**63), 2**63 - 1]),
            ("bytes", [b"", b"\0\xff"]),
            ("string", ["", "a\0b'\"é"]),
            ("date", [date(1, 1, 1), date(9999, 12, 31)]),
            ("timestamp", [from_us(-1), from_us(AT_US)]),
        ],
    )
    @pytest.mark.parametrize("known", ["served", "event"])
    def test_keys_of_every_type_are_found(
        self, engine: Engine, folder: Path, dtype: str, values: list[object], known: Known
    ) -> None:
        group = FeatureGroup(
            "g", entity=Entity("e", keys={"k": dtype}), features=[Feature("x", "int64")], event_time="at"
        )
        keys = pa.array(values, stored_schema(group).field("k").type)
        table = pa.table({"k": keys, "at": times([AT_US, AT_US]), "x": pa.array([1, 2])})
        rows = stored_as(group, table, folder, "file")
        spine = pa.table({"k": pa.array([*values, None], keys.type), TIME_COLUMN: times([AT_US + 20] * 3)})
        found = engine.look_up(spine, rows, columns=["x"], known=known, ttl_us=None)
        assert found.column("x").to_pylist() == [1, 2, None]
        chosen = engine.newest(rows, keys=pa.table({"k": keys.slice(1)})).read_all()
        assert chosen.column("x").to_pylist() == [2]

    def test_names_that_mean_something_to_engines_are_names_like_others(self, engine: Engine, folder: Path) -> None:
        names = ["order", "select", "r", "s", "b", "h", "t", "x", "best", "file_index", "value", "rowid", "filename"]
        features = [Feature("v", "struct<group: int64, k: int64>"), *(Feature(name, "int64") for name in names)]
        group = FeatureGroup("g", entity=Entity("e", keys={"group": "string"}), features=features, event_time="at")
        struct = stored_schema(group).field("v").type
        table = pa.table(
            {
                "group": pa.array(["a"]),
                "at": times([AT_US]),
                "v": pa.array([{"group": 5, "k": 6}], struct),
                **{name: pa.array([place]) for place, name in enumerate(names)},
            }
        )
        spine = pa.table({"group": pa.array(["a"]), TIME_COLUMN: times([AT_US + 30])})
        for where in ("file", "journal", "both"):
            rows = stored_as(group, table, folder, where)
            for retracted in ({}, {9: AT_US + 25}):  # a retracted commit takes its keys another way
                for known in ("served", "event"):
                    hidden = replace(rows, retracted=retracted)
                    found = engine.look_up(spine, hidden, columns=["v", *names], known=known, ttl_us=None)
                    assert [found.column(name)[0].as_py() for name in names] == list(range(len(names)))
            assert engine.newest(rows).read_all().column("v").to_pylist() == [{"group": 5, "k": 6}]

    def test_features_that_a_file_lacks_are_null_in_it(self, engine: Engine, folder: Path) -> None:
        group = every_type()
        layout = tuple(feature.name for feature in group.features)
        table = every_value()
        rows = stored_as(group, table, folder, "file")
        place, file, stamp = rows.files[0]
        old = str(folder / "old.parquet")
        pq.write_table(pq.read_table(place).drop_columns(list(layout[2:])), old)
        narrow = replace(rows, files=((old, replace(file, width=2), stamp),))
        spine = pa.table({"k": table.column("k"), TIME_COLUMN: times([AT_US + 20] * table.num_rows)})
        found = engine.look_up(spine, narrow, columns=list(layout), known="event", ttl_us=None)
        assert found.select(list(layout)).schema.types == table.select(list(layout)).schema.types
        assert found.column(layout[0]).to_pylist() == table.column(layout[0]).to_pylist()
        assert all(found.column(name).null_count == table.num_rows for name in layout[2:])
        newer = Stamp(2, AT_US + 15, "commit")
        both = replace(narrow, pin=2, files=(*narrow.files, (place, file, newer)))
        again = engine.look_up(spine, both, columns=list(layout), known="served", ttl_us=None)
        assert again.select(list(layout)).to_pylist() == table.select(list(layout)).to_pylist()

    def test_no_columns_wanted_gives_statuses_alone(self, engine: Engine, folder: Path) -> None:
        rows = stored_as(every_type(), every_value(), folder, "file")
        spine = pa.table({"k": pa.array(["full", "zz"]), TIME_COLUMN: times([AT_US + 20] * 2)})
        found = engine.look_up(spine, rows, columns=[], known="event", ttl_us=None)
        assert found.schema.names == [STATUS_COLUMN, EVENT_COLUMN, COMMIT_COLUMN]
        assert found.column(STATUS_COLUMN).to_pylist() == [FOUND, MISSING]

    def test_times_far_away_are_times_like_others(self, engine: Engine, folder: Path) -> None:
        group = FeatureGroup(
            "g",
            entity=Entity("e", keys={"k": "string"}),
            features=[Feature("x", "int64")],
            event_time="at",
            ttl=timedelta(days=36_500),
        )
        first, last = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 and 9999
        table = pa.table({"k": pa.array(["a", "a"]), "at": times([first, last]), "x": pa.array([1, 2])})
        rows = stored_as(group, table, folder, "file", at_us=last)
        spine = pa.table({"k": pa.array(["a"] * 4), TIME_COLUMN: times([first, first + 1, last - 1, last])})
        found = engine.look_up(spine, rows, columns=["x"], known="event", ttl_us=group.ttl_us)
        assert found.column(STATUS_COLUMN).to_pylist() == [FOUND, FOUND, EXPIRED, FOUND]
        assert found.column("x").to_pylist() == [1, 1, None, 2]

    # ---- use

    def test_threads_ask_at_the_same_time(self, engine: Engine, folder: Path) -> None:
        rows = stored_as(every_type(), every_value(), folder, "both")

        def ask(place: int) -> list[object]:
            spine = pa.table(
                {"k": pa.array(["full", "none"][:: 1 - 2 * (place % 2)]), TIME_COLUMN: times([AT_US + 20] * 2)}
            )
            found = engine.look_up(spine, rows, columns=["number"], known="served", ttl_us=None)
            scanned = engine.scan(rows, columns=["k"]).read_all()
            assert scanned.num_rows == 2
            return found.column("number").to_pylist()

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(40)))
        assert answers == [[7, None], [None, 7]] * 20

    def test_a_file_that_is_gone_is_an_error_of_ours(self, engine: Engine, folder: Path) -> None:
        rows = stored_as(every_type(), every_value(), folder, "file")
        Path(rows.files[0][0]).unlink()
        with pytest.raises(BackendError):
            engine.scan(rows, columns=["k"]).read_all()
        spine = pa.table({"k": pa.array(["full"]), TIME_COLUMN: times([AT_US])})
        with pytest.raises(BackendError):
            engine.look_up(spine, rows, columns=["number"], known="event", ttl_us=None)

    def test_a_broken_file_is_an_error_of_ours(self, engine: Engine, folder: Path) -> None:
        rows = stored_as(every_type(), every_value(), folder, "file")
        Path(rows.files[0][0]).write_bytes(b"PAR1 nothing of the kind PAR1")
        with pytest.raises(BackendError):
            engine.newest(rows).read_all()


def look_up(
    engine: Engine, laid: Laid, spine: Sequence[tuple[Key, int]], known: Known, profile: Profile | None = None
) -> pa.Table:
    """Look up a spine of (key, T) with all features."""
    columns = key_columns(laid.history, [key for key, _ in spine])
    table = pa.table({**columns, TIME_COLUMN: times(t for _, t in spine)})
    ttl_us = laid.history.group.ttl_us
    return engine.look_up(table, laid.rows, columns=list(FEATURE_TYPES), known=known, ttl_us=ttl_us, profile=profile)


def looked_up(engine: Engine, laid: Laid, spine: Sequence[tuple[Key, int]], known: Known) -> list[object]:
    """Look up a spine; give (values, status, event time) for each row."""
    table = look_up(engine, laid, spine, known)
    rows = _canonical_rows(table.select([*FEATURE_TYPES, STATUS_COLUMN, EVENT_COLUMN]))
    return [(row[:-2], row[-2], row[-1]) for row in rows]


def expected(laid: Laid, answers: dict[str, Answer]) -> object:
    """Give what `looked_up` must give for an answer of the oracle."""
    values = [answer.value for answer in answers.values()]
    first = next(iter(answers.values()))
    status = ROW_STATUS[first.status]
    static = laid.history.group.static and status != MISSING
    return values, status, NO_TIME if static else first.event_time


def _version(row: Stored) -> tuple[int, int]:
    return (row.event_time or 0, row.commit)


def _by_key_and_version(row: Stored) -> Any:  # noqa: ANN401 - keys have no type that sorts
    return (row.key, *_version(row))


def _types(rows: Rows) -> list[tuple[str, pa.DataType]]:
    return [(name, rows.schema.field(name).type) for name in FEATURE_TYPES]


def _as_newest(row: Stored) -> list[object]:
    return [*row.key, row.event_time or 0, row.commit, row.retired, *row.values.values()]


def _canonical_rows(table: pa.Table) -> list[list[object]]:
    """Give the rows as lists, times as microseconds."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    columns: list[list[object]] = [column.to_pylist() for column in plain]
    return [[canonical(value) for value in row] for row in zip(*columns, strict=True)]
