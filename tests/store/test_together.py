"""Several groups in one visible step: whatever happens in the middle, all of it is there or nothing."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

import asof
import asof.store
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import AsofError, ConflictError, DataError, NotFoundError, TransientError
from asof.ingest.feed import Backlog, applicable
from asof.ingest.prepare import Options
from asof.ingest.push import _Waiting
from asof.parts import open_parts
from asof.records import Commit
from asof.testing.crashes import PORTS, Crashing, Killed

PAIR = ("a", "b")
thing = Entity("thing", keys={"k": "string"})


def group(name, *more, online=True):
    features = [Feature("x", "int64"), *(Feature(feature, "int64") for feature in more)]
    return FeatureGroup(name, entity=thing, event_time="t", features=features, online=online)


def both():
    a, b = group("a"), group("b")
    return a, b, FeatureView("both", features=[a["x"].alias("xa"), b["x"].alias("xb")])


def rows(moment, x):
    return [{"k": key, "t": moment, "x": x} for key in ("one", "two")]


def write_both(store, moment, x, key=""):
    with store.together() as tx:
        for name in PAIR:
            tx.write(name, rows(moment, x), idempotency_key=key)
    return tx.commits


def seen(store, now):
    """Return (xa, xb) of both keys, from history and online, and how many rows and commits each group has."""
    spine = [{"k": key, "time": now} for key in ("one", "two")]
    frame = store.historical("both", spine, time="time", known="event").to_arrow()
    found = {(row["xa"], row["xb"]) for row in frame.to_pylist()}
    found |= {tuple(vector.values.values()) for vector in store.online("both", [{"k": "one"}, {"k": "two"}])}
    return found, [(len(store.read(name)), len(store.catalog.commits(name))) for name in PAIR]


@pytest.fixture
def pair(store):
    store.apply(*both())
    return store


# ---- a crash


@contextmanager
def watched(folder, clock, crashing):
    """Open a store that passes its steps to `crashing`."""
    parts = open_parts(folder, create=True, clock=clock)
    parts = replace(parts, **{port: crashing.before(port, getattr(parts, port)) for port in PORTS})
    store = asof.store.Store(parts)
    try:
        yield store
    finally:
        crashing.arm(None)
        store.close()


def test_a_writer_that_dies_at_any_step_leaves_all_or_nothing(folder, clock):
    """Every step is died at once; others who have the store open go on, and serve what was published."""
    with asof.open(folder, clock=clock) as other:
        other.apply(*both())
        before = {"one": None}
        outcomes = set()
        for fatal in range(200):
            crashing = Crashing()
            with watched(folder, clock, crashing) as store:
                crashing.arm(fatal)
                clock.now += timedelta(seconds=1)
                with suppress(Killed):
                    write_both(store, clock.now, fatal)
                    break
                steps = list(crashing.steps)
                found, counts = seen(other, clock.now)
                assert counts[0] == counts[1], f"half of it after {steps[-1]}"
                published = "after log.publish" in steps
                outcomes.add(published)
            with asof.open(folder, clock=clock) as again:  # opening serves what was published
                found, counts = seen(again, clock.now)
                before["one"] = fatal if published else before["one"]
                assert found == {(before["one"],) * 2}, f"after {steps[-1]}"
                assert counts[0] == counts[1]
        assert fatal > 8
        assert outcomes == {True, False}
        assert seen(other, clock.now)[0] == {(fatal, fatal)}
        assert other.quality.doctor(repair=True).healthy


KILLED = """
import json, os, signal, sys, warnings
from dataclasses import replace
from datetime import UTC, datetime
import pyarrow, pandas  # so that a fork needs no import
import asof, asof.store, asof.engine.duckdb, asof.offline.delta, asof.online.lmdb, asof.registry.sql, asof.quality.doctor
from asof.ingest.feed import Backlog, applicable
from asof.parts import open_parts
from asof.records import Commit
from asof.testing.crashes import PORTS, Crashing

folder, moment = sys.argv[1], datetime.fromisoformat(sys.argv[2])
clock = lambda: moment

def in_child(work):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
            os._exit(0)
        except BaseException:
            import traceback; traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as said:
        answer = said.read()
    return os.waitpid(pid, 0)[1], answer and json.loads(answer)

def write(fatal):
    crashing = Crashing(lambda: os.kill(os.getpid(), signal.SIGKILL))
    parts = open_parts(__import__("pathlib").Path(folder), create=False, clock=clock)
    store = asof.store.Store(replace(parts, **{port: crashing.before(port, getattr(parts, port)) for port in PORTS}))
    crashing.arm(fatal)
    with store.together() as tx:
        for name in "ab":
            tx.write(name, [{"k": "one", "t": moment, "x": fatal}])

def look():
    with asof.open(folder, clock=clock) as store:
        online = list(store.online("both", {"k": "one"}).values.values())
        counts = [len(store.read(name)) for name in "ab"]
        ages = [[c.committed_at_us for c in store.catalog.commits(name)] for name in "ab"]
        doctor = store.quality.doctor(repair=True)
        return online, counts, ages[0] == ages[1], doctor.healthy

for fatal in range(200):
    status, _ = in_child(lambda: write(fatal))
    code, found = in_child(look)
    print(json.dumps([os.WIFSIGNALED(status), status, code, found]), flush=True)
    if status == 0:
        break
"""


@pytest.mark.slow
def test_a_process_killed_at_any_step_leaves_all_or_nothing(folder, clock):
    with asof.open(folder, clock=clock) as store:
        store.apply(*both())
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), clock.now.isoformat()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 8, done.stderr
    written = 0
    for fatal, (killed, status, code, found) in enumerate(lines):
        assert (killed, status) == ((True, 9) if fatal < len(lines) - 1 else (False, 0)), done.stderr
        assert code == 0, done.stderr
        online, counts, same_clocks, healthy = found
        assert counts[0] == counts[1], f"half of it after step {fatal}"
        assert same_clocks
        assert healthy
        if counts[0] > written:
            assert online == [fatal, fatal]
        written = counts[0]
    assert 1 < written < len(lines)


# ---- a lost race


def test_a_group_that_is_removed_meanwhile_leaves_nothing_of_the_other(pair, folder, clock, at):
    write_both(pair, at(1), 1)
    before = seen(pair, at(24))
    files = sorted((folder / "history").glob("a@1*/*.parquet"))
    with asof.open(folder, clock=clock) as other:
        other.catalog.remove("both")
        with pytest.raises(ConflictError, match="removed meanwhile"), pair.together() as tx:
            tx.write("a", rows(at(2), 2))
            tx.write("b", rows(at(2), 2))
            other.catalog.remove("b")
        assert tx.commits == []
        with pytest.raises(ConflictError, match="removed meanwhile"), pair.together() as tx:
            other.apply(group("b"))
            tx.write("b", rows(at(2), 2))
            tx.write("a", rows(at(2), 2))
            other.catalog.remove("b")
            other.apply(group("b"))  # another one of the same name
    assert len(pair.read("a")) == before[1][0][0]
    assert len(pair.read("b")) == 0
    assert sorted((folder / "history").glob("a@1*/*.parquet")) == files
    assert pair.online("a", {"k": "one"}).values == {"x": 1}
    assert pair.quality.doctor().findings == ()


def test_a_group_that_is_amended_meanwhile_takes_the_rows_as_they_were_meant(pair, folder, clock, at):
    with asof.open(folder, clock=clock) as other, pair.together() as tx:
        tx.write("a", rows(at(1), 1))
        tx.write("b", rows(at(1), 1))
        other.apply(group("b", "y"))
    assert seen(pair, at(24)) == ({(1, 1)}, [(2, 1), (2, 1)])
    spine = [{"k": "one", "time": at(24)}]
    frame = pair.historical("b", spine, time="time", known="event", statuses=True).to_arrow().to_pylist()[0]
    assert (frame["x"], frame["y"], frame["y__status"]) == (1, None, "NULL")
    assert pair.online("b@1", {"k": "one"}).statuses["x"] == "PRESENT"
    assert pair.quality.doctor().healthy


def test_a_new_version_that_appears_meanwhile_does_not_get_the_rows(pair, folder, clock, at):
    with asof.open(folder, clock=clock) as other, pair.together() as tx:
        tx.write("a", rows(at(1), 1))
        tx.write("b", rows(at(1), 1))
        other.apply(FeatureGroup("b", entity=thing, event_time="t", features=[Feature("x", "string")], online=True))
    assert [commit.id for commit in tx.commits] == ["a@1:1", "b@1:1"]
    assert (len(pair.read("b@1")), len(pair.read("b@2"))) == (2, 0)


def test_commits_of_others_in_between_come_before_it(pair, folder, clock, at):
    with asof.open(folder, clock=clock) as other, pair.together() as tx:
        tx.write("a", rows(at(1), 1))
        tx.write("b", rows(at(1), 1))
        other.push("a", {"k": "one", "t": at(1), "x": 7})
        other.write("b", [{"k": "one", "t": at(2), "x": 8}])
        other.write("b", [{"k": "one", "t": at(1), "x": 9}])
    assert [commit.id for commit in tx.commits] == ["a@1:2", "b@1:3"]
    assert len({commit.committed_at for commit in tx.commits}) == 1
    assert pair.online("both", {"k": "one"}).values == {"xa": 1, "xb": 8}
    assert seen(pair, at(1))[1] == [(3, 2), (4, 3)]


def test_rows_that_break_a_rule_leave_nothing_of_the_rows_before_them(pair, folder, at):
    for wrong in ([{"k": None, "t": at(1), "x": 1}], [{"k": "one", "t": at(30), "x": 1}], [{"k": "one", "x": 1}]):
        with pytest.raises(DataError), pair.together() as tx:
            tx.write("a", rows(at(1), 1))
            tx.write("b", wrong)
    with pytest.raises(NotFoundError), pair.together() as tx:
        tx.write("a", rows(at(1), 1))
        tx.write("c", rows(at(1), 1))
    assert seen(pair, at(24)) == ({(None, None)}, [(0, 0), (0, 0)])
    assert list((folder / "history").glob("*/*.parquet")) == []


# ---- idempotency


def test_a_retry_together_is_the_first_commits(pair, folder, clock, at):
    first = write_both(pair, at(1), 1, key="once")
    with asof.open(folder, clock=clock) as other:
        again = write_both(other, at(1), 1, key="once")
    assert again == first
    assert all(commit.repeated for commit in again)
    assert seen(pair, at(24)) == ({(1, 1)}, [(2, 1), (2, 1)])


@pytest.mark.parametrize("used", PAIR)
def test_a_key_that_one_of_the_groups_has_used_refuses_both(pair, folder, at, used):
    pair.write(used, rows(at(1), 1), idempotency_key="once")
    files = sorted((folder / "history").glob("*/*.parquet"))
    with pytest.raises(ConflictError, match="only some of the groups written together"):
        write_both(pair, at(1), 1, key="once")
    with pytest.raises(ConflictError, match="'once' was used with other content"):
        write_both(pair, at(1), 2, key="once")
    counts = {name: len(pair.read(name)) for name in PAIR}
    assert counts == {name: 2 if name == used else 0 for name in PAIR}
    assert sorted((folder / "history").glob("*/*.parquet")) == files


def test_a_key_given_for_one_of_the_groups_refuses_the_retry_of_both(pair, at):
    def write(x):
        with pair.together() as tx:
            tx.write("a", rows(at(1), x), idempotency_key="once")
            tx.write("b", rows(at(1), x))

    write(1)
    with pytest.raises(ConflictError, match="only some of the groups"):
        write(1)
    assert seen(pair, at(24)) == ({(1, 1)}, [(2, 1), (2, 1)])


# ---- what readers see meanwhile


@pytest.mark.slow
def test_a_read_of_both_sees_all_or_nothing_of_what_is_written_meanwhile(folder, clock, at):
    """Whatever a read asks first, a write together that comes before its next question is not half seen."""
    spine = [{"k": "one", "time": at(24)}]
    with asof.open(folder, clock=clock) as writer:
        writer.apply(*both())
        write_both(writer, at(1), -1)
        for step in range(100):
            crashing = Crashing(lambda step=step: write_both(writer, at(2), step))
            with watched(folder, clock, crashing) as reader:
                crashing.arm(step)
                (row,) = reader.historical("both", spine, time="time", known="event").to_arrow().to_pylist()
                assert row["xa"] == row["xb"], f"half of it, written {crashing.steps[step]}"
                if len(crashing.steps) <= step:
                    break
            with watched(folder, clock, crashing) as reader:
                crashing.arm(step)
                for vector in reader.online("both", [{"k": "one"}, {"k": "two"}]):
                    assert len(set(vector.values.values())) == 1
        assert step > 3


@pytest.mark.slow
def test_readers_beside_writers_never_see_half(pair, folder, clock):
    clock.move(days=1)
    stop = threading.Event()
    failures = []

    def write(number):
        try:
            for step in range(12):
                write_both(pair, clock.now - timedelta(seconds=100 - step), 100 * number + step)
        except AsofError as error:
            failures.append(error)

    def read():
        spine = [{"k": "one", "time": clock.now}]
        while not stop.is_set():
            (row,) = pair.historical("both", spine, time="time", known="event").to_arrow().to_pylist()
            vector = pair.online("both", {"k": "one"})
            if row["xa"] != row["xb"] or len(set(vector.values.values())) != 1:
                failures.append((row, vector))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert failures == []
    numbers = [[(c.number, c.committed_at_us) for c in pair.catalog.commits(name)] for name in PAIR]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) == 36


def test_a_group_that_another_process_turns_online_meanwhile_is_served(tmp_path, at):
    a, b = group("a", online=False), group("b", online=False)
    with asof.open(tmp_path / "s") as store, asof.open(tmp_path / "s") as other:
        store.apply(a, b)
        with store.together() as tx:
            tx.write("a", rows(at(1), 1))
            tx.write("b", rows(at(1), 2))
            other.apply(group("a"), group("b"))
        assert store.online("a", {"k": "one"}).values == {"x": 1}
        assert other.online("b", {"k": "two"}).values == {"x": 2}
        assert store.quality.doctor().healthy


def test_a_retract_in_a_group_that_another_process_turns_online_meanwhile_is_served(tmp_path, at, monkeypatch):
    with asof.open(tmp_path / "s") as store, asof.open(tmp_path / "s") as other:
        store.apply(group("a", online=False))
        store.write("a", rows(at(1), 1))
        wrong = store.write("a", rows(at(2), 2))
        publish = store._writer._publish

        def late(drafts):
            other.apply(group("a"))
            return publish(drafts)

        monkeypatch.setattr(store._writer, "_publish", late)
        store.retract(wrong, reason="wrong")
        assert other.online("a", {"k": "one"}).values == {"x": 1}


def test_a_group_that_is_turned_online_meanwhile_and_cannot_be_served_is_stored_and_says_so(tmp_path, at, monkeypatch):
    with asof.open(tmp_path / "s") as store, asof.open(tmp_path / "s") as other:
        store.apply(group("a", online=False))
        monkeypatch.setattr(store._parts.online, "apply", failing)
        told = r"a@1:1 is stored in history, but not readable online yet: down .*do not write it again"
        with pytest.raises(TransientError, match=told), store.together() as tx:
            tx.write("a", rows(at(1), 1))
            other.apply(group("a"))
        monkeypatch.undo()
        store.write("a", rows(at(2), 2))
        assert store.online("a", {"k": "one"}).values == {"x": 2}


def failing(changes):
    raise TransientError("down")


def test_pushes_that_share_a_transaction_fail_each_for_itself(tmp_path, at, monkeypatch):
    with asof.open(tmp_path / "s") as store:
        store.apply(group("a"), group("b", online=False))
        pusher = store._writer._pusher
        monkeypatch.setattr(store._parts.online, "apply", failing)
        waiting = []
        for name in PAIR:
            ready = pusher._ready(name, rows(at(1), 1), Options())
            waiting.append(_Waiting(name, rows(at(1), 1), Options(), ready))
        pusher._store(waiting)
        served, offline = waiting
        assert served.commit is None
        assert "a@1:1 is stored in history" in str(served.error)
        assert "b@1" not in str(served.error)
        assert (offline.commit.id, offline.error) == ("b@1:1", None)
        assert set(store._writer.upkeep._unseen) == {store._parts.registry.group(name).id for name in PAIR}


@pytest.mark.parametrize("retracted", [False, True])
@pytest.mark.parametrize("first", PAIR)
def test_what_a_dead_writer_left_unserved_is_served_whole_by_the_next(tmp_path, at, monkeypatch, first, retracted):
    folder = tmp_path / "s"
    with asof.open(folder, clock=lambda: at(4)) as store, asof.open(folder, clock=lambda: at(4)) as dying:
        store.apply(*both())
        write_both(store, at(1), 1)
        monkeypatch.setattr(dying._writer.feed, "apply", lambda _: None)
        if retracted:
            dying.retract(dying.write("b", rows(at(1), 5)), reason="wrong")
        write_both(dying, at(2), 2)
        dying.write("b", rows(at(3), 7))
        seen_pairs = []
        apply = type(store._parts.online).apply

        def watched(online, changes):
            done = apply(online, changes)
            seen_pairs.append(tuple(store.online("both", {"k": "one"}).values.values()))
            return done

        monkeypatch.setattr(type(store._parts.online), "apply", watched)
        store.push(first, {"k": "new", "t": at(1), "x": 0})
        assert all((xa == 2) == (xb in (2, 7)) for xa, xb in seen_pairs), seen_pairs
        assert seen_pairs
        monkeypatch.undo()
        store.quality.doctor(repair=True)
        assert store.online("both", {"k": "one"}).values == {"xa": 2, "xb": 7}
        assert store.quality.doctor().healthy


def test_a_feature_that_is_added_while_a_group_is_caught_up_is_served(tmp_path, at, monkeypatch):
    with (
        asof.open(tmp_path / "s", clock=lambda: at(4)) as store,
        asof.open(tmp_path / "s", clock=lambda: at(4)) as other,
    ):
        store.apply(*both())
        monkeypatch.setattr(other._writer.feed, "apply", lambda _: None)
        write_both(other, at(1), 1)
        log = type(store._parts.log)
        together = log.commits_together

        def meanwhile(self, after):
            monkeypatch.setattr(log, "commits_together", together)
            more = [group(name, "y") for name in PAIR]
            other.apply(*more)
            monkeypatch.setattr(other._writer.feed, "apply", lambda _: None)
            with other.together() as tx:
                for name in PAIR:
                    tx.write(name, [row | {"y": 7} for row in rows(at(2), 2)])
            return together(self, after)

        monkeypatch.setattr(log, "commits_together", meanwhile)
        store.push("a", {"k": "new", "t": at(1), "x": 0})
        for name in PAIR:
            assert store.online(name, {"k": "one"}).values == {"x": 2, "y": 7}
        assert store.quality.doctor().healthy


def commits(*kinds_and_times):
    return [
        Commit("g@1", number, time, kind, "commit", 1) for number, (kind, time) in enumerate(kinds_and_times, start=1)
    ]


def test_what_was_written_together_is_applied_together_or_not_yet():
    def lengths(first, **missing):
        return applicable(first, {name: Backlog(None, None, found) for name, found in missing.items()})

    w, r = "write", "retract"
    assert lengths("a", a=commits((w, 1), (w, 2))) == {"a": 2}
    assert lengths("a", a=commits((w, 1), (w, 2)), b=commits((w, 3))) == {"a": 2}
    assert lengths("a", a=commits((w, 1), (w, 2)), b=commits((w, 0), (w, 2), (w, 3))) == {"a": 2, "b": 3}
    assert lengths("a", a=commits((w, 1), (w, 2)), b=commits((r, 0), (w, 2))) == {"a": 1, "b": 0}
    assert lengths("a", a=commits((w, 2)), b=commits((r, 0), (w, 2))) == {"a": 0, "b": 0}
    assert lengths("a", a=commits((w, 2)), b=commits((w, 2), (w, 5)), c=commits((r, 4), (w, 5))) == {
        "a": 1,
        "b": 1,
        "c": 0,
    }
    assert lengths("b", a=commits((r, 1), (w, 2)), b=commits((w, 1), (r, 1), (w, 2))) == {"a": 0, "b": 0}
