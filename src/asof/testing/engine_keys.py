"""The part of the engine suite that compares keys: which of a history are absent from other rows."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.engine.port import Engine
from asof.testing.layouts import Laid, lay, layouts
from asof.testing.played import declared, key_columns, times
from asof.testing.reference import Stored
from asof.testing.stored import AT_US, stored_as
from asof.testing.strategies import Case, cases, instants, play


class KeysSuite:
    """What every engine must do with the keys of two relations; see `asof.engine.port.Engine.absent`.

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


def _version(row: Stored) -> tuple[int, int]:
    return (row.event_time or 0, row.commit)
