"""Groups whose rows a function gives: by a cursor of its own, or by event time; and what functions do wrong."""

import importlib
import os
import sys
import threading
from datetime import timedelta

import pytest

import asof
from asof import SQL, Call, Entity, Feature, FeatureGroup, Files
from asof.errors import ConflictError, DataError, UnsupportedError, UsageError
from asof.ingest.sources.calls import MOST_CURSOR
from asof.server.definitions import Definitions, definitions_from
from asof.wire.definitions import declared, definition_of

airport = Entity("airport", keys={"origin": "string"})
pytestmark = pytest.mark.embedded("definitions that name functions are applied where the store is")

MODULE = """
from datetime import UTC, datetime, timedelta
import polars as pl
import pyarrow as pa

begin = datetime(2024, 1, 1, tzinfo=UTC)
log = [("JFK", 1, 5.0), ("LGA", 1, 6.0), ("JFK", 2, 7.0), ("JFK", 3, 8.0)]
asked = []
fails_at = None

def rows(some):
    return [{"origin": o, "time_hour": begin + timedelta(hours=h), "temp": t} for o, h, t in some]

def pages(cursor):
    asked.append(cursor)
    at = 0 if cursor is None else cursor["at"]
    while at < len(log):
        if at == fails_at:
            raise ConnectionError("the API is away")
        yield rows(log[at:at + 2]), {"at": min(at + 2, len(log))}
        at += 2

def page(cursor):
    asked.append(cursor)
    at = cursor or 0
    return pl.DataFrame(rows(log[at:at + 3])), min(at + 3, len(log))

def span(start, end):
    asked.append((start, end))
    return pa.Table.from_pylist(rows(r for r in log if (start is None or begin + timedelta(hours=r[1]) > start)
                                     and begin + timedelta(hours=r[1]) <= end))

def spans(start, end):
    asked.append((start, end))
    for row in log:
        if (start is None or begin + timedelta(hours=row[1]) > start) and begin + timedelta(hours=row[1]) <= end:
            yield rows([row])

def outside(start, end):
    return rows([("JFK", 30, 1.0)])

def rubbish(start, end):
    return 5

def nothing(start, end):
    return None

def later_rubbish(start, end):
    yield rows(log[:1])
    yield "rows"

def raises(start, end):
    raise KeyError("token")

def other_columns(start, end):
    return [{"origin": "JFK", "when": begin}]

def no_pair(cursor):
    yield rows(log)

def stuck(cursor):
    yield rows(log[:1]), 1
    yield rows(log[1:2]), 1

def empty(cursor):
    yield [], (cursor or 0) + 1

def endless(cursor):
    yield rows(log), None

def objects(cursor):
    yield rows(log), object()

def tuples(cursor):
    yield rows(log), (1, 2)

def not_a_number(cursor):
    yield rows(log), float("nan")

def too_long(cursor):
    yield rows(log), "x" * 20_000

def raw(start, end):
    return [{"origin": "JFK", "measured": begin + timedelta(hours=1), "celsius": 10}]

def halved(frame: pl.DataFrame):
    if frame["temp"].max() > 100:
        raise RuntimeError("too hot")
    return frame.with_columns(temp=pl.col("temp") / 2)

def none():
    pass

def three(a, b, c):
    pass
"""


def weather(source, **parts):
    given = {"entity": airport, "event_time": "time_hour", "features": [Feature("temp", "float64")]}
    return FeatureGroup("weather", source=source, **(given | parts))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path / "code")
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "feeds.py"
    file.write_text(MODULE)
    sys.modules.pop("feeds", None)
    importlib.invalidate_caches()
    yield importlib.import_module("feeds")
    sys.modules.pop("feeds", None)


def temps(store, **options):
    return store.read("weather", **options).to_arrow().column("temp").to_pylist()


def test_each_pair_is_a_commit_and_the_next_run_begins_with_the_last_cursor(store, module):
    store.apply(weather("feeds:pages"))
    first, second = store.materialize("weather")
    assert (first.kind, first.rows, second.meta["source"]) == ("write", 2, 'cursor {"at": 4}')
    assert store.materialize("weather") == []
    module.log.append(("LGA", 4, 9.0))
    assert [commit.rows for commit in store.materialize("weather")] == [1]
    assert module.asked == [None, {"at": 4}, {"at": 4}]
    assert sorted(temps(store)) == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert dict(store.catalog.describe("weather").facts)["materialized"] == "up to cursor {'at': 5}"


def test_a_function_may_return_one_pair(store, module):
    store.apply(weather(module.page))
    assert [commit.rows for commit in store.materialize("weather")] == [3]
    assert [commit.rows for commit in store.materialize("weather")] == [1]
    assert store.materialize("weather") == []
    assert module.asked == [None, 3, 4]


def test_what_came_before_a_failure_stays_and_the_next_run_goes_on_there(store, module):
    store.apply(weather("feeds:pages"))
    module.fails_at = 2
    with pytest.raises(DataError, match=r"the source feeds:pages failed: ConnectionError: the API is away.*go on"):
        store.materialize("weather")
    assert temps(store) == [5.0, 6.0]
    module.fails_at = None
    assert [commit.rows for commit in store.materialize("weather")] == [2]
    assert module.asked == [None, {"at": 2}]


def test_a_function_of_times_is_asked_for_what_follows_the_last_time(store, module, clock, at):
    store.apply(weather("feeds:span", delay="1h"))
    (commit,) = store.materialize("weather")
    assert (commit.rows, commit.meta["source"]) == (4, "(the beginning, 2024-01-01T23:00:00Z]")
    clock.move(hours=2)
    assert store.materialize("weather") == []
    module.log.append(("JFK", 24, 9.0))
    assert [each.rows for each in store.materialize("weather")] == [1]
    assert module.asked == [(None, at(23)), (at(23), at(25)), (at(23), at(25))], (
        "a time without rows is asked for again"
    )
    assert dict(store.catalog.describe("weather").facts)["materialized"] == "up to 2024-01-02T01:00:00Z"


def test_times_can_be_asked_for_again_and_are_corrections(store, module, at):
    store.apply(weather("feeds:spans"))
    store.materialize("weather")
    module.log[0] = ("JFK", 1, 5.5)
    module.log.append(("LGA", 2, 6.5))
    (again,) = store.materialize("weather", at(0), at(2))
    assert (again.rows, module.asked[-1]) == (4, (at(0), at(2)))
    assert sorted(temps(store, latest=True)) == [6.5, 8.0]
    assert store.materialize("weather") == []
    with pytest.raises(UsageError, match="nothing to take"):
        store.materialize("weather", end=at(2))


def test_history_is_taken_in_pieces_that_a_killed_run_keeps(store, module, at):
    store.apply(weather(Call("feeds:span", every="1h")))
    with pytest.raises(UsageError, match="from which one on"):
        store.materialize("weather")

    def stop(done, _total):
        if done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.materialize("weather", at(0), at(3), progress=stop)
    assert [commit.rows for commit in store.catalog.commits("weather")] == [2]
    assert [commit.rows for commit in store.materialize("weather", backfill=True)] == [1, 1]
    assert module.asked[0] == (at(0), at(1))
    found = store.read("weather", clocks=True).to_arrow().to_pylist()
    assert [row["__available_at"] for row in found if row["temp"] > 6] == [at(2), at(3)]


def test_a_run_that_joins_on_goes_on_from_there(store, module, at):
    store.apply(weather("feeds:span"))
    for end in (1, 2, 3):
        store.materialize("weather", at(end - 1), at(end))
    assert sorted(temps(store)) == [5.0, 6.0, 7.0, 8.0]
    store.materialize("weather")
    assert module.asked[-1] == (at(3), at(24))


def test_an_end_in_the_future_is_now(store, module, clock, at):
    store.apply(weather("feeds:span"))
    store.materialize("weather", end=at(1000))
    assert module.asked == [(None, at(24))]
    clock.move(hours=2)
    module.log.append(("JFK", 25, 9.0))
    assert [commit.rows for commit in store.materialize("weather")] == [1]


def test_bounds_that_leave_a_gap_move_nothing(store, module, at):
    store.apply(weather("feeds:span"))
    store.materialize("weather", at(0), at(1))
    store.materialize("weather", at(2), at(3))
    store.materialize("weather")
    assert module.asked[-1] == (at(1), at(24))
    assert len(temps(store)) == 5, "what lay after the gap is there twice, as a correction"


def test_everything_can_be_asked_for_again_in_one_step(store, module):
    for source in ("feeds:pages", "feeds:span"):
        store.apply(weather(source))
        store.materialize("weather")
        module.log[:] = [("JFK", 1, 5.5)]
        kinds = [commit.kind for commit in store.materialize("weather", full=True)]
        assert kinds.count("write") == 1
        assert kinds.count("retract") >= 1
        assert temps(store) == [5.5]
        assert store.materialize("weather") == []
        module.log.clear()
        with pytest.raises(DataError, match="gave no rows to replace"):
            store.materialize("weather", full=True)
        assert temps(store) == [5.5]
        module.log[:] = [("JFK", 1, 5.0), ("LGA", 1, 6.0), ("JFK", 2, 7.0), ("JFK", 3, 8.0)]
        store.catalog.remove("weather")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("outside", "gave a row of 2024-01-02T06:00:00Z when it was asked for"),
        ("rubbish", "feeds:rubbish gave int, which is no frame"),
        ("nothing", "gave nothing, which is no frame"),
        ("later_rubbish", "gave str, which is no frame"),
        ("raises", "failed: KeyError: 'token'"),
        ("other_columns", "column 'time_hour' is missing|when"),
        ("no_pair", r"gave list, not \(rows, cursor\)"),
        ("endless", "gave the cursor None"),
        ("objects", "gave the cursor <object"),
        ("tuples", r"gave the cursor \(1, 2\), which is no JSON"),
        ("not_a_number", "gave the cursor nan"),
        ("too_long", f"no JSON of up to {MOST_CURSOR:,} characters"),
    ],
)
def test_what_a_function_does_wrong_is_refused_and_nothing_stored(store, module, function, said):
    store.apply(weather(f"feeds:{function}"))
    with pytest.raises(DataError, match=said):
        store.materialize("weather")
    assert store.catalog.commits("weather") == []


def test_rows_after_the_same_cursor_are_refused(store, module):
    store.apply(weather("feeds:stuck"))
    for _ in range(2):  # the second run is given 1, and gets it back with rows
        with pytest.raises(DataError, match="gave rows and the cursor of before"):
            store.materialize("weather")
    assert temps(store) == [5.0]


def test_a_cursor_without_rows_moves_nothing(store, module):
    store.apply(weather("feeds:empty"))
    assert store.materialize("weather") == []
    assert store.materialize("weather") == []
    assert store.catalog.commits("weather") == []


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: weather("feeds:absent"), "the source feeds:absent cannot be imported: AttributeError"),
        (lambda: weather("no_such_module:x"), "cannot be imported: ModuleNotFoundError"),
        (lambda: weather("feeds"), "the source 'feeds' is no module:function"),
        (lambda: weather("os:system"), "is no function"),
        (lambda: weather("feeds:none"), "takes 0 arguments"),
        (lambda: weather("feeds:three"), "takes 3 arguments"),
        (lambda: weather(lambda cursor: []), "cannot be imported by a name"),
        (lambda: Call("feeds:pages", every="1d"), "goes by a cursor"),
        (lambda: Call("feeds:span", every="0s"), "no length of time"),
        (lambda: Call("feeds:span", every="soon"), "no length of time"),
        (lambda: weather("feeds:span", event_time=None), "asked for event times, and this group has none"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(module, declare, said):
    with pytest.raises(UsageError, match=said):
        declare()


def test_bounds_are_not_for_a_cursor(store, module, at):
    store.apply(weather("feeds:pages"))
    with pytest.raises(UsageError, match="goes by a cursor, and not by times"):
        store.materialize("weather", at(0), at(2))


def test_rows_may_be_made_by_sql_of_what_the_function_gives(store, module, at):
    text = SQL("SELECT origin, measured AS time_hour, celsius * 1.8::DOUBLE + 32 AS temp FROM source")
    store.apply(weather("feeds:raw", transform=text))
    store.materialize("weather", at(0), at(2))
    assert temps(store) == [50.0]


def test_rows_of_files_may_be_made_by_a_function_that_fails_for_some(store, module, tmp_path):
    (tmp_path / "exports").mkdir()
    for name, temp in (("a", 10), ("b", 101), ("c", 30)):
        text = f"origin,time_hour,temp\n{name},2024-01-01T01:00:00Z,{temp}\n"
        (tmp_path / "exports" / f"{name}.csv").write_text(text)
    columns = {"origin": "string", "time_hour": "timestamp", "temp": "float64"}
    store.apply(weather(Files("../exports", columns=columns), transform="feeds:halved"))
    with pytest.raises(
        DataError,
        match=r"1 file could not be taken: b.csv: the transformation feeds:halved failed on 1 rows: .*too hot",
    ):
        store.materialize("weather")
    assert temps(store) == [5.0, 15.0]


def test_other_code_is_another_version_and_the_old_one_is_not_called(store, module, tmp_path):
    store.apply(weather("feeds:span"))
    store.materialize("weather")
    file = tmp_path / "code" / "feeds.py"
    file.write_text(
        MODULE.replace("asked.append((start, end))\n    return", "asked.append((start, end, 0))\n    return")
    )
    os.utime(file, (1_800_000_000,) * 2)
    sys.modules.pop("feeds")
    importlib.invalidate_caches()
    with pytest.raises(ConflictError, match="not what it was when it was applied"):
        store.materialize("weather")
    (change,) = store.apply(weather("feeds:span"))
    assert change.action == "new version"
    assert "source: function feeds:span (" in str(change)
    assert [commit.rows for commit in store.materialize("weather")] == [4]
    with pytest.raises(ConflictError, match="not what it was"):
        store.materialize("weather@1")


def test_the_length_of_pieces_may_change_in_place(store, module):
    store.apply(weather("feeds:span"))
    (change,) = store.apply(weather(Call("feeds:span", every="1d")))
    assert change.action == "amend"
    assert "every 1d" in str(change)


def test_the_catalog_shows_the_source(store, module):
    assert "taken from function feeds:pages (" in str(store.apply(weather("feeds:pages")))
    facts = dict(store.catalog.describe("weather").facts)
    assert facts["source"].startswith("function feeds:pages (sha256 ")
    assert facts["materialized"] == "nothing yet"
    assert store.catalog.lineage("weather").reads == ("function feeds:pages",)


def test_two_runs_at_once_take_each_page_once(store, module, folder, clock):
    module.log[:] = [("JFK", hour / 10, float(hour)) for hour in range(60)]
    store.apply(weather("feeds:pages"))
    errors = []

    def run():
        try:
            with asof.open(folder, clock=clock) as other:
                other.materialize("weather")
        except BaseException as error:  # noqa: BLE001 - for the test to see
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [commit.rows for commit in store.catalog.commits("weather")] == [2] * 30
    assert sorted(temps(store)) == [float(hour) for hour in range(60)]


def test_it_is_there_when_the_store_is_opened_again_and_nothing_is_imported(store, module, folder, clock):
    group = weather(Call("feeds:span", every=timedelta(hours=1)))
    store.apply(group)
    store.close()
    sys.modules.pop("feeds")
    with asof.open(folder, clock=clock) as again:
        assert again.catalog.find("weather").definition == group
        assert "feeds" not in sys.modules


def test_code_that_came_over_a_wire_is_refused_and_not_imported(module):
    message = declared(weather("feeds:pages"))
    sys.modules.pop("feeds")
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        definition_of(message)
    import msgspec

    with pytest.raises(UnsupportedError, match="not taken from a client"):
        definitions_from(msgspec.convert({"groups": [message.document]}, Definitions), no_group, most=100)
    assert "feeds" not in sys.modules


def no_group(name):
    raise AssertionError(name)
