"""Rows that are taken from files and functions: each once, whatever changes between two runs, and wherever one dies."""

import os
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import asof
import asof.store
from asof import Entity, Feature, FeatureGroup, Files
from asof.errors import DataError
from asof.ingest import materialize, merge, take
from asof.parts import open_parts
from asof.testing.crashes import PORTS, Crashing, Killed
from asof.testing.played import names

BASE = datetime(2024, 1, 2, tzinfo=UTC)
thing = Entity("thing", keys={"k": "int64"})
NAMES = ("a.csv", "b.csv", "sub/c.csv")
CODE = """
LOG = []

def pages(cursor):
    for at in range(cursor or 0, len(LOG), 3):
        yield LOG[at : at + 3], min(at + 3, len(LOG))
"""

row = st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3))
rows = st.lists(row, max_size=4, unique_by=lambda each: each[:2])
step = st.one_of(
    st.tuples(st.just("put"), st.tuples(st.sampled_from(NAMES), rows)),
    st.tuples(st.just("touch"), st.sampled_from(NAMES)),
    st.tuples(st.just("damage"), st.sampled_from(NAMES)),
    st.tuples(st.just("retract"), st.integers(0, 9)),
    st.sampled_from([("run", None)] * 3 + [("full", None), ("reopen", None), ("compact", None)]),
)


def at(hour):
    return BASE - timedelta(hours=10 - hour)


class Bench:
    """A store, a folder of files, and what must be taken of them: a list of rows for each commit that counts."""

    def __init__(self, folder):
        self.folder, self.name, self.number, self.now = folder, names(), 0, BASE
        self.crashing = Crashing()
        self.store = asof.open(folder / "features", clock=lambda: self.now)
        self.reopen()

    def reopen(self):
        self.store.close()
        parts = open_parts(self.folder / "features", create=False, clock=lambda: self.now)
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
        self.store = asof.open(self.folder / "features", clock=lambda: self.now)
        self.reopen()

    def begin(self, source=None, **parts):
        """Begin with a group of its own, and no files."""
        self.group = self.name()
        self.files = self.folder / self.group
        self.files.mkdir()
        self.disk, self.known, self.taken = {}, {}, {}
        source = source or Files(f"../{self.group}")
        self.store.apply(FeatureGroup(self.group, entity=thing, event_time="at", features=[Feature("v", "int64")],
                                      source=source, online=True, known="event", **parts))  # fmt: skip

    def put(self, name, text, given):
        """Write a file, a second after the one before."""
        self.number += 1
        path = self.files / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000 + self.number,) * 2)
        self.disk[name] = (self.number, text, given)

    def play(self, steps):
        """Play steps, and keep account."""
        for what, said in steps:
            self.now += timedelta(minutes=7)
            if what == "put":
                lines = [f"{k},{at(h).isoformat()},{v}\n" for k, h, v in said[1]]
                self.put(said[0], "".join(["k,at,v\n", *lines]), said[1])
            elif what == "touch" and said in self.disk:
                self.put(said, *self.disk[said][1:])
            elif what == "damage":
                self.put(said, "k,at,v\n1,2\n", None)
            elif what == "retract" and self.taken:
                commit = sorted(self.taken)[said % len(self.taken)]
                self.store.retract(f"{self.group}:{commit}", reason="wrong")
                del self.taken[commit]
            elif what == "reopen":
                self.reopen()
            elif what == "compact":
                self.store.compact(self.group)
            elif what in ("run", "full"):
                self.run(full=what == "full")

    def run(self, *, full=False):
        """Run, and say what that must have taken."""
        ordered = sorted((number, name, text, rows) for name, (number, text, rows) in self.disk.items())
        new = [(name, text, rows) for _, name, text, rows in ordered if full or self.known.get(name) != text]
        before = {commit.number for commit in self.store.catalog.commits(self.group)}
        if any(rows is None for *_, rows in new):
            with pytest.raises(DataError, match="Expected 3 columns"):
                self.store.materialize(self.group, full=full)
            new = [] if full else [each for each in new if each[2] is not None]
        elif full and self.taken and not any(rows for *_, rows in new):
            with pytest.raises(DataError, match="gave no rows to replace"):
                self.store.materialize(self.group, full=True)
            new = []
        else:
            self.store.materialize(self.group, full=full)
            self.taken = {} if full else self.taken
        made = [c for c in self.store.catalog.commits(self.group) if c.number not in before and c.kind != "retract"]
        self.known |= {name: text for name, text, rows in new if rows}
        expected = [(name, rows) for name, _, rows in new if rows]
        assert [(c.meta["source"], c.rows) for c in made] == [(name, len(rows)) for name, rows in expected]
        self.taken |= {c.number: rows for c, (_, rows) in zip(made, expected, strict=True)}

    def check(self):
        """Hold what is stored, and what is served, to the account."""
        expected = [(k, at(h), v, number) for number, rows in self.taken.items() for k, h, v in rows]
        stored = self.store.read(self.group, clocks=True).to_arrow().to_pylist()
        found = [(each["k"], each["at"], each["v"], each["__commit"]) for each in stored]
        assert Counter(found) == Counter(expected)
        for k in range(3):
            newest = max(((t, number, v) for key, t, v, number in expected if key == k), default=None)
            answer = self.store.online(self.group, {"k": k})
            assert answer.values["v"] == (None if newest is None else newest[2])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Cut everything small: batches, parts of files, files that are merged."""
    monkeypatch.setattr(take, "BATCH_ROWS", 2)
    monkeypatch.setattr(take, "PART_ROWS", 2)
    monkeypatch.setattr(merge, "FILES", 2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("taken"))
    yield made
    made.store.close()


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
@given(steps=st.lists(step, max_size=14))
def test_what_is_stored_is_what_each_run_found_new(bench, small, steps):
    bench.now = BASE
    bench.begin()
    bench.play([*steps, ("run", None)])
    bench.check()
    bench.store.catalog.remove(bench.group)


FILES = [
    ("put", ("a.csv", [(0, 1, 1), (1, 1, 1), (2, 1, 1)])),
    ("put", ("b.csv", [(0, 2, 2)])),
    ("run", None),
    ("put", ("a.csv", [(0, 1, 3), (1, 3, 3)])),
    ("put", ("sub/c.csv", [(2, 4, 4)])),
]


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["new", "full"])
def test_a_run_over_files_may_die_at_any_fifth_step(bench, small, full):
    for fatal in range(2 if full else 0, 300, 5):
        bench.begin()
        bench.play(FILES)
        bench.crashing.arm(fatal)
        died = True
        with suppress(Killed):
            bench.store.materialize(bench.group, full=full)
            died = False
        bench.crash()
        bench.store.materialize(bench.group, full=full)
        assert bench.store.materialize(bench.group) == []
        found = [(r["k"], r["at"], r["v"]) for r in bench.store.read(bench.group).to_arrow().to_pylist()]
        gone = () if full else [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
        expected = [(0, 2, 2), (0, 1, 3), (1, 3, 3), (2, 4, 4), *gone]
        assert Counter(found) == Counter((k, at(h), v) for k, h, v in expected)
        assert bench.store.online(bench.group, {"k": 0}).values == {"v": 2}
        bench.store.catalog.remove(bench.group)
        if not died:
            break
    assert not died
    assert fatal > 10


@pytest.mark.slow
def test_a_run_over_a_function_may_die_at_any_fifth_step(bench, small, tmp_path, monkeypatch):
    (tmp_path / "feeds_that_die.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    import feeds_that_die

    for fatal in range(1, 300, 5):
        feeds_that_die.LOG[:] = [{"k": n % 3, "at": at(n % 6), "v": n} for n in range(4)]
        bench.begin("feeds_that_die:pages")
        bench.store.materialize(bench.group)
        feeds_that_die.LOG += [{"k": n % 3, "at": at(n % 6), "v": n} for n in range(4, 10)]
        bench.crashing.arm(fatal)
        died = True
        with suppress(Killed):
            bench.store.materialize(bench.group)
            died = False
        bench.crash()
        bench.store.materialize(bench.group)
        assert bench.store.materialize(bench.group) == []
        assert sorted(bench.store.read(bench.group).to_arrow()["v"].to_pylist()) == list(range(10))
        bench.store.catalog.remove(bench.group)
        if not died:
            break
    assert not died
    assert fatal > 10
    sys.modules.pop("feeds_that_die")
