"""Groups that are made from others: what may be declared, what is refused, and what a run does."""

import importlib
import linecache
import os
import sys
import textwrap
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pytest

import asof
from asof import SQL, Check, Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Mean
from asof.definitions.documents import group_document
from asof.errors import ConflictError, DataError, UnsupportedError, UsageError
from asof.server.definitions import Definitions, definitions_from
from asof.wire.definitions import declared, definition_of

flight = Entity("flight", keys={"flight": "int64"})
flights = FeatureGroup(
    "flights", entity=flight, event_time="sched", online=True,
    features=[Feature("delay", "float64"), Feature("carrier", "string")],
)  # fmt: skip
LATE = SQL("SELECT flight, sched, delay > 15 AS late, carrier FROM flights")
FEATURES = [Feature("late", "bool"), Feature("carrier", "string")]
MODULE = """
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pandas as pd

def arrow(table):
    late = pc.greater(table["delay"], 15)
    return table.select(["flight", "sched"]).append_column("late", late).append_column("carrier", table["carrier"])

def polars(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("flight", "sched", "carrier", late=pl.col("delay") > 15).reverse()

def pandas(frame: "pd.DataFrame"):
    return frame.assign(late=frame["delay"] > 15).drop(columns="delay")

def raises(table):
    raise KeyError("no such thing")

def fewer(table):
    return arrow(table).slice(1)

def twice(table):
    return pa.concat_tables([arrow(table), arrow(table).set_column(2, "late", pa.nulls(len(table), pa.bool_()))])

def moved(table):
    return arrow(table).set_column(0, "flight", pc.add(table["flight"], 1))

def more_columns(table):
    return arrow(table).append_column("delay", table["delay"])

def other_types(table):
    return table.drop_columns(["delay"]).append_column("late", table["carrier"])

def naive(table):
    return arrow(table).set_column(1, "sched", table["sched"].cast(pa.timestamp("us")))

def nothing(table):
    return None

def two(one, other):
    return one

alias = lambda table: table
value = 3
"""


def made(transform=LATE, name="departures", **others):
    return FeatureGroup(name, entity=flight, source=flights, transform=transform, features=FEATURES, **others)


def rows(*given):
    return [{"flight": f, "sched": at, "delay": delay, "carrier": "UA"} for f, at, delay in given]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give a module that can be imported, and what changes its text."""
    monkeypatch.syspath_prepend(tmp_path / "code")
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "made_by.py"
    seconds = count(1_700_000_000)

    def written(text=MODULE):
        file.write_text(text)
        os.utime(file, (next(seconds),) * 2)  # Python takes a compiled file of the same second and length for it
        sys.modules.pop("made_by", None)

    written()
    yield written
    sys.modules.pop("made_by", None)


@pytest.fixture
def loaded(store, at):
    """Give a store with two flights, one of them late."""
    store.apply(flights)
    store.backfill("flights", rows((1, at(1), 5.0), (2, at(2), 60.0)))
    return store


def test_sql_makes_one_row_of_each_and_goes_on_where_it_ended(loaded, clock, at):
    loaded.apply(made())
    (first,) = loaded.materialize("departures")
    assert (first.kind, first.rows) == ("backfill", 2)
    assert loaded.materialize("departures") == []
    clock.move(hours=1)
    loaded.push("flights", rows((3, at(3), 20.0))[0])
    (second,) = loaded.materialize("departures")
    assert second.rows == 1
    found = loaded.read("departures", clocks=True).to_arrow().to_pylist()
    assert [(each["flight"], each["late"]) for each in found] == [(1, False), (2, True), (3, True)]
    assert [each["__available_at"] for each in found] == [at(1), at(2), at(25)]


def test_made_rows_are_served_and_known_when_their_source_is(loaded, clock, at):
    loaded.apply(made(online=True))
    clock.move(hours=1)
    late = loaded.write("flights", rows((1, at(4), 30.0)))
    clock.move(hours=5)
    loaded.materialize("departures")
    assert loaded.online("departures", {"flight": 1}).values["late"] is True
    spine = [{"flight": 1, "t": at(24.5)}, {"flight": 1, "t": late.committed_at}]
    served = loaded.historical("departures", spine, time="t", known="served").to_arrow()
    assert served.column("late").to_pylist() == [False, True]
    assert loaded.historical("departures", spine, time="t", known="event").to_arrow().column("late").to_pylist() == [
        True,
        True,
    ]


def test_a_correction_a_retirement_and_a_retraction_go_through(loaded, clock, at):
    loaded.apply(made(online=True))
    loaded.materialize("departures")
    wrong = loaded.write("flights", rows((1, at(1), 99.0)))
    loaded.write("flights", rows((1, at(1), 77.0)))
    loaded.retire("flights", {"flight": 2}, event_time=at(5))
    assert [commit.rows for commit in loaded.materialize("departures")] == [1, 2]
    assert loaded.online("departures", {"flight": 1}).values["late"] is True
    assert loaded.online("departures", {"flight": 2}).statuses["late"] == "RETIRED"
    loaded.retract(wrong, reason="wrong")
    anew = loaded.materialize("departures")
    assert [commit.kind for commit in anew] == ["backfill", "retract", "retract"]
    loaded.retract("flights:3", reason="wrong too")
    loaded.materialize("departures")
    assert loaded.online("departures", {"flight": 1}).values["late"] is False
    assert loaded.materialize("departures") == []


def test_everything_and_a_range_can_be_made_again(loaded, at):
    loaded.apply(made())
    loaded.materialize("departures")
    again = loaded.materialize("departures", full=True)
    assert [(commit.kind, commit.rows) for commit in again] == [("backfill", 2), ("retract", 0)]
    (part,) = loaded.materialize("departures", at(1), at(2))
    assert part.rows == 1
    assert loaded.read("departures").to_arrow().num_rows == 3  # as a correction would
    assert loaded.read("departures", latest=True).to_arrow().num_rows == 2
    assert loaded.materialize("departures") == []


def test_the_first_run_may_begin_somewhere(loaded, at):
    loaded.apply(made())
    assert [commit.rows for commit in loaded.materialize("departures", at(1))] == [1]
    assert loaded.materialize("departures") == []
    loaded.backfill("flights", rows((9, at(0), 1.0)))
    assert [commit.rows for commit in loaded.materialize("departures")] == [1]


def test_unchanged_rows_are_skipped(loaded, at):
    loaded.apply(made(on_unchanged="skip"))
    loaded.materialize("departures")
    loaded.backfill("flights", rows((2, at(3), 70.0), (1, at(3), 90.0)))
    (commit,) = loaded.materialize("departures")
    assert (commit.rows, commit.unchanged) == (2, 1)


def test_checks_apply(loaded):
    loaded.apply(made(checks=[Check.one_of("carrier", "AA")]))
    with pytest.raises(DataError, match="carrier"):
        loaded.materialize("departures")
    assert loaded.catalog.commits("departures") == []


def test_nobody_else_writes_to_it(loaded, at):
    loaded.apply(made())
    loaded.materialize("departures")
    for write in (
        lambda: loaded.write("departures", rows((1, at(1), 1.0))),
        lambda: loaded.backfill("departures", rows((1, at(1), 1.0))),
        lambda: loaded.push("departures", rows((1, at(1), 1.0))),
        lambda: loaded.retire("departures", {"flight": 1}, event_time=at(1)),
        lambda: loaded.retract("departures:1", reason="wrong"),
    ):
        with pytest.raises(UsageError, match=r"made from those of flights@1.*change the group 'flights'"):
            write()
    with pytest.raises(UsageError, match="has no transformation"):
        loaded.materialize("flights")


def test_the_catalog_shows_how_it_is_made(loaded):
    plan = loaded.apply(made())
    assert "made from the rows of flights@1 by SELECT flight" in str(plan)
    facts = dict(loaded.catalog.describe("departures").facts)
    assert facts["source"] == "flights@1: one row of each of its rows"
    assert facts["transform"].startswith("sql: SELECT flight, sched")
    assert facts["materialized"] == "up to flights@1:0, 1 commits behind"
    assert loaded.catalog.lineage("departures").reads == ("flights@1",)
    assert loaded.catalog.lineage("flights").read_by == ("departures@1",)
    assert "departures" in {hit.name for hit in loaded.catalog.search("delay > 15")}
    with pytest.raises(ConflictError, match="departures@1 reads flights@1"):
        loaded.catalog.remove("flights")


def test_other_sql_is_another_version_and_both_can_be_made(loaded):
    loaded.apply(made())
    other = made(SQL("SELECT flight, sched, delay > 90 AS late, carrier FROM flights"))
    assert [(change.action, change.version) for change in loaded.apply(other)] == [("new version", 2)]
    for version, late in ((1, [False, True]), (2, [False, False])):
        loaded.materialize(f"departures@{version}")
        assert loaded.read(f"departures@{version}").to_arrow().column("late").to_pylist() == late


def test_made_groups_may_be_made_of_made_groups_and_aggregated(loaded, at):
    first = made()
    second = FeatureGroup("codes", entity=flight, source=first, features=[Feature("late", "int64"), Feature("carrier", "string")],
                          transform=SQL("SELECT flight, sched, late::BIGINT AS late, carrier FROM departures"))  # fmt: skip
    carrier = Entity("carrier", keys={"carrier": "string"})
    of_carrier = FeatureGroup(
        "of_carrier", entity=carrier, source=second, features=[Mean("late", over="5h"), Count(over="5h")]
    )
    view = FeatureView("all", features=[of_carrier["late_mean_5h"], second["late"]])
    loaded.apply(view, of_carrier, second, first)
    loaded.materialize("departures")
    loaded.materialize("codes")
    found = loaded.historical("all", [{"flight": 2, "carrier": "UA", "t": at(3)}], time="t").to_arrow().to_pylist()
    assert [(each["late_mean_5h"], each["late"]) for each in found] == [(0.5, 1)]
    assert loaded.catalog.groups()[0].definition == second


def test_aggregates_of_made_rows_are_served_as_they_are_made_and_made_again(loaded, clock, at):
    carrier = Entity("carrier", keys={"carrier": "string"})
    features = [Count("late", over="48h", name="flown"), Mean("delayed", over="48h", name="share")]
    columns = [Feature("delayed", "int64"), *FEATURES]
    statement = SQL(
        "SELECT *, late::BIGINT AS delayed FROM (SELECT flight, sched, carrier, delay > 15 AS late FROM flights)"
    )
    source = FeatureGroup("departures", entity=flight, source=flights, transform=statement, features=columns)
    loaded.apply(source, FeatureGroup("of_carrier", entity=carrier, source=source, features=features, online=True))
    loaded.materialize("departures")
    assert loaded.online("of_carrier", {"carrier": "UA"}).values == {"flown": 2, "share": 0.5}
    clock.move(minutes=5)
    wrong = loaded.push("flights", rows((3, at(3), 99.0))[0])
    loaded.push("flights", rows((1, at(1), 99.0))[0])
    loaded.materialize("departures")
    assert loaded.online("of_carrier", {"carrier": "UA"}).values == {"flown": 3, "share": 1.0}
    loaded.retract(wrong, reason="wrong")
    loaded.materialize("departures")
    assert loaded.online("of_carrier", {"carrier": "UA"}).values == {"flown": 2, "share": 1.0}
    loaded.materialize("departures", full=True)
    assert loaded.online("of_carrier", {"carrier": "UA"}).values == {"flown": 2, "share": 1.0}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM 'some.csv'", "disabled"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("SELECT * FROM glob('/*')", "disabled"),
        ("ATTACH '/tmp/other.db'", "not one SELECT"),
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "not one SELECT"),
        ("INSTALL httpfs", "not one SELECT"),
        ("SET memory_limit = '100GB'", "not one SELECT"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("-- nothing", "not one SELECT"),
        ("SELECT 1 FROM planes", "planes"),
        ("SELECT flight, sched FROM flights", "column 'late' is missing"),
        ("SELECT flight, sched, 'x' AS late, carrier, delay FROM flights", "delay"),
        ("SELECT flight, sched, delay AS late FROM", "syntax"),
    ],
)
def test_sql_that_asks_for_more_is_refused_when_it_is_applied(loaded, statement, said):
    with pytest.raises((UsageError, DataError), match=said):
        loaded.apply(made(SQL(statement)))
    assert [group.ref for group in loaded.catalog.groups()] == ["flights@1"]


@pytest.mark.embedded("the server's own")
def test_sql_that_takes_too_long_is_stopped(loaded):
    engine = loaded._parts.engine
    while hasattr(engine, "engine"):
        engine = engine.engine
    engine._sandbox._seconds = 0.2
    most = "(SELECT sum(a.range * b.range) FROM range(9999999) a, range(9999999) b)"
    with pytest.raises(DataError, match=r"took longer than 0.2 s"):
        loaded.apply(made(SQL(f"SELECT flight, sched, {most} > flight AS late, carrier FROM flights")))


@pytest.mark.embedded("code is not taken from clients")
@pytest.mark.parametrize("function", ["arrow", "polars", "pandas"])
def test_functions_take_the_frame_that_they_say(loaded, module, function):
    loaded.apply(made(f"made_by:{function}"))
    loaded.materialize("departures")
    assert loaded.read("departures").to_arrow().column("late").to_pylist() == [False, True]


@pytest.mark.embedded("code is not taken from clients")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", r"made_by:raises failed on 2 rows: KeyError: 'no such thing'"),
        ("fewer", "made 1 rows of 2"),
        ("twice", "differ"),
        ("moved", "a row of no row of the source: flight=2|flight=3"),
        ("more_columns", "delay"),
        ("other_types", "late"),
        ("naive", "naive times"),
        ("nothing", "frame"),
    ],
)
def test_what_a_function_does_wrong_is_refused_and_nothing_stored(loaded, module, function, said):
    loaded.apply(made(f"made_by:{function}"))
    with pytest.raises((DataError, UsageError), match=said):
        loaded.materialize("departures")
    assert loaded.catalog.commits("departures") == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("made_by:absent", "cannot be imported: AttributeError"),
        ("no_such_module:x", "cannot be imported: ModuleNotFoundError"),
        ("made_by", "no module:function"),
        ("made_by.arrow", "no module:function"),
        ("os:system('x')", "no module:function"),
        ("os:system", "is no function"),
        ("made_by:value", "is no function"),
        ("made_by:two", "does not take one argument"),
    ],
)
def test_code_that_cannot_be_imported_is_refused(module, code, said):
    with pytest.raises(UsageError, match=said):
        made(code)


def test_functions_without_a_name_are_refused():
    def local(table):
        return table

    for function in (local, lambda table: table, print, Clocked.method):
        with pytest.raises(UsageError, match="cannot be imported by a name"):
            made(function)


class Clocked:
    def method(self):
        """Do nothing."""


@pytest.mark.embedded("code is not taken from clients")
def test_other_code_is_another_version_and_the_old_one_is_not_run(loaded, module):
    import made_by

    group = made(made_by.arrow)
    loaded.apply(group)
    loaded.materialize("departures")
    module(MODULE.replace('table["delay"], 15', 'table["delay"], 90'))
    with pytest.raises(ConflictError, match="not what it was when it was applied"):
        loaded.materialize("departures")
    with pytest.raises(ConflictError, match="not what it was"):
        loaded.apply(group)
    (change,) = loaded.apply(made("made_by:arrow"))
    assert change.action == "new version"
    assert "made_by:arrow (" in str(change)
    loaded.materialize("departures")
    assert loaded.read("departures").to_arrow().column("late").to_pylist() == [False, False]
    with pytest.raises(ConflictError):
        loaded.materialize("departures@1", full=True)
    module("")
    with pytest.raises(UsageError, match="cannot be imported"):
        loaded.materialize("departures")
    assert loaded.read("departures@1").to_arrow().column("late").to_pylist() == [False, True]


@pytest.mark.embedded("a server takes no functions")
@pytest.mark.parametrize("again", ["in this process", "imported anew"])
def test_a_file_that_was_edited_after_python_took_it_is_refused(module, loaded, again, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    loaded.apply(made("made_by:arrow"))
    taken = importlib.import_module("made_by")
    file = Path(taken.__file__)
    when = file.stat().st_mtime
    file.write_text(file.read_text().replace("> 15", "> 50").replace('"delay"], 15', '"delay"], 50'))
    os.utime(file, (when, when))  # the same second and length: Python takes the compiled file for it
    linecache.clearcache()
    if again == "imported anew":
        del sys.modules["made_by"]
        importlib.invalidate_caches()
    with pytest.raises(ConflictError, match=r"edited after Python took it.*__pycache__"):
        loaded.materialize("departures")
    with pytest.raises(ConflictError, match="edited after Python took it"):
        loaded.apply(made("made_by:arrow"))
    module(file.read_text())
    loaded.apply(made("made_by:arrow"))
    assert [each.version for each in loaded.catalog.groups() if each.definition.name == "departures"] == [1, 2]


def test_a_server_takes_no_code_from_clients(loaded, module, place):
    if place == "embedded":
        loaded.apply(made("made_by:arrow"))
        return
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        loaded.apply(made("made_by:arrow"))


@pytest.mark.embedded("of messages, whatever the store")
def test_code_that_came_over_a_wire_is_refused_and_not_imported(module):
    message = declared(made("made_by:arrow"))
    sys.modules.pop("made_by")
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        definition_of(message)
    body = {"groups": [group_document(flights), {**message.document, "origin": "flights"}]}
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        definitions_from(msgspec.convert(body, Definitions), no_group, most=100)
    assert "made_by" not in sys.modules
    body["groups"][1]["transform"] = {"language": "sql", "code": LATE.text}
    asked = msgspec.convert({"groups": body["groups"][::-1]}, Definitions)
    assert definitions_from(asked, no_group, most=100) == [flights, made()]
    assert definition_of(declared(made())) == made()


def no_group(name):
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"source": None}, "of which group"),
        ({"event_time": "other"}, "another event time"),
        ({"entity": Entity("other", keys={"flight": "int64"})}, "another entity"),
        ({"delay": "1h"}, "delay= says nothing here"),
        ({"source_keys": {"flight": "carrier"}}, "source_keys= says nothing here"),
        ({"source": FeatureGroup("s", entity=flight, features=[Feature("x", "int64")])}, "is static"),
        ({"features": [Count(over="1h")]}, "of which group"),
        ({"external": "parquet:somewhere"}, "source= is not for rows that stay outside"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(others, said):
    with pytest.raises(UsageError, match=said):
        FeatureGroup("m", **{"entity": flight, "source": flights, "transform": LATE, "features": FEATURES} | others)


def test_what_is_forgotten_is_forgotten_in_what_was_made(loaded):
    loaded.apply(made(online=True))
    loaded.materialize("departures")
    loaded.forget("flight", {"flight": 2})
    assert loaded.read("departures").to_arrow().column("flight").to_pylist() == [1]
    loaded.materialize("departures", full=True)
    assert loaded.read("departures").to_arrow().column("flight").to_pylist() == [1]


def test_progress_counts_the_rows_of_the_source(loaded):
    loaded.apply(made())
    told = []
    loaded.materialize("departures", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)
    assert told == sorted(told)


@pytest.mark.embedded("the clock is the store's")
def test_a_row_of_the_source_that_is_ahead_of_the_clock_is_made_all_the_same(loaded, clock):
    loaded.apply(made())
    loaded.materialize("departures")
    ahead = datetime(2024, 1, 2, 0, 0, 30, tzinfo=UTC)
    commit = loaded.push("flights", rows((5, ahead, 16.0))[0])
    (new,) = loaded.materialize("departures")
    assert new.committed_at >= commit.committed_at > clock()


@pytest.mark.embedded("of the definitions, whatever the store")
def test_many_rows_pass_in_batches(loaded, at, module, tmp_path, monkeypatch):
    from asof.ingest import materialize

    monkeypatch.setattr(materialize, "BATCH_ROWS", 1000)
    module(
        MODULE
        + textwrap.dedent("""
        sizes = []
        def counted(table):
            sizes.append(table.num_rows)
            return arrow(table)
        """)
    )
    loaded.backfill(
        "flights",
        pl.DataFrame({"flight": range(5000), "sched": [at(5)] * 5000, "delay": 1.0, "carrier": "AA"}).to_arrow(),
    )
    loaded.apply(made("made_by:counted"))
    assert sum(commit.rows for commit in loaded.materialize("departures")) == 5002
    import made_by

    assert max(made_by.sizes) <= 1000
    assert isinstance(loaded.read("departures").to_arrow(), pa.Table)


@pytest.mark.embedded("of the definitions, whatever the store")
def test_what_was_published_stays_if_a_later_chunk_fails(loaded, at, module, monkeypatch):
    from asof.ingest import materialize

    monkeypatch.setattr(materialize, "CHUNK_ROWS", 1)
    module(
        MODULE
        + textwrap.dedent("""
        fails = True
        def sometimes(table):
            if fails and 3 in table["flight"].to_pylist():
                raise RuntimeError("not yet")
            return arrow(table)
        """)
    )
    loaded.apply(made("made_by:sometimes"))
    for flight_id in (3, 4):
        loaded.backfill("flights", rows((flight_id, at(5), 1.0)))
    with pytest.raises(DataError, match="not yet"):
        loaded.materialize("departures")
    assert loaded.read("departures").to_arrow().column("flight").to_pylist() == [1, 2]
    import made_by

    made_by.fails = False
    assert [commit.rows for commit in loaded.materialize("departures")] == [1, 1]
    assert loaded.read("departures").to_arrow().column("flight").to_pylist() == [1, 2, 3, 4]


def test_it_is_there_when_the_store_is_opened_again(loaded, folder, clock):
    loaded.apply(made())
    loaded.materialize("departures")
    loaded.close()
    with asof.open(folder, clock=clock) as again:
        assert again.catalog.find("departures").definition == made()
        assert again.materialize("departures") == []
