"""The part of the engine suite that is about keys: which are absent from other rows, and the rows of the first ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.port import Engine, Known
from asof.records import RETIRED_COLUMN
from asof.testing.layouts import Laid, lay, layouts
from asof.testing.played import declared, key_columns, times
from asof.testing.reference import Stored
from asof.testing.stored import AT_US, stored_as
from asof.testing.strategies import FEATURE_TYPES, Case, cases, instants, play


class KeysSuite:
    """What every engine must do with keys; see `absent` and `scan` of `asof.engine.port.Engine`.

    Attributes:
        lay: Writes a history to files; see `asof.testing.layouts.lay`.
    """

    lay: ClassVar[Callable[..., Laid]] = staticmethod(lay)

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)
    @given(case=cases(), data=st.data())
    def test_absent_keys_are_those_alive_that_other_rows_lack(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        until = None if case.history.group.static else data.draw(st.sampled_from(instants(case.history)))
        stored = [row for row in laid.reference.rows(case.pin) if until is None or (row.event_time or 0) <= until]
        newest = {row.key: row for row in sorted(stored, key=_version)}
        every = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        some = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
        columns = key_columns(case.history, some)
        if laid.rows.event_time is not None:
            columns[laid.rows.event_time] = times([AT_US] * len(some))
        where = data.draw(st.sampled_from(["file", "journal", "both"]))
        present = stored_as(declared(case.history, "g"), pa.table(columns), folder, where)
        found = engine.absent(laid.rows, present, until_us=until).read_all()
        assert found.schema.names == list(laid.rows.keys)
        wanted = [key for key, row in newest.items() if not row.retired and key not in some]
        assert [tuple(row.values()) for row in found.to_pylist()] == sorted(wanted)

    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)
    @given(case=cases(), data=st.data())
    def test_the_first_newest_rows_are_those_that_all_of_them_begin_with(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        until = None if case.history.group.static else data.draw(st.sampled_from([None, *instants(case.history)]))
        known: Known = data.draw(st.sampled_from(["event", *instants(case.history)]))
        first = data.draw(st.integers(1, 4))
        names = [*laid.rows.keys, *FEATURE_TYPES]

        def scanned(first: int | None) -> pa.Table:
            return engine.scan(
                laid.rows, columns=names, until_us=until, known=known, latest=True, clocks=True, first=first
            ).read_all()

        whole = scanned(None)
        assert scanned(first).schema == whole.schema
        assert repr(scanned(first).to_pylist()) == repr(whole.slice(0, first).to_pylist())  # NaN is NaN

    def test_the_first_newest_rows_are_found_among_many_others(self, engine: Engine, folder: Path) -> None:
        """Many rows of a key, and keys whose newest row is a retirement, in the file and after it in the journal."""
        entity = Entity("e", keys={"k": "int64"})
        group = FeatureGroup("g", entity=entity, features=[Feature("n", "int64")], event_time="t")
        rows = 30_000
        keys = np.sort(np.random.default_rng(1).integers(0, 60, rows))
        table = pa.table({"k": keys, "t": times([AT_US + at for at in range(rows)]), "n": np.arange(rows)})
        laid = stored_as(group, table, folder, "file")
        ended = pa.table({"k": list(range(40)), "t": times([AT_US + rows] * 40), "n": pa.nulls(40, pa.int64())})
        journal = stored_as(group, ended, folder, "journal").journal
        assert journal is not None
        retired = journal.set_column(
            journal.schema.get_field_index(RETIRED_COLUMN), RETIRED_COLUMN, pa.array([True] * 40)
        )
        both = replace(laid, journal=retired)
        every = engine.scan(both, columns=["k", "n"], latest=True).read_all()
        assert every.column("k").to_pylist() == list(range(40, 60))
        for first in (1, 7, 20, 50):
            assert engine.scan(both, columns=["k", "n"], latest=True, first=first).read_all() == every.slice(0, first)


def _version(row: Stored) -> tuple[int, int]:
    return (row.event_time or 0, row.commit)
