"""Events that no window reaches leave the trees of entities that nobody writes to, and no answer changes."""

from dataclasses import replace
from itertools import pairwise
from threading import Thread

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asof
import asof.store
from asof import Entity, Feature, FeatureGroup
from asof.aggregates import Count, Sum
from asof.arrow.keys import encode_keys
from asof.clock import from_us
from asof.ingest import grow, sweep, upkeep
from asof.ingest.grow import Grower
from asof.ingest.spans import first_span, spans
from asof.ingest.sweep import Sweep
from asof.online.port import Applied
from asof.parts import open_parts
from asof.parts.trees import SHAPE_KEY, SWEPT_KEY, Trees
from asof.testing.aggregated import SPANS, Aggregated, aggregations
from asof.testing.played import Clock
from asof.testing.strategies import BASE_US, HOUR_US, Case, cases
from asof.windows import tree

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))
ENDING = [span for span in SPANS if span.kind in ("exact", "hop", "sawtooth")]
KEYS = [("k1",), ("s",), ("n",), ("s", "k1")]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let trees be deep, and steps and lots small."""
    monkeypatch.setattr(tree, "MOST", 3)
    monkeypatch.setattr(tree, "FILLED", 2)
    monkeypatch.setattr(sweep, "STEP_ROWS", 2)
    monkeypatch.setattr(sweep, "LOT", 2)
    monkeypatch.setattr(grow, "STEP_ROWS", 2)


@pytest.fixture
def alone(monkeypatch):
    """Do what waits when a test says so."""
    monkeypatch.setattr(upkeep, "BACKGROUND", False)


def all_swept(store, made):
    """Sweep everything, and see that no tree has what is needless, and all have what they should."""
    group = store._parts.registry.group(made.name)
    Sweep(store._parts, group).all()
    trees = Trees(group)
    with store._parts.online.snapshot() as snapshot:
        mark = snapshot.applied.get(group.id, Applied())
        until_us = trees.shape.needless_until(mark.committed_at_us)
        for key in filter(lambda key: None not in key, made.keys()):
            (entity,) = encode_keys(made.table(key))
            (root,) = snapshot.get([(group.id, trees.key(entity))])
            held = trees.tree(entity, root, lambda each: snapshot.get([(group.id, each)])[0])
            assert held.prune(until_us) is False
    assert Grower(store._parts, group).compare()[1] == 0


@some
@given(case=cases(static=False), asked=aggregations(ENDING), on=st.sampled_from(KEYS), data=st.data())
def test_a_sweep_changes_no_answer_at_its_time_or_later(bench, case: Case, asked, on, data) -> None:
    with bench.groups(case.history) as (played,):
        made = Aggregated(played, asked, on, online=True)
        try:
            for op in case.history.ops:
                played.step(op)
                if data.draw(st.booleans()):
                    all_swept(bench.store, made)
                made.check_online(made.keys())
                bench.clock.now_us += data.draw(st.sampled_from([0, 1, HOUR_US]))
                made.check_online(made.keys())
            all_swept(bench.store, made)
            for _ in range(3):
                made.check_online(made.keys())
                bench.clock.now_us += HOUR_US
        finally:
            bench.store.catalog.remove(made.name)


def source(**options):
    return FeatureGroup(
        "events",
        entity=Entity("event", keys={"id": "int64"}),
        event_time="at",
        features=[Feature("card", "string"), Feature("x", "float64")],
        online=True,
        **options,
    )


def by_card(of):
    features = [Count(over="1h"), Sum("x", over="2h")]
    return FeatureGroup(
        "by_card", entity=Entity("card", keys={"card": "string"}), source=of, features=features, online=True
    )


@pytest.fixture
def clock():
    return Clock(BASE_US)


@pytest.fixture(params=["lmdb", "redis"])
def store(tmp_path, clock, alone, request):
    """Give a store whose snapshots stay, and one whose readers see that others wrote."""
    online = "lmdb:online/" if request.param == "lmdb" else request.getfixturevalue("redis_server").url
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "asof.toml").write_text(f'format = 1\nonline = "{online}"\n')
    with asof.open(tmp_path / "s", clock=clock) as opened:
        of = source()
        opened.apply(of, by_card(of))
        yield opened


def rows(first, count, card, now_us):
    """Give events of the last minutes."""
    return [
        {"id": first + each, "at": from_us(now_us - each * 60_000_000), "card": card, "x": 0.1} for each in range(count)
    ]


def held(store):
    """Return how many rows the trees have."""
    group = store._parts.registry.group("by_card")
    with store._parts.online.snapshot() as snapshot:
        own = sum(row is not None for row in snapshot.get([(group.id, key) for key in (SHAPE_KEY, SWEPT_KEY)]))
    return store._parts.online.count(group.id) - own


def test_entities_that_are_written_to_no_more_are_swept_by_themselves(store, clock):
    for number in range(20):
        store.write("events", rows(number * 100, 30, f"dead{number}", clock.now_us))
    store._writer.upkeep.work()
    before = held(store)
    assert before > 200
    clock.now_us += 10 * HOUR_US
    store.write("events", rows(5000, 1, "alive", clock.now_us))
    store._writer.upkeep.work()
    assert held(store) == 1
    assert store.online("by_card", {"card": "dead1"}).values == {"count_1h": 0, "x_sum_2h": 0.0}
    assert store.online("by_card", {"card": "alive"}).values["count_1h"] == 1
    assert store.quality.doctor().healthy


def test_a_sweep_waits_until_a_part_of_the_window_has_aged(store, clock):
    group = store._parts.registry.group("by_card")
    store.write("events", rows(0, 30, "dead", clock.now_us))
    clock.now_us += 4 * HOUR_US
    store.write("events", rows(100, 1, "alive", clock.now_us))
    sweeping = Sweep(store._parts, group)
    while sweeping.step():
        pass
    store.write("events", rows(200, 1, "later", clock.now_us))
    clock.now_us += HOUR_US // 5
    store.write("events", rows(300, 1, "alive", clock.now_us))
    assert sweeping.step() is False
    assert sweeping.step(least_us=0) is True


def test_what_was_interrupted_is_done_again(store, clock, monkeypatch):
    for number in range(6):
        store.write("events", rows(number * 100, 10, f"dead{number}", clock.now_us))
    clock.now_us += 10 * HOUR_US
    store.write("events", rows(5000, 1, "alive", clock.now_us))
    visit, visited = Sweep._visit, []

    def dying(self, entities):
        if len(visited) == 2:
            raise KeyboardInterrupt
        visited.append(entities)
        visit(self, entities)

    monkeypatch.setattr(sweep, "STEP_ROWS", 1000)
    monkeypatch.setattr(Sweep, "_visit", dying)
    group = store._parts.registry.group("by_card")
    with pytest.raises(KeyboardInterrupt):
        Sweep(store._parts, group).step()
    monkeypatch.undo()
    assert held(store) > 1
    Sweep(store._parts, group).all()
    assert held(store) == 1


def test_compact_sweeps_and_the_setting_off_leaves_it_to_it(tmp_path, clock, alone, monkeypatch):
    monkeypatch.setenv("ASOF_COMPACTION", "off")
    with asof.open(tmp_path / "s", clock=clock) as store:
        of = source()
        store.apply(of, by_card(of))
        store.write("events", rows(0, 30, "dead", clock.now_us))
        clock.now_us += 10 * HOUR_US
        store.write("events", rows(100, 1, "alive", clock.now_us))
        store._writer.upkeep.work()
        assert held(store) > 1
        store.compact("events")
        assert held(store) == 1


class Before:
    """An online store that does something before each change that somebody applies, once."""

    def __init__(self, online):
        self._online = online
        self.act = None

    def __getattr__(self, name):
        return getattr(self._online, name)

    def apply(self, changes):
        act, self.act = self.act, None
        if act is not None:
            act()
        return self._online.apply(changes)


@pytest.mark.parametrize("fresh", [1, 2, 12])
def test_a_writer_that_read_a_tree_before_it_was_swept_leaves_it_whole(tmp_path, clock, alone, fresh):
    """The sweep comes between what the writer read and what it applies; it would otherwise keep nodes that are gone."""
    parts = open_parts(tmp_path / "s", create=True, clock=clock)
    online = Before(parts.online)
    store = asof.store.Store(replace(parts, online=online))
    try:
        of = source()
        store.apply(of, by_card(of))
        group = parts.registry.group("by_card")
        store.write("events", rows(0, 100, "card", clock.now_us))
        clock.now_us += 3 * HOUR_US // 2
        store.write("events", rows(900, 30, "card", clock.now_us))
        clock.now_us += 5 * HOUR_US // 4
        store.write("events", rows(1000, 1, "other", clock.now_us))
        before = parts.online.count(group.id)
        online.act = lambda: (Sweep(parts, group).all(), swept.append(parts.online.count(group.id)))
        swept = []
        store.push("events", rows(2000, fresh, "card", clock.now_us))
        assert swept[0] < before
        assert Grower(parts, group).compare() == (2, 0)
        trees = Trees(group)
        with parts.online.snapshot() as snapshot:
            (entity,) = encode_keys(pa.table({"card": ["card"]}))
            (root,) = snapshot.get([(group.id, trees.key(entity))])
            whole = trees.tree(entity, root, lambda each: snapshot.get([(group.id, each)])[0])
            assert len(list(whole.events())) >= 30 + fresh
    finally:
        store.close()


def test_a_sweep_that_a_writer_overtakes_begins_again(store, clock):
    group, parts = store._parts.registry.group("by_card"), store._parts
    store.write("events", rows(0, 100, "card", clock.now_us))
    clock.now_us += 3 * HOUR_US
    store.write("events", rows(1000, 1, "other", clock.now_us))
    online = Before(parts.online)
    online.act = lambda: store.push("events", rows(2000, 5, "card", clock.now_us))
    Sweep(replace(parts, online=online), group).all()
    assert Grower(parts, group).compare() == (2, 0)
    assert store.online("by_card", {"card": "card"}).values["count_1h"] == 5


def test_writers_and_sweeps_at_the_same_time_lose_nothing(store, clock):
    group = store._parts.registry.group("by_card")
    cards = [f"c{number}" for number in range(6)]
    failed, done = [], []

    def guarded(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    def writing(worker):
        for turn in range(25):
            card = cards[(turn + worker) % len(cards)]
            store.push("events", rows(worker * 100_000 + turn * 100, 5, card, clock.now_us))
            clock.now_us += HOUR_US // 10
        done.append(worker)

    def sweeping():
        while len(done) < 2 and not failed:
            Sweep(store._parts, group).all()

    threads = [
        Thread(target=guarded, args=(work,)) for work in (lambda: writing(1), lambda: writing(2), sweeping, sweeping)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    Sweep(store._parts, group).all()
    assert Grower(store._parts, group).compare()[1] == 0
    for card in cards:
        vector = store.online("by_card", {"card": card})
        assert store.replay(vector.receipt).values == vector.values


def test_steps_go_through_all_of_a_time_in_order(store, clock):
    store.write("events", rows(0, 30, "dead", clock.now_us))
    rows_, _ = sweep.pinned_rows(store._parts, store._parts.registry.group("events"))
    after, found = BASE_US - 10 * HOUR_US, []
    while after < BASE_US:
        begin, end = first_span(rows_, after, BASE_US, most=sweep.STEP_ROWS)
        assert after <= begin < end <= BASE_US
        found.append((begin, end))
        after = end
    assert len(found) >= 10
    assert all(one[1] == other[0] for one, other in pairwise(found))
    every = [*spans(rows_, BASE_US - 10 * HOUR_US, most=sweep.STEP_ROWS)]
    assert every[: len(found) - 1] == found[:-1]
    assert all(one[1] <= other[0] for one, other in pairwise(every))
    assert [*spans(rows_, every[-1][1], most=1)] == []
