"""Made rows: incremental runs in any order equal one full run, and the rows of the source, in every mode; and kills."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import asof
import asof.store
from asof import SQL, Entity, Feature, FeatureGroup
from asof.errors import AsofError
from asof.ingest import materialize, merge
from asof.parts import open_parts
from asof.testing.crashes import PORTS, Crashing, Killed
from asof.testing.played import names

BASE = datetime(2024, 1, 2, tzinfo=UTC)
STATEMENT = 'SELECT "at", k, CASE WHEN v > 0 THEN v * 2 END AS w, "at"::VARCHAR AS said FROM {}'
KEYS, HOURS = range(3), range(6)
thing = Entity("thing", keys={"k": "int64"})

row = st.tuples(st.sampled_from(KEYS), st.sampled_from(HOURS), st.integers(-1, 3) | st.none())
rows = st.lists(row, max_size=4, unique_by=lambda each: each[:2])
step = st.one_of(
    st.tuples(st.sampled_from(["write", "backfill", "push"]), rows),
    st.tuples(st.just("retire"), row),
    st.tuples(st.just("retract"), st.integers(0, 9)),
    st.tuples(st.just("range"), st.tuples(st.sampled_from(HOURS), st.sampled_from(HOURS))),
    st.sampled_from([("materialize", None)] * 3 + [("full", None), ("compact", None), ("reopen", None)]),
)


class Clock:
    def __init__(self):
        self.now = BASE

    def __call__(self):
        return self.now


def at(hour):
    return BASE - timedelta(hours=10 - hour)


class Bench:
    """A store for all examples, each of which has groups of its own."""

    def __init__(self, folder, crashing=None):
        self.folder, self.clock, self.name, self.crashing = folder, Clock(), names(), crashing
        self.store = asof.open(folder, clock=self.clock)
        if crashing is not None:
            self.reopen()

    def reopen(self):
        self.store.close()
        if self.crashing is None:
            self.store = asof.open(self.folder, clock=self.clock)
            return
        parts = open_parts(self.folder, create=False, clock=self.clock)
        watched = {port: self.crashing.before(port, getattr(parts, port)) for port in PORTS}
        self.store = asof.store.Store(materialize.replace(parts, **watched))
        self.store._writer.recover()

    def crash(self):
        dead = self.store
        self.crashing.arm(None)
        dead._writer.upkeep._closing.set()
        if dead._writer.upkeep._thread is not None:
            dead._writer.upkeep._thread.join()
        dead._parts.close()
        dead._closed = True
        self.store = asof.open(self.folder, clock=self.clock)
        self.reopen()

    def groups(self, source_skips=False, made_skips=False):
        source, made, again = self.name(), self.name(), self.name()
        skips = {True: "skip", False: "store"}
        events = FeatureGroup(source, entity=thing, event_time="at", features=[Feature("v", "int64")], delay="2h",
                              online=True, on_unchanged=skips[source_skips])  # fmt: skip
        features = [Feature("w", "int64"), Feature("said", "string")]
        for name, skip in ((made, made_skips), (again, False)):
            self.store.apply(
                events,
                FeatureGroup(name, entity=thing, source=events, transform=SQL(STATEMENT.format(source)),
                             features=features, online=True, on_unchanged=skips[skip]),
            )  # fmt: skip
        return source, made, again

    def play(self, source, made, steps):
        """Play steps; return whether rows were retracted that had been served."""
        commits, served = [], False
        for what, said in steps:
            self.clock.now += timedelta(minutes=7)
            if what in ("write", "backfill"):
                table = pa.table({"k": pa.array([k for k, _, _ in said], pa.int64()),
                                  "at": pa.array([at(h) for _, h, _ in said], pa.timestamp("us", "UTC")),
                                  "v": pa.array([v for _, _, v in said], pa.int64())})  # fmt: skip
                commits.append(getattr(self.store, what)(source, table))
            elif what == "push" and said:
                commits.append(self.store.push(source, [{"k": k, "at": at(h), "v": v} for k, h, v in said]))
            elif what == "retire":
                commits.append(self.store.retire(source, {"k": said[0]}, event_time=at(said[1])))
            elif what == "retract" and commits:
                gone = commits.pop(said % len(commits))
                served = served or gone.kind != "backfill"
                self.store.retract(gone, reason="wrong")
            elif what == "range":
                if not self.store.catalog.commits(made):  # the first run of all would make nothing else
                    self.store.materialize(made)
                self.store.materialize(made, at(min(said) - 1), at(max(said)), full=True)
            elif what == "reopen":
                self.reopen()
            elif what == "compact":
                self.store.compact(source)
                self.store.compact(made)
            elif what in ("materialize", "full"):
                self.store.materialize(made, full=what == "full")
        return served

    def versions(self, name, source=None):
        """Return the rows that count: of a source, what is to be made of them."""
        found = set()
        for each in self.store.read(name, clocks=True).to_arrow().to_pylist():
            if source is None:
                w, said = each["w"], each["said"]
            else:
                w = 2 * each["v"] if each["v"] is not None and each["v"] > 0 else None
                said = each["at"].strftime("%Y-%m-%d %H:%M:%S+00")
            found.add((each["k"], each["at"], w, said, each["__available_at"]))
        return found

    def answers(self, name, known, source=False):
        moments = [BASE - timedelta(hours=11), *(at(h) + timedelta(minutes=1) for h in HOURS)]
        moments += [BASE + timedelta(minutes=5 + 7 * n) for n in range(14)]
        spine = pa.table({"k": pa.array([k for k in KEYS for _ in moments], pa.int64()),
                          "t": pa.array(moments * len(KEYS), pa.timestamp("us", "UTC"))})  # fmt: skip
        found = self.store.historical(name, spine, time="t", known=known, statuses=True, full_names=True).to_arrow()
        values = found.column(f"{name}__v" if source else f"{name}__w").to_pylist()
        status = found.column(f"{name}__v__status" if source else f"{name}__said__status").to_pylist()
        if source:
            values = [2 * v if v is not None and v > 0 else None for v in values]
            status = ["PRESENT" if each == "NULL" else each for each in status]
        return list(zip(values, status, strict=True))

    def check(self, source, made, *, served):
        """Hold what was made to what it was made of."""
        assert self.versions(made) == self.versions(source, source)
        for known in ("event", *([] if served else ["served"])):
            assert self.answers(made, known) == self.answers(source, known, source=True)
        for k in KEYS:
            one, other = self.store.online(source, {"k": k}), self.store.online(made, {"k": k})
            v = one.values["v"]
            expected = 2 * v if one.statuses["v"] == "PRESENT" and v > 0 else None
            assert other.values["w"] == expected
            assert (other.statuses["said"] == "PRESENT") == (one.statuses["v"] in ("PRESENT", "NULL"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Cut everything small: chunks, batches, files that are merged."""
    monkeypatch.setattr(materialize, "CHUNK_ROWS", 4)
    monkeypatch.setattr(materialize, "BATCH_ROWS", 2)
    monkeypatch.setattr(merge, "FILES", 2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("made") / "features")
    yield made
    made.store.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
@given(steps=st.lists(step, max_size=12), source_skips=st.booleans(), made_skips=st.booleans())
def test_runs_in_any_order_equal_one_full_run_and_the_source(bench, small, steps, source_skips, made_skips):
    bench.clock.now = BASE
    source, made, again = bench.groups(source_skips, made_skips)
    served = bench.play(source, made, steps)
    bench.clock.now += timedelta(minutes=7)
    bench.store.materialize(made)
    assert bench.store.materialize(made) == []
    bench.check(source, made, served=served)
    bench.store.materialize(again, full=True)
    assert bench.versions(again) == bench.versions(made)
    assert bench.answers(again, "served") == bench.answers(made, "served")
    for name in (made, again, source):
        bench.store.catalog.remove(name)


STEPS = [
    ("write", [(0, 0, 1), (1, 1, 2), (2, 2, None)]),
    ("push", [(0, 0, 2)]),
    ("backfill", [(0, 0, 3), (0, 4, 1), (1, 5, 1)]),
    ("retire", (2, 4, 0)),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
@pytest.mark.parametrize(("how", "first"), [("new", 0), ("full", 3), ("retracted", 6)])
def test_a_kill_at_any_eighth_step_of_a_run_loses_and_doubles_nothing(tmp_path, small, how, first):
    crashing = Crashing()
    bench = Bench(tmp_path / "features", crashing)
    number, alive = first, False
    while not alive:
        source, made, _ = bench.groups()
        bench.play(source, made, STEPS[:2])
        if how != "new":
            bench.store.materialize(made)
        bench.play(source, made, STEPS[2:])
        if how == "retracted":
            bench.store.retract(f"{source}:2", reason="wrong")
        crashing.arm(number)
        with suppress(Killed):
            bench.store.materialize(made, full=how == "full")
            alive = True
        bench.crash()
        bench.store.materialize(made)
        bench.check(source, made, served=how == "retracted")
        stored = [c.rows for c in bench.store.catalog.commits(made) if c.target is None]
        if how == "new":
            assert sum(stored) == 8
        number += 8
    bench.store.close()
    assert number > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
def test_of_two_runs_at_once_one_publishes(tmp_path, small):
    bench = Bench(tmp_path / "features")
    source, made, _ = bench.groups()
    bench.play(source, made, STEPS)
    with asof.open(bench.folder, clock=bench.clock) as other:
        stage, done = materialize.MadeLoad.stage, []

        def late(load, seen):
            stage(load, seen)
            if not done:
                done.append(True)
                with suppress(AsofError):
                    other.materialize(made)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(materialize.MadeLoad, "stage", late)
            bench.store.materialize(made)
    assert sum(commit.rows for commit in bench.store.catalog.commits(made)) == 8
    bench.check(source, made, served=False)
    bench.store.close()
