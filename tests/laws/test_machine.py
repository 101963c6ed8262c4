"""A store is written to, amended, crashed and opened again in any order, and always answers as the oracle does.

Each example is a program of rules; a failing one is printed as Python that reads as what was done.
"""

import random
from collections import Counter
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asof.definitions import FeatureView
from asof.errors import ConflictError, UnsupportedError, UsageError
from asof.ingest import feed
from asof.testing.crashes import Killed
from asof.testing.played import Played, answers_of, known_of
from asof.testing.reference import Group, Row, canonical
from asof.testing.strategies import BASE_US, FEATURE_TYPES, HOUR_US, SKEW_US, History, Op, turns

long = settings().max_examples > 100
# The arrangements share the examples; a program takes the time of some five.
searched = settings(max_examples=max(settings().max_examples // 25, 2), stateful_step_count=30 if long else 15)

WHO = st.integers(0, 2)
KEYS = st.sampled_from(["a", "b", ""])
TIMES = st.sampled_from(["0h", "1h", "2h", "3h", "4h", "now", "now-1us", "now+60s"])
NUMBERS = st.sampled_from([None, 0, 1, 2, "nan"])
ROWS = st.lists(st.tuples(KEYS, TIMES, NUMBERS), min_size=1, max_size=4)
ARRIVALS = st.none() | st.lists(st.sampled_from(["0h", "1h", "2h", "3h", "now"]), min_size=1, max_size=2)
KINDS = st.sampled_from(["store", "skip"])
ON_CONFLICT = st.sampled_from(["error", "error", "last"])
VERBS = st.sampled_from(["write", "backfill", "push", "retire", "retract", "together", "compact", "seal", "amend"])
STEPS = st.sampled_from([
    "before history.stage", "after history.stage", "before log.publish", "after log.publish", "before online.apply",
    "after online.apply", "before log.replace_files", "after log.replace_files", "after registry.apply", "never",
])  # fmt: skip
OPENING = st.sampled_from(["never", "never", "before online.apply", "after online.apply", "after online.clear"])

done = Counter()


class Machine(RuleBasedStateMachine):
    """Two groups, a second version of the first, and a view of each version."""

    def __init__(self, bench) -> None:
        super().__init__()
        self.bench = bench
        self.clock = bench.clock
        self.clock.now_us = BASE_US + 2 * HOUR_US
        self.groups: list[Played] = []
        self.views: dict[str, Played] = {}  # ref of a view of the first group, and what it is pinned to
        self.tried: list[tuple[str, list[tuple[Played, Op]], list]] = []  # idempotency key, what was written, commits
        self.kept: list[tuple[dict, str]] = []  # a pinned question and its answer
        self.receipts: list[tuple] = []
        self.touched: set[str] = set()
        self.count = 0

    @initialize(
        ttl=st.sampled_from([None, 1, 2]), delay=st.sampled_from([0, 1]), static=st.booleans(), on_unchanged=KINDS
    )
    def begin(self, ttl, delay, static, on_unchanged) -> None:
        done["examples"] += 1
        features = tuple(FEATURE_TYPES)
        timed = Group(features, ttl_us=ttl and ttl * HOUR_US, delay_us=delay * HOUR_US)
        self.add(History(timed, ("string",), (), on_unchanged), self.bench.name())
        self.add(History(Group(features, static=static), ("string", "int64"), (), "skip"), self.bench.name())
        self.view = f"view_{self.groups[0].name}"
        self.pin_view(self.groups[0])

    def add(self, history: History, name: str, version: int = 1) -> Played:
        played = Played(self.bench.store, self.clock, history, name, version=version)
        self.groups.append(played)
        self.touched.add(played.ref)
        return played

    def pin_view(self, played: Played) -> None:
        (change,) = self.bench.store.apply(FeatureView(self.view, features=[played.definition]))
        self.views[f"{change.name}@{change.version}"] = played

    # ---- what is written

    @rule(who=WHO, rows=ROWS, on_conflict=ON_CONFLICT)
    def write(self, who, rows, on_conflict) -> None:
        self.do([self.op("write", who, rows, on_conflict)])

    @rule(who=WHO, rows=ROWS, on_conflict=ON_CONFLICT)
    def push(self, who, rows, on_conflict) -> None:
        self.do([self.op("push", who, rows, on_conflict)])

    @rule(who=WHO, rows=ROWS, on_conflict=ON_CONFLICT, arrivals=ARRIVALS)
    def backfill(self, who, rows, on_conflict, arrivals) -> None:
        self.do([self.op("backfill", who, rows, on_conflict, arrivals)])

    @rule(who=WHO, keys=st.lists(KEYS, min_size=1, max_size=2), time=TIMES)
    def retire(self, who, keys, time) -> None:
        self.do([self.op("retire", who, [(key, time, None) for key in keys])])

    @rule(who=WHO, which=st.integers(0, 5))
    def retract(self, who, which) -> None:
        self.do([self.retraction(who, which)])

    @rule(first=ROWS, second=ROWS, third=st.none() | ROWS)
    def together(self, first, second, third) -> None:
        self.do(self.ops_together(first, second, third))

    @precondition(lambda self: self.tried)
    @rule(which=st.integers(0, 5))
    def retry(self, which) -> None:
        """Say the same again with the same idempotency key, perhaps long afterwards."""
        key, ops, commits = self.tried[-1 - which % len(self.tried)]
        latest = max((t for _, op in ops for row in op.rows for t in (row.event_time, row.arrival) if t), default=0)
        if latest > self.clock.now_us:
            return  # the clock went back, and the rows lie in the future again
        again = self.send(ops, key)
        assert again == commits
        assert all(commit.repeated for commit in again)
        self.touched |= {played.ref for played, _ in ops}

    # ---- what is defined

    @rule(who=WHO)
    def amend(self, who) -> None:
        played = self.newest(who)
        if len(played.types) < len(FEATURE_TYPES) + 2:
            self.define(played, played.amended(features={f"e{len(played.types)}": "int64"}))

    @rule(who=WHO)
    def turn_online_off_or_on(self, who) -> None:
        played = self.newest(who)
        self.define(played, played.amended(online=not played.definition.online))

    @rule(who=WHO, cold=st.sampled_from([["n"], ["n", "s"], ["x"]]))
    def split(self, who, cold) -> None:
        """Store some features apart, if the group skips; it is done once."""
        catalog, played = self.bench.store.catalog, self.at(who)
        (group,) = [group for group in catalog.groups() if group.ref == played.ref]
        if group.cold:
            assert set(catalog.split(played.ref, cold=group.cold).cold) == set(group.cold)
        elif played.history.on_unchanged == "skip":
            catalog.split(played.ref, cold=cold)
            done["split"] += 1
        else:
            with pytest.raises(UsageError, match="not compared"):
                catalog.split(played.ref, cold=cold)
        self.touched.add(played.ref)

    @precondition(lambda self: len(self.groups) == 2)
    @rule(ttl=st.sampled_from([3, 4]))
    def new_version(self, ttl) -> None:
        first = self.groups[0]
        group = Group(tuple(FEATURE_TYPES), ttl_us=ttl * HOUR_US, delay_us=first.history.group.delay_us)
        self.pin_view(
            self.add(History(group, first.history.key_types, (), first.history.on_unchanged), first.name, version=2)
        )

    @rule(who=st.integers(0, 1))
    def remove_what_views_read(self, who) -> None:
        if who == 0:
            with pytest.raises(ConflictError) as caught:
                self.bench.store.catalog.remove(self.groups[0].name)
            assert set(caught.value.data["dependants"]) <= set(self.views)
            assert caught.value.data["dependants"]

    # ---- what must change no answer

    @rule(who=WHO)
    def compact(self, who) -> None:
        self.bench.store.compact(self.at(who).ref)

    @rule(who=WHO)
    def merge(self, who) -> None:
        upkeep, registry = self.bench.store._writer.upkeep, self.bench.store._parts.registry
        done["files merged"] += upkeep.merge(registry.group(self.at(who).ref))
        self.touched.add(self.at(who).ref)

    @rule(who=WHO)
    def seal(self, who) -> None:
        self.bench.store._writer.upkeep.seal(self.bench.store._parts.registry.group(self.at(who).ref))
        self.touched.add(self.at(who).ref)

    @rule(who=WHO)
    def lose_what_is_online(self, who) -> None:
        parts = self.bench.store._parts
        parts.online.clear(parts.registry.group(self.at(who).ref).id)
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.bench.reopen()
        self.opened()

    @rule(
        verb=VERBS, step=STEPS, opening=OPENING, who=WHO, rows=ROWS, others=ROWS, on_conflict=ON_CONFLICT,
        arrivals=ARRIVALS,
    )  # fmt: skip
    def crash(self, verb, step, opening, who, rows, others, on_conflict, arrivals) -> None:
        """Die in the middle of a verb, or just after it, and perhaps once more while opening."""
        ops, changed = [], None
        if verb == "together":
            ops = self.ops_together(rows, others, None)
        elif verb == "retract":
            ops = [self.retraction(who, len(rows))]
        elif verb in ("write", "push", "backfill", "retire"):
            rows = [(key, rows[0][1], None) for key, _, _ in rows] if verb == "retire" else rows
            ops = [self.op(verb, who, rows, on_conflict, arrivals if verb == "backfill" else None)]
        elif verb == "amend":
            changed = self.newest(who).amended(features={"crashed": "int64"})
        ops = [op for op in ops if op is not None]
        crashing = self.bench.crashing
        crashing.arm(step)
        commits = None
        try:
            if ops:
                commits = self.send(ops)
            elif changed is not None:
                self.bench.store.apply(changed)
            elif verb in ("compact", "seal"):
                getattr(self, verb)(who)
        except Killed:
            done[f"crashed {step}"] += 1
        passed = list(crashing.steps)
        self.bench.crash(opening)
        self.opened()
        if commits is None and "after log.publish" in passed:
            commits = [self.bench.store.catalog.commits(played.ref, limit=1)[0] for played, _ in ops]
        if commits is not None:
            self.take(ops, commits)
        if "after registry.apply" in passed:
            self.newest(who).adopt(changed)

    @rule(hours=st.sampled_from([0, 1, 1, 2, -1, -3]), us=st.sampled_from([0, 1]))
    def move_the_clock(self, hours, us) -> None:
        self.clock.now_us += hours * HOUR_US + us
        self.touched |= {played.ref for played in self.groups}

    # ---- what is remembered

    @rule(known=st.sampled_from(["served", "event", "1h", "now"]), newest=st.booleans())
    def read_pinned(self, known, newest) -> None:
        ref = max(self.views) if newest else min(self.views)
        question = {"view": ref, "spine": self.views[ref].spine(self.spine(self.views[ref])), "time": "t"}
        question["known"] = known if known in ("served", "event") else known_of(self.time(known))
        frame = self.bench.store.historical(**question, statuses=True)
        question["commits"] = frame.commits
        self.kept = [*self.kept[-3:], (question, as_text(frame))]

    @rule(key=KEYS, newest=st.booleans())
    def keep_a_receipt(self, key, newest) -> None:
        ref = max(self.views) if newest else min(self.views)
        if self.views[ref].definition.online:
            vector = self.bench.store.online(ref, {"k1": key}, request={"n": self.count})
            self.receipts = [*self.receipts[-4:], (vector.receipt, answers_of(vector))]

    # ---- what must always hold

    @invariant()
    def everything_is_as_the_oracle_says(self) -> None:
        self.count += 1
        done["steps"] += 1
        for place, played in enumerate(self.groups):
            if played.ref in self.touched:
                self.check(played)
            elif self.count % len(self.groups) == place:  # what nobody touched must not have moved
                self.check(played, modes=1)
        self.touched = set()
        for question, text in self.kept[self.count % 3 :: 3]:
            assert as_text(self.bench.store.historical(**question, statuses=True)) == text, "a pinned read changed"
        for receipt, answers in self.receipts[self.count % 4 :: 4]:
            assert answers_of(self.bench.store.replay(receipt)) == answers, "a receipt is not replayed"

    def check(self, played: Played, modes: int = 3) -> None:
        rows = self.spine(played)
        moment = random.Random(self.count).choice([t for _, t in rows])
        views = [ref for ref, pinned in self.views.items() if pinned is played]
        every = ["served", "event", moment]
        for place in range(modes):
            known = every[(self.count + place) % 3]
            if known == "served" and views:  # the default; the view has the features of its first day
                played.check_historical(rows, None, view=views[0])
            else:
                played.check_historical(rows, known)
        if self.count % 4 == 0:
            played.check_read(moment)
        if played.definition.online:
            played.check_online({key for key, _ in rows})
        else:
            with pytest.raises(UnsupportedError, match=f"group '{played.name}' is not online"):
                played.check_online([rows[0][0]])

    def teardown(self) -> None:
        try:
            for played in self.groups:
                self.check(played)
            for ref, played in self.views.items():
                if played.definition.online:
                    found = self.bench.store.verify(ref, instants=4, keys=3)
                    assert not found.differences, str(found)
            diagnosis = self.bench.store.quality.doctor()
            wrong = [finding for finding in diagnosis.findings if finding.where != "debris"]
            assert not wrong, str(diagnosis)
        finally:
            self.bench.empty()

    # ---- how it is done

    def do(self, ops: list) -> None:
        ops = [op for op in ops if op is not None]
        if not ops:
            return
        self.count += 1
        key = f"once {self.count}"
        commits = self.send(ops, key)
        self.take(ops, commits)
        if all(op.kind in ("write", "push", "backfill") for _, op in ops):
            self.tried.append((key, ops, commits))

    def send(self, ops: list[tuple[Played, Op]], key: str = "") -> list:
        """Do it on the store alone."""
        if len(ops) == 1:
            ((played, op),) = ops
            return [played.do(op, key=key)]
        with self.bench.store.together() as tx:
            for played, op in ops:
                tx.write(played.ref, played.table(op), idempotency_key=key)
        return tx.commits

    def take(self, ops: list[tuple[Played, Op]], commits: list) -> None:
        """Tell the oracle."""
        shared = None
        if len(ops) > 1:
            events = [row.event_time for _, op in ops for row in op.rows if row.event_time is not None]
            after = [played.commits[-1].committed_at_us + 1 for played, _ in ops if played.commits]
            shared = max([self.clock.now_us, *events, *after])
        for (played, op), commit in zip(ops, commits, strict=True):
            played.take(op, commit, committed_at=shared)
            self.touched.add(played.ref)

    def define(self, played: Played, changed) -> None:
        (change,) = self.bench.store.apply(changed)
        assert (change.action, f"{change.name}@{change.version}") == ("amend", played.ref)
        played.adopt(changed)
        self.touched.add(played.ref)

    def opened(self) -> None:
        for played in self.groups:
            played.store = self.bench.store
            self.touched.add(played.ref)

    def at(self, who: int) -> Played:
        return self.groups[who % len(self.groups)]

    def newest(self, who: int) -> Played:
        return [played for played in self.groups if played.name == self.at(who).name][-1]

    def time(self, name: str) -> int:
        now = self.clock.now_us
        steps = {"now": 0, "now-1us": -1, "now+60s": SKEW_US}
        return now + steps[name] if name in steps else min(BASE_US + int(name[0]) * HOUR_US, now)

    def op(self, kind, who, rows, on_conflict="error", arrivals=None) -> tuple[Played, Op]:
        played = self.at(who)
        static = played.history.group.static
        made: dict[tuple, list[Row]] = {}
        every = []
        for place, (key, time, number) in enumerate(rows):
            whole = (key, *range(len(key), len(key) + len(played.history.key_types) - 1))
            event = None if static else self.time(time)
            values = {} if kind == "retire" else self.values(played, number)
            if on_conflict == "error" and (whole, event) in made:
                values = made[whole, event][0].values  # an equal duplicate
            arrival = None if static or not arrivals else self.time(arrivals[place % len(arrivals)])
            row = Row(whole, event, values, retired=kind == "retire", arrival=arrival)
            made.setdefault((whole, event), []).append(row)
            every.append(row)
        return played, Op(kind, self.clock.now_us, tuple(every), on_conflict=on_conflict)

    def values(self, played: Played, number) -> dict[str, object]:
        if number is None:
            return {}
        whole = None if number == "nan" else number
        added = {name: whole for name in played.types if name not in FEATURE_TYPES}
        return {"x": float(number), "n": whole, "s": None if number == 2 else str(number), **added}

    def retraction(self, who, which) -> tuple[Played, Op] | None:
        played = self.at(who)
        gone = {commit.target for commit in played.commits}
        legal = [n for n, c in enumerate(played.commits, 1) if c.kind != "retract" and c.number not in gone]
        return (played, Op("retract", self.clock.now_us, target=legal[-1 - which % len(legal)])) if legal else None

    def ops_together(self, first, second, third) -> list:
        every = [first, second, *([third] if third is not None and len(self.groups) > 2 else [])]
        return [self.op("write", who, rows) for who, rows in enumerate(every)]

    def spine(self, played: Played) -> list:
        """Give keys, unknown and null ones too, at times that matter."""
        chance = random.Random(self.count)
        clocks = [commit.committed_at_us for commit in played.commits]
        points = sorted({BASE_US, self.clock.now_us, *clocks, *turns(played.reference)})
        times = [chance.choice(points) + chance.choice([0, 0, -1, 1]) for _ in range(5)]
        times += [self.clock.now_us, max([self.clock.now_us, *clocks])]
        width = len(played.history.key_types)
        keys = [("a", 1)[:width], ("b", 1)[:width], ("", 0)[:width]]
        nobody = [("zz", 1)[:width], (None, 1)[:width]]
        return [(key, t) for t in times for key in keys] + [(key, self.clock.now_us) for key in nobody]


def as_text(frame) -> str:
    """Give every value of a frame as text: the same text is the same answer, NaN included."""
    table = frame.to_arrow()
    return f"{table.schema} {frame.commits} {canonical(table.to_pylist())}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
def test_a_store_answers_as_the_oracle_after_every_step(crashable, monkeypatch) -> None:
    monkeypatch.setattr(feed, "STEP_ROWS", 2)  # so that a bulk load takes several steps, and a crash comes between
    done.clear()
    try:
        run_state_machine_as_test(partial(Machine, crashable), settings=searched)
    finally:
        print(dict(done))  # noqa: T201 - the counts of a run
