"""Law 8: the oracle, DuckDB and Spark give the same values, statuses, event times, and the same bits of windows.

A question costs Spark half a second however small it is. So each asks all that a history can tell: every key at every
time that matters, and every function over every kind of window.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.clock import from_us
from asof.engine.duckdb import DuckDBEngine
from asof.engine.port import EVENT_COLUMN, FOUND, MISSING, STATUS_COLUMN, TIME_COLUMN
from asof.engine.spark import windows
from asof.engine.spark.engine import SparkEngine
from asof.testing.aggregated import MADE, SPANS, WHERES, expected, told
from asof.testing.engine import expected as expected_row
from asof.testing.engine import looked_up
from asof.testing.layouts import Laid, lay, layouts
from asof.testing.played import times
from asof.testing.spark import SPARK
from asof.testing.strategies import Case, cases, instants, play
from asof.testing.windows import Happening, events, in_window, satisfied
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark_session")]

few = settings(
    max_examples=max(settings().max_examples // 15, 1),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MODES = ("served", "event", "K")
ASKED = [
    (Aggregation(f"f{number}_{place}", function, Window(s.kind, s.length_us, s.hop_us), column, most, where), s)
    for place, s in enumerate(SPANS)
    for number, (function, column, most) in enumerate(MADE)
    for where in WHERES[2 + (number + place) % 2 :][: (number + place) % 3 // 2] or [None]
]


@dataclass
class Engines:
    duckdb: DuckDBEngine
    spark: SparkEngine


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("engines"))
    both = Engines(DuckDBEngine("duckdb", root=root), SparkEngine(SPARK, root=root))
    yield both
    both.duckdb.close()
    both.spark.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


def asked_of(history, known, data: st.DataObject):
    """Return a mode; K is some time that matters."""
    return data.draw(st.sampled_from(instants(history))) if known == "K" else known


@pytest.mark.parametrize("known", MODES)
@few
@given(case=cases(), data=st.data())
def test_look_ups_are_the_same_on_every_engine(engines, folder, known: str, case: Case, data: st.DataObject) -> None:
    history = case.history
    laid = lay(history, play(history), data.draw(layouts(history)), folder, pin=case.pin)
    mode = asked_of(history, known, data)
    keys = dict.fromkeys([*(row.key for op in history.ops for row in op.rows), *(key for key, _ in case.spine)])
    spine = [(key, t) for key in keys for t in instants(history)]
    wanted = [expected_row(laid, laid.reference.answer(key, t, known=mode, pin=case.pin)) for key, t in spine]
    assert looked_up(engines.duckdb, laid, spine, mode) == wanted
    assert looked_up(engines.spark, laid, spine, mode) == wanted


@pytest.mark.parametrize("known", MODES)
@pytest.mark.parametrize("part_rows", [1, windows.PART_ROWS], ids=["many parts", "few parts"])
@few
@given(case=cases(static=False), data=st.data())
def test_windows_are_the_same_to_the_bit_on_every_engine(
    engines, folder, monkeypatch, known: str, part_rows: int, case: Case, data: st.DataObject
) -> None:
    monkeypatch.setattr(windows, "PART_ROWS", part_rows)
    history = case.history
    laid = lay(history, play(history), data.draw(layouts(history)), folder, pin=case.pin)
    mode = asked_of(history, known, data)
    on = data.draw(st.sampled_from([laid.rows.keys, laid.rows.keys[:1], ("s",), ("s", laid.rows.keys[0])]))
    bounded = data.draw(st.booleans())  # else a key is one part: a lifetime begins with the first event
    asked = [(each, span) for each, span in ASKED if not bounded or each.window.reach_us is not None]
    every = {values(laid, row, on) for row in laid.reference.rows(retracted=True) if not row.retired}
    spine = [(key, t) for key in sorted(every | {(None,) * len(on)}, key=repr) for t in instants(history)[:6]]
    spine = spine[:: max(len(spine) // 12, 1)]
    columns = {
        name: pa.array([key[at] for key, _ in spine], laid.rows.schema.field(name).type) for at, name in enumerate(on)
    }
    table = pa.table({**columns, TIME_COLUMN: times(t for _, t in spine)})
    question = {"on": on, "aggregations": [each for each, _ in asked], "known": mode}
    one = engines.duckdb.aggregate(table, laid.rows, **question)
    other = engines.spark.aggregate(table, laid.rows, **question)
    assert other.schema == one.schema
    assert bits(other) == bits(one)
    for (key, t), row in zip(spine, other.to_pylist(), strict=True):
        assert oracles(laid, key, t, on=on, asked=asked, known=mode, pin=case.pin) == {
            name: told(value) for name, value in row.items()
        }


def bits(table: pa.Table) -> list[str]:
    """Return columns as text that differs where a bit does, but for the sign of a NaN."""
    return [repr(column.to_pylist()) for column in table.columns]


def values(laid: Laid, row, on) -> tuple[object, ...]:
    by_key = dict(zip(laid.rows.keys, row.key, strict=True))
    return tuple(by_key[name] if name in by_key else row.values[name] for name in on)


def oracles(laid: Laid, key, t: int, *, on, asked, known, pin) -> dict[str, str]:
    """Give what the oracle makes of the windows of a key at a time."""
    if None in key:
        return {**{each.name: told(None) for each, _ in asked}, STATUS_COLUMN: told(MISSING), EVENT_COLUMN: told(None)}
    visible = [row for row in events(laid.reference, t, known=known, pin=pin) if values(laid, row, on) == key]
    found, newest = {}, []
    for each, span in asked:
        counting = [row for row in visible if each.where is None or satisfied(each.where, columns_of(laid, row))]
        found[each.name] = told(expected(counting, t, each, span))
        newest += [happening.time for happening in in_window(happened(counting), span, t)]
    return {**found, STATUS_COLUMN: told(FOUND), EVENT_COLUMN: told(max(newest, default=None))}


def columns_of(laid: Laid, row) -> dict[str, object]:
    return {**row.values, **dict(zip(laid.rows.keys, row.key, strict=True)), "at": from_us(row.event_time or 0)}


def happened(rows):
    return [Happening(row.event_time or 0, row.key, None) for row in rows]
