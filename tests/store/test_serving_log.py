"""The serving log: what is kept of online answers, and what happens when it cannot be."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.cli.app import app
from asof.errors import ConflictError, NotFoundError, UsageError
from asof.serving import log as serving_log
from asof.serving.log_rows import ANSWERS
from asof.serving.receipt import Receipt


@pytest.fixture
def view(weather):
    """Give a maker of a view that logs every answer; keywords change its parts."""
    return lambda **parts: FeatureView("departure", **({"features": [weather()], "log": 1.0} | parts))


@pytest.fixture
def logging(store, weather, view, at):
    """Give the store with two airports and a view that logs."""
    store.apply(weather(), view())
    rows = [{"origin": o, "time_hour": at(24), "temp": t, "visib": None} for o, t in (("JFK", 1.0), ("LGA", 2.0))]
    store.push("weather", rows)
    return store


def logged(store, name="departure_log"):
    store._log.flush()
    return sorted(store.read(name).to_arrow().to_pylist(), key=lambda row: row["answer"])


# ---- what is declared


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), True, "all", None])
def test_the_rate_is_a_share(weather, rate):
    with pytest.raises(UsageError, match=r"log=.* is no share of the answers \[view departure\] -> pass 1.0"):
        FeatureView("departure", features=[weather()], log=rate)


def test_the_name_of_the_log_must_fit(weather):
    name = "d" * 60
    assert FeatureView(name, features=[weather()]).log == 0.0
    with pytest.raises(UsageError, match=r"longer than 63.*shorten the name of the view by 1, or leave out log="):
        FeatureView(name, features=[weather()], log=0.5)


def test_apply_registers_the_log_beside_the_view_and_shows_it(store, weather, view):
    plan = store.plan(weather(), view())
    assert str(plan) == str(store.apply(weather(), view()))
    assert "+ view departure@1: create" in str(plan)
    assert "    log: 1 of the answers" in str(plan)
    assert "+ group departure_log@1: create" in str(plan)
    assert not store.apply(weather(), view())
    group = store.catalog.describe("departure_log")
    assert ("description", "what the view departure answered online (serving log, written by asof)") in group.facts
    assert any(name == "tags" and "serving_log=departure" in text for name, text in group.facts)
    assert ("online", "no") in group.facts
    features = {name: dtype for name, dtype, _, _ in group.features}
    assert features["keys"] == "struct<origin: string>"
    assert features["values"] == "struct<temp: float64, visib: float64>"
    assert "departure_log" in [hit.name.partition("@")[0] for hit in store.catalog.search("serving log")]


def test_the_rate_changes_in_place_and_the_log_stays(store, weather, view):
    store.apply(weather(), view(log=0))
    assert [g.ref for g in store.catalog.groups()] == ["weather@1"]
    assert str(store.apply(weather(), view(log=0.5))).count("departure@1: amend\n    log: 0.0 -> 0.5") == 1
    assert store.catalog.views()[0].definition.log == 0.5
    store.apply(weather(), view(log=0))
    assert [g.ref for g in store.catalog.groups()] == ["departure_log@1", "weather@1"]
    assert store.catalog.views()[0].ref == "departure@1"


def test_a_view_from_before_the_log_is_unchanged(store, weather, view):
    import json

    from sqlalchemy import select, update

    from asof.registry.sql.tables import view_version

    store.apply(weather(), view(log=0))
    with store._parts.registry._database.write() as connection:
        body = json.loads(connection.execute(select(view_version.c.body)).scalar())
        del body["log"]
        connection.execute(update(view_version).values(body=json.dumps(body)))
    assert store.catalog.views()[0].definition.log == 0.0
    assert not store.apply(weather(), view(log=0))
    assert "log: 0.0 -> 1.0" in str(store.plan(weather(), view()))


def test_a_changed_view_makes_a_new_version_of_the_log_and_old_rows_stay_readable(logging, weather, view):
    logging.online("departure", {"origin": "JFK"})
    logging._log.flush()
    changed = view(features=[weather()["temp"].alias("t")])
    assert "^ group departure_log@2: new version" in str(logging.apply(weather(), changed))
    logging.online("departure", {"origin": "JFK"})
    logging.online("departure@1", {"origin": "LGA"})
    assert [row["values"] for row in logged(logging)] == [{"t": 1.0}]
    assert sorted((row["view"], row["values"]["temp"]) for row in logged(logging, "departure_log@1")) == [
        ("departure@1", 1.0),
        ("departure@1", 2.0),
    ]


def test_a_name_that_is_taken_is_refused(store, weather, view, airport):
    taken = FeatureGroup("departure_log", entity=airport, features=[Feature("x", "int64")])
    store.apply(taken)
    with pytest.raises(
        ConflictError, match="log of view 'departure' would be the group 'departure_log', which is some"
    ):
        store.apply(weather(), view())
    assert [g.ref for g in store.catalog.groups()] == ["departure_log@1"]
    store.catalog.remove("departure_log")
    with pytest.raises(ConflictError, match="would be the group 'departure_log', which is something else"):
        store.apply(weather(), taken, view())
    store.apply(weather(), FeatureView("departure_log", features=[weather()]))
    with pytest.raises(ConflictError, match="'departure_log' is already the name of a view"):
        store.apply(weather(), view())
    store.catalog.remove("departure_log")
    store.apply(weather(), view())
    with pytest.raises(ConflictError, match="'departure_log' is already the name of a serving log"):
        store.apply(taken)


def test_the_log_outlives_its_view_and_goes_by_its_own_name(logging):
    logging.online("departure", {"origin": "JFK"})
    logging._log.flush()
    assert logging.catalog.remove("departure") == []
    assert len(logged(logging)) == 1
    assert logging.catalog.remove("departure_log") == ["departure_log@1"]
    with pytest.raises(NotFoundError):
        logging.quality.serving_log("departure")


def test_the_command_that_removes_a_view_says_that_its_log_stays(logging, folder):
    logging.close()
    removed = CliRunner().invoke(app, ["remove", str(folder), "departure", "--yes"])
    assert removed.exit_code == 0
    assert "what it answered online is kept in departure_log" in removed.stderr
    removed = CliRunner().invoke(app, ["remove", str(folder), "departure_log", "--yes"])
    assert (removed.exit_code, removed.stderr) == (0, "")


def test_a_view_made_anew_under_the_same_name_is_not_taken_for_the_old_one(logging, weather, view):
    logging.online("departure", {"origin": "JFK"})
    logging.catalog.remove("departure")
    logging.apply(weather(), view(features=[weather()["visib"], weather()["temp"]]))
    logging.online("departure", {"origin": "JFK"})
    assert [row["values"] for row in logged(logging)] == [{"visib": None, "temp": 1.0}]
    assert [row["values"] for row in logged(logging, "departure_log@1")] == [{"temp": 1.0, "visib": None}]


def test_answers_before_and_after_a_feature_was_added_are_one_batch(logging, weather, view):
    logging.online("departure", {"origin": "JFK"})
    more = weather(features=[*weather().features, Feature("wind", "float64")])
    logging.apply(more, view(features=[more["temp"], more["visib"]]))
    logging.online("departure", {"origin": "LGA"})
    assert [row["values"]["temp"] for row in logged(logging)] == [1.0, 2.0]


def test_a_log_is_not_removed_while_its_view_writes_it(logging, weather, view):
    for name in ("departure_log", "departure_log@1"):
        with pytest.raises(ConflictError, match="view departure@1 logs its answers in departure_log"):
            logging.catalog.remove(name)
    logging.apply(weather(), view(log=0))
    assert logging.catalog.remove("departure_log") == ["departure_log@1"]


def test_an_older_version_of_a_log_is_removed_beside_the_one_that_is_written(logging, weather, view):
    logging.apply(weather(), view(features=[weather()["temp"]]))
    assert logging.catalog.remove("departure_log@1") == ["departure_log@1"]
    with pytest.raises(ConflictError, match="view departure@2 logs"):
        logging.catalog.remove("departure_log@2")


def test_a_log_that_another_process_removed_is_told_and_comes_back_with_the_view(logging, folder, clock, weather, view):
    logging.online("departure", {"origin": "JFK"}, request=None)
    logging.quality.serving_log("departure", flush=True)
    with asof.open(folder, clock=clock) as other:
        other.catalog.remove("departure")
        other.catalog.remove("departure_log")
    assert logging.online("departure", {"origin": "JFK"}).values["temp"] == 1.0
    logging._log.flush()
    counts = logging._log.counts("departure")
    assert (counts.written, counts.failed) == (1, 1)
    assert "the serving log 'departure_log' is gone -> apply the view 'departure' again" in counts.last_error
    (finding,) = logging.quality.doctor().findings
    assert str(finding).startswith("serving log: answers of departure: the serving log 'departure_log' is gone")
    assert "+ group departure_log@1: create" in str(logging.apply(weather(), view()))
    logging.online("departure", {"origin": "JFK"})
    assert logging.quality.serving_log("departure", flush=True).written == 2
    assert logging.quality.doctor().healthy


# ---- what is kept


def test_a_row_is_the_answer_with_its_receipt(logging, clock):
    vector = logging.online("departure", {"origin": "JFK"}, request={"amount": 2, "tags": ["a", None]})
    (row,) = logged(logging)
    assert row.pop("answer")
    assert row == {
        "clock": vector.receipt.clock,
        "view": "departure@1",
        "keys": {"origin": "JFK"},
        "values": {"temp": 1.0, "visib": None},
        "statuses": "PN",
        "commits": '{"weather@1": 1}',
        "request": '{"amount":2,"tags":["a",null]}',
        "semantics": 1,
        "applying": False,
    }
    assert Receipt.from_dict(row) == vector.receipt
    again = logging.replay(row)
    assert (again.values, again.statuses) == (vector.values, vector.statuses)
    (commit,) = logging.catalog.commits("departure_log")
    assert commit.meta == {"serving_log": "departure"}


def test_every_status_is_kept(logging, clock, at):
    logging.retire("weather", {"origin": "LGA"}, event_time=at(24))
    for origin in ("JFK", "LGA", "SFO", None):
        logging.online("departure", {"origin": origin})
    clock.move(hours=6)
    logging.online("departure", {"origin": "JFK"})
    assert [row["statuses"] for row in logged(logging)] == ["PN", "RR", "MM", "MM", "EE"]


def test_many_keys_are_many_rows_of_one_clock(logging):
    vectors = logging.online("departure", [{"origin": "JFK"}, {"origin": "LGA"}], request={"n": 1})
    rows = logged(logging)
    assert [row["keys"]["origin"] for row in rows] == ["JFK", "LGA"]
    assert {row["clock"] for row in rows} == {vectors[0].receipt.clock}
    assert {row["request"] for row in rows} == {'{"n":1}'}
    for row, vector in zip(rows, vectors, strict=True):
        assert logging.replay(row).values == vector.values == logging.replay(vector.receipt).values


def test_what_the_caller_does_with_an_answer_does_not_change_the_log(logging):
    keys, request = {"origin": "JFK"}, {"deep": [1]}
    vector = logging.online("departure", keys, request=request)
    keys["origin"] = "LGA"
    request["deep"].append(2)
    vector.values["temp"] = -1.0
    (row,) = logged(logging)
    assert (row["keys"], row["request"], row["values"]["temp"]) == ({"origin": "JFK"}, '{"deep":[1]}', 1.0)


def test_a_share_of_the_answers_is_a_sample(logging, weather, view):
    logging.apply(weather(), view(log=0.25))
    for _ in range(400):
        logging.online("departure", {"origin": "JFK"})
    logging.online("departure", [{"origin": "JFK"}] * 400)
    assert 120 < logging.quality.serving_log("departure", flush=True).written < 280


def test_nothing_is_logged_for_a_group_or_a_view_without_log(logging, weather, view):
    logging.online("weather", {"origin": "JFK"})
    logging.apply(weather(), view(log=0))
    logging.online("departure", {"origin": "JFK"})
    assert logging._log._thread is None
    assert logged(logging) == []


EVERY_TYPE = {
    "a_bool": ("bool", True),
    "an_int8": ("int8", -128),
    "an_int64": ("int64", 2**62),
    "a_float32": ("float32", 0.5),
    "a_float64": ("float64", float("inf")),
    "a_text": ("string", "ü\0x"),
    "some_bytes": ("bytes", b"\0\xff"),
    "a_date": ("date", date(2024, 2, 29)),
    "a_moment": ("timestamp", datetime(2024, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)),
    "a_decimal": ("decimal(20, 3)", Decimal("-12345678901234567.125")),
    "a_list": ("list<int64>", [1, None, 3]),
    "a_vector": ("vector<float32, 3>", [1.0, None, 3.0]),
    "a_struct": (
        "struct<x: int8, at: timestamp, many: list<struct<d: date>>>",
        {"x": 1, "at": datetime(2024, 1, 1, tzinfo=UTC), "many": [{"d": date(2024, 1, 1)}, {"d": None}]},
    ),
}
KEY_VALUES = {
    "k_bool": ("bool", True),
    "k_int": ("int16", -5),
    "k_text": ("string", "ü\0x"),
    "k_bytes": ("bytes", b"\0\xff"),
    "k_date": ("date", date(2024, 2, 29)),
    "k_moment": ("timestamp", datetime(2024, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)),
}


@pytest.fixture
def things(store, at):
    """Give the store with a view of all types of keys and features: a full row, and one of nulls."""
    group = FeatureGroup(
        "things",
        entity=Entity("thing", keys={name: dtype for name, (dtype, _) in KEY_VALUES.items()}),
        event_time="t",
        features=[Feature(name, dtype) for name, (dtype, _) in EVERY_TYPE.items()],
        online=True,
    )
    store.apply(group, FeatureView("all_types", features=[group], log=1.0))
    keys = {name: value for name, (_, value) in KEY_VALUES.items()}
    full = keys | {"t": at(24)} | {name: value for name, (_, value) in EVERY_TYPE.items()}
    store.push("things", full)
    store.push("things", {**full, "k_int": 7} | dict.fromkeys(EVERY_TYPE))
    return store, keys


@pytest.mark.parametrize("answers", [1, serving_log.JOURNAL_ROWS])
def test_every_type_of_key_and_feature_is_kept_and_replayed(things, answers):
    store, keys = things
    asked = [keys, {**keys, "k_int": 7}, dict.fromkeys(keys)]
    vectors = [store.online("all_types", each) for each in asked for _ in range(answers)]
    rows = logged(store, "all_types_log")
    assert len(rows) == 3 * answers
    for row, vector in zip(rows[::answers], vectors[::answers], strict=True):
        assert row["values"] == vector.values
        receipt = Receipt.from_dict(row)
        assert receipt == vector.receipt
        assert Receipt.from_dict(receipt.to_dict()) == receipt
        again = store.replay(receipt.to_dict())
        assert (again.values, again.statuses) == (vector.values, vector.statuses)
    assert store.verify("all_types", instants=3, keys=3).differences == ()


def test_a_receipt_is_json_and_comes_back(things):
    import json

    store, keys = things
    odd = {**keys, "k_int": np.int16(-5), "k_bool": np.True_}
    receipt = store.online("all_types", odd, request={"x": 1.5}).receipt
    text = json.dumps(receipt.to_dict())
    assert Receipt.from_dict(json.loads(text)) == receipt
    assert json.loads(text)["keys"]["k_bytes"] == {"bytes": "AP8="}
    assert store.replay(json.loads(text)).values == store.replay(receipt).values


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"view": "x@1"},
        {"view": "x", "clock": "now", "keys": {}, "request": None, "commits": {}, "semantics": 1, "applying": False},
        {"view": "x", "clock": 3, "keys": {}, "request": None, "commits": {}, "semantics": 1, "applying": False},
        {"view": "x", "clock": "2024-01-01T00:00:00Z", "keys": {"a": {"float": "1"}}, "request": None, "commits": {}, "semantics": 1, "applying": False},
        {"view": "x", "clock": "2024-01-01T00:00:00Z", "keys": {}, "request": None, "commits": [], "semantics": 1, "applying": False},
        {"view": "x", "clock": "2024-01-01T00:00:00Z", "keys": {}, "request": "{", "commits": {}, "semantics": 1, "applying": False},
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(store, given):
    with pytest.raises(UsageError, match=r"this is no receipt: .* -> pass what receipt.to_dict\(\) gave"):
        store.replay(given)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"commits": {}}, r"the receipt has no commit of group weather@1 \[departure@1\] -> pass what receipt"),
        ({"keys": {}}, r"the receipt has no key origin \[departure@1\] -> pass what receipt"),
        ({"width": "x"}, r"this is no receipt: 'str' object cannot be interpreted as an integer"),
    ],
)
def test_a_receipt_that_lacks_a_part_is_refused(logging, part, message):
    receipt = logging.online("departure", {"origin": "JFK"}).receipt
    with pytest.raises(UsageError, match=message):
        logging.replay(receipt.to_dict() | part)


@pytest.mark.parametrize("name", ["departure", "weather"])
def test_a_receipt_of_a_definition_that_was_made_anew_is_not_answered_from_the_new_one(
    logging, weather, view, at, clock, name
):
    receipt = logging.online(name, {"origin": "JFK"}).receipt
    logging.catalog.remove("departure")
    logging.catalog.remove("weather")
    clock.move(hours=1)
    logging.apply(weather(), view())
    logging.push("weather", [{"origin": "JFK", "time_hour": at(20), "temp": 7.0, "visib": None}])
    with pytest.raises(NotFoundError, match=rf"the definition that gave this answer .* \[{name}@1\] -> ") as refused:
        logging.replay(receipt)
    assert refused.value.todo
    again = logging.online(name, {"origin": "JFK"})
    assert logging.replay(again.receipt).values == again.values


@pytest.mark.parametrize("request_", [{"x": object()}, {"x": [1 + 2j]}, {"\ud800": 1}, [("x", 1)], "x"])
@pytest.mark.parametrize("log", [0.0, 1.0])
def test_a_request_that_json_cannot_hold_is_refused_with_and_without_log(logging, weather, view, request_, log):
    logging.apply(weather(), view(log=log))
    for keys in ({"origin": "JFK"}, [{"origin": "JFK"}]):
        with pytest.raises(UsageError, match=r"kept as JSON|is no mapping"):
            logging.online("departure", keys, request=request_)
    assert logged(logging) == []


# ---- what goes wrong


def test_an_answer_that_cannot_be_encoded_takes_no_other_with_it(logging):
    plan = logging._online.plan("departure")
    logging.online("departure", {"origin": "JFK"})
    for origin in (object(), "x" * 1_000_000):  # what no read lets pass
        logging._log.put((plan, {"origin": origin}, None, [None], {}, 0, None, ANSWERS, ()))
    logging.online("departure", {"origin": "LGA"})
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.failed) == (2, 2)
    assert counts.last_error
    assert [row["keys"]["origin"] for row in logged(logging)] == ["JFK", "LGA"]


def test_over_the_bound_answers_are_dropped_and_counted_and_reads_go_on(logging, monkeypatch):
    stop, go = threading.Event(), threading.Event()
    publish = logging._writer.push

    def slow(*args):
        stop.set()
        assert go.wait(20)
        return publish(*args)

    logging._writer.push = slow
    logging._log._most = 10
    monkeypatch.setattr(serving_log, "QUEUE_ANSWERS", 10)
    logging.online("departure", {"origin": "JFK"})
    flushing = threading.Thread(target=logging._log.flush)
    flushing.start()
    assert stop.wait(20)
    took = []
    for _ in range(50):
        start = time.perf_counter()
        assert logging.online("departure", {"origin": "JFK"}).values["temp"] == 1.0
        took.append(time.perf_counter() - start)
    assert max(took) < 1  # while the disk stands still
    counts = logging.quality.serving_log("departure")
    assert (counts.waiting, counts.dropped) == (11, 40)
    go.set()
    flushing.join()
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.waiting, counts.dropped, counts.failed) == (11, 0, 40, 0)


def test_an_attempt_that_succeeded_unheard_is_not_written_twice(logging, monkeypatch):
    from asof.errors import TransientError

    monkeypatch.setattr(serving_log, "RETRY_SECONDS", (0.0,))
    push, write = logging._writer.push, logging._writer.publish

    def unheard(work):
        def once(*args):
            work(*args)
            logging._writer.push, logging._writer.publish = push, write
            raise TransientError("the line broke")

        return once

    for count in (1, serving_log.JOURNAL_ROWS):
        logging._writer.push, logging._writer.publish = unheard(push), unheard(write)
        for _ in range(count):
            logging.online("departure", {"origin": "JFK"})
        logging._log.flush()
    counts = logging.quality.serving_log("departure")
    assert (counts.written, counts.failed) == (1 + serving_log.JOURNAL_ROWS, 0)
    assert len(logged(logging)) == counts.written


def test_what_cannot_be_written_is_counted_and_told_until_it_can(logging, monkeypatch, folder):
    from asof.errors import PermanentError

    monkeypatch.setattr(serving_log, "RETRY_SECONDS", (0.0, 0.0))
    push = logging._writer.push
    tried = []

    def broken(*args):
        tried.append(args)
        raise PermanentError("no space for the registry")

    logging._writer.push = broken
    logging.online("departure", {"origin": "JFK"})
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.failed, counts.last_error) == (0, 1, "no space for the registry")
    assert len(tried) == 3
    assert "no space for the registry" in str(logging.quality.doctor())
    logging._writer.push = push
    logging.online("departure", {"origin": "JFK"})
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.failed) == (1, 1)
    assert logging.quality.doctor().healthy


def test_a_clock_that_was_set_back_does_not_stop_the_log(logging, clock):
    clock.move(hours=-5)
    logging.online("departure", {"origin": "JFK"})
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.failed) == (1, 0)


def test_closing_writes_what_waits(logging, folder, clock):
    for _ in range(3):
        logging.online("departure", {"origin": "JFK"})
    logging.close()
    with pytest.raises(UsageError, match="is closed"):
        logging.online("departure", {"origin": "JFK"})
    with asof.open(folder, clock=clock) as again:
        assert len(again.read("departure_log")) == 3
        assert again.quality.serving_log("departure", flush=True) == serving_log.LogCounts()


def test_the_log_is_written_within_seconds_by_itself(logging, monkeypatch):
    monkeypatch.setattr(serving_log, "WRITE_SECONDS", 0.2)
    for _ in range(2):
        logging.online("departure", {"origin": "JFK"})
        end = time.monotonic() + 20
        before = logging.quality.serving_log("departure").written
        while logging.quality.serving_log("departure").written == before and time.monotonic() < end:
            time.sleep(0.05)
    assert len(logging.read("departure_log")) == 2


def test_threads_log_every_answer_once(logging):
    def work(number):
        for _ in range(200):
            logging.online("departure", {"origin": f"A{number}"})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = logging.quality.serving_log("departure", flush=True)
    assert (counts.written, counts.dropped, counts.failed) == (1200, 0, 0)
    rows = logged(logging)
    assert len({row["answer"] for row in rows}) == 1200


PROCESS = """
import os, signal, sys
import asof
store = asof.open(sys.argv[1], create=False)
for _ in range(int(sys.argv[2])):
    store.online("departure", {"origin": sys.argv[3]})
how = sys.argv[4]
if how == "killed":
    store._log.flush()
    for _ in range(5):
        store.online("departure", {"origin": sys.argv[3]})
    os.kill(os.getpid(), signal.SIGKILL)
if how == "raises":
    raise SystemExit(3)
"""


def run(folder, *words):
    return subprocess.run([sys.executable, "-W", "error", "-c", PROCESS, str(folder), *map(str, words)], check=False)


@pytest.fixture
def served(folder, weather, view):
    """Give the folder of a store by the system's clock, with a view that logs."""
    with asof.open(folder) as store:
        store.apply(weather(), view())
    return folder


@pytest.mark.slow
def test_a_process_that_ends_writes_what_waits(served):
    assert run(served, 3, "A", "ends").returncode == 0
    assert run(served, 150, "B", "raises").returncode == 3
    with asof.open(served) as store:
        assert len(store.read("departure_log")) == 153


@pytest.mark.slow
def test_a_killed_process_loses_only_what_waited(served):
    assert run(served, 3, "A", "killed").returncode == -signal.SIGKILL
    with asof.open(served) as store:
        assert 3 <= len(store.read("departure_log")) <= 8
        assert store.quality.doctor(repair=True).healthy
        store.online("departure", {"origin": "B"})
        assert store.quality.serving_log("departure", flush=True).written == 1


@pytest.mark.slow
def test_processes_log_into_one_group(served):
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", PROCESS, str(served), "150", name, "ends"])
        for name in "ABC"
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with asof.open(served) as store:
        rows = store.read("departure_log").to_arrow().to_pylist()
        assert len({row["answer"] for row in rows}) == 450
        assert store.quality.doctor().healthy


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_log_of_its_own(served):
    with asof.open(served) as store:
        for _ in range(3):
            store.online("departure", {"origin": "PARENT"})
        gc.collect()
        child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                for _ in range(2):
                    store.online("departure", {"origin": "CHILD"})
                counts = store.quality.serving_log("departure", flush=True)
                store.close()
                code = 0 if (counts.written, counts.failed) == (2, 0) else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.online("departure", {"origin": "PARENT"})
        assert store.quality.serving_log("departure", flush=True).written == 4
        origins = [row["keys"]["origin"] for row in logged(store)]
        assert sorted(origins) == ["CHILD"] * 2 + ["PARENT"] * 4


# ---- a receipt is answered again, whatever happened since


def changes(store, weather, at, clock, wrong):
    """Give what may happen to history, each with its name."""
    yield "a late row", lambda: store.write("weather", [row_of("JFK", at(20), 77.0)])
    yield "a correction", lambda: store.push("weather", row_of("JFK", at(24), 78.0))
    yield "a backfill", lambda: store.backfill("weather", [row_of("JFK", at(24.5), 79.0)])
    yield "a newer row", lambda: store.push("weather", row_of("JFK", clock(), 80.0))
    yield "a retract", lambda: store.retract(wrong, reason="wrong")
    yield "a retirement", lambda: store.retire("weather", {"origin": "JFK"}, event_time=clock())
    yield "compaction", store.compact
    yield "sealing", lambda: store._writer.upkeep.seal(store._parts.registry.group("weather"))
    more = [*weather().features, Feature("wind", "float64")]
    yield "a feature more", lambda: store.apply(weather(features=more))
    yield "rows with it", lambda: store.push("weather", row_of("JFK", clock(), 81.0) | {"wind": 5.0})
    yield "another version", lambda: store.apply(weather(ttl="1h", features=more))
    yield "its rows", lambda: store.backfill("weather", [row_of("JFK", at(24), 82.0) | {"wind": 5.0}])


def row_of(origin, moment, temp):
    return {"origin": origin, "time_hour": moment, "temp": temp, "visib": 1.0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
def test_receipts_and_the_log_are_replayed_equal_after_everything(logging, weather, view, at, clock):
    wrong = logging.backfill("weather", [row_of("LGA", at(24), 50.0)])
    clock.move(hours=1)
    names = ("departure", "weather", "departure@1", "weather@1")
    keys = [{"origin": o} for o in ("JFK", "LGA", "SFO", None)]
    single = [logging.online(name, each) for name in names for each in keys]
    several = [vector for name in names for vector in logging.online(name, keys)]
    batch = [(logging.online("departure", keys), keys)]
    assert batch[0][0].to_arrow().num_rows == 4
    kept = [(vector.receipt, dict(vector.values), dict(vector.statuses)) for vector in single + several]
    rows = logged(logging)
    assert len(rows) == 2 * 8 + 4
    for name, happens in changes(logging, weather, at, clock, wrong):
        clock.move(minutes=5)
        happens()
        for receipt, values, statuses in kept:
            again = logging.replay(receipt)
            assert (again.values, again.statuses) == (values, statuses), (name, receipt)
    for row in rows:
        again = logging.replay(row)
        assert again.values == row["values"]
        assert "".join(status[0] for status in again.statuses.values()) == row["statuses"]


def test_a_read_costs_the_same_with_a_log_that_is_off(logging):
    assert logging._online.plan("weather").log == 0.0  # one comparison is all that a read does for it


def test_the_queue_holds_raw_rows_not_decoded_ones(logging, monkeypatch):
    taken = []
    monkeypatch.setattr(logging._log, "put", taken.append)
    logging.online("departure", {"origin": "JFK"})
    ((_, _, _, rows, *_),) = taken
    assert [type(row) for row in rows] == [bytes]
    assert pa.types.is_struct(logging.read("departure_log").to_arrow().schema.field("values").type)
    assert timedelta(seconds=serving_log.WRITE_SECONDS) < timedelta(minutes=1)


@pytest.mark.parametrize("late", [False, True])
def test_a_flush_after_or_beside_a_close_returns(logging, late):
    log = logging._log
    logging.online("departure", {"origin": "JFK"})
    flushes = [threading.Thread(target=log.flush, daemon=True) for _ in range(4)]
    if late:
        log.close()
    for thread in flushes:
        thread.start()
    log.close()
    for thread in flushes:
        thread.join(10)
    assert not any(thread.is_alive() for thread in flushes)
    assert log.counts("departure").written == 1
