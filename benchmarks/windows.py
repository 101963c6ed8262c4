"""Aggregates over windows: offline beside SQL by hand, of deep keys, online, and pushed; 4 minutes."""

import time
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from data import START, Hands, start_us, timestamps
from measure import Table, calls_us, median, percentile, take_turns

import asof
from asof import Entity, Feature, FeatureGroup
from asof.aggregates import (
    Count,
    CountDistinct,
    CountDistinctApprox,
    Last,
    LastK,
    Max,
    Mean,
    Quantile,
    Sum,
    TopK,
    session,
)

CARD = Entity("card", keys={"card": "int64"})
PAYMENT = Entity("payment", keys={"payment": "int64"})
HOUR_US = 3_600_000_000
WINDOWS = ["10m", "1h", "6h", "12h", "24h"]


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    events, spine, rounds = (5_000, 500, 1) if quick else (1_000_000, 100_000, 5)
    calls = 50 if quick else 2000
    return [
        offline(folder / "offline", events, spine, rounds),
        deep(folder / "deep", 5_000 if quick else 864_000, spine, rounds),
        functions(folder / "functions", events, 50 if quick else 1000, min(spine, 20_000)),
        online(folder / "online", calls, rounds, busy=2_000 if quick else 864_000),
        pushed(folder / "pushed", calls),
    ]


def groups(*features):
    """Return a group of payments, and one that is made of them."""
    source = FeatureGroup(
        "payments",
        entity=PAYMENT,
        event_time="at",
        features=[Feature("card", "int64"), Feature("amount", "float64")],
        online=True,
    )
    return source, FeatureGroup("spending", entity=CARD, source=source, features=features, online=True)


def payments(count, cards, span_us, *, seed=0, first=0):
    """Return payments spread evenly over a span that ends at START."""
    rng = np.random.default_rng(seed)
    at = start_us() - span_us + np.sort(rng.integers(1, span_us + 1, count))
    amounts = np.round(rng.lognormal(3, 1, count), 2)
    columns = {"payment": first + np.arange(count), "at": timestamps(at), "card": rng.integers(0, cards, count)}
    return pa.table({**columns, "amount": amounts})


HAND = """
SELECT count(e.at) FILTER (WHERE e.at > s.t - INTERVAL 24 HOUR),
       {sum}(e.amount) FILTER (WHERE e.at > s.t - INTERVAL 24 HOUR)
FROM (SELECT *, row_number() OVER () AS number FROM spine) s
LEFT JOIN events e ON e.card = s.card AND e.at <= s.t AND e.at > s.t - INTERVAL 24 HOUR
GROUP BY number ORDER BY number
"""


def offline(folder, events, spine, rounds):
    """Return how long 24 hours of ten thousand cards take beside a join with filtered aggregates by hand."""
    table = Table(
        f"Windows offline: count and sum of 24 hours, {spine:,} rows of a spine x {events:,} events of 10,000 cards",
        "the events span 10 days. By hand: one join with filtered aggregates, floats added up as they come",
        rounds,
    )
    rows = payments(events, 10_000, 240 * HOUR_US)
    rng = np.random.default_rng(1)
    asked = pa.table(
        {
            "card": rng.integers(0, 10_000, spine),
            "t": timestamps(start_us() - rng.integers(0, 216 * HOUR_US, spine)),
        }
    )
    source, made = groups(Count(over="24h"), Sum("amount", over="24h"))
    with asof.open(folder, clock=Hands(START + timedelta(days=1))) as store, duckdb.connect() as engine:
        store.apply(source, made)
        store.backfill("payments", rows)
        engine.execute("SET TimeZone='UTC'")
        engine.register("events", rows)
        engine.register("spine", asked)
        figures = take_turns(
            {
                "asof, exact": lambda: store.historical("spending", asked, time="t", known="event").to_arrow(),
                "by hand, sum": lambda: engine.sql(HAND.format(sum="sum")).to_arrow_table(),
                "by hand, fsum": lambda: engine.sql(HAND.format(sum="fsum")).to_arrow_table(),
            },
            rounds,
        )
        exact = store.historical("spending", asked, time="t", known="event").to_arrow().column("amount_sum_24h")
        plain = engine.sql(HAND.format(sum="sum")).to_arrow_table().column(1).fill_null(0.0)
    differ = int((exact.to_numpy() != plain.to_numpy()).sum())
    base = median(figures["by hand, sum"])
    for side, took in figures.items():
        table.add(
            side=side,
            seconds=median(took),
            to_hand=median(took) / base,
            sums_rounded_otherwise=differ if side == "by hand, sum" else "",
        )
    return table


FEW = 1000
"""By hand, one row in so many of the spine is answered: all of them would take minutes."""


def deep(folder, events, spine, rounds):
    """Return how long windows of many events take: of ten keys, and of one."""
    table = Table(
        f"Windows offline of deep keys: 24 hours, {spine:,} rows of a spine x {events:,} events",
        "ten keys: the events span 10 days; one key: one day, so that a window holds half of all events on average. "
        f"By hand: the join with filtered aggregates, at one row of the spine in {FEW}",
        rounds,
    )
    for what, cards, hours in (("ten keys", 10, 240), ("one key", 1, 24)):
        rows = payments(events, cards, hours * HOUR_US)
        rng = np.random.default_rng(1)
        times = timestamps(start_us() - rng.integers(0, hours * HOUR_US, spine))
        asked = pa.table({"card": rng.integers(0, cards, spine), "t": times})
        few = asked.slice(0, max(spine // FEW, 1))
        source, _ = groups(Count(over="24h"))
        sums, greatest = (
            FeatureGroup(name, entity=CARD, source=source, features=features)
            for name, features in (
                ("sums", [Count(over="24h"), Sum("amount", over="24h")]),
                ("greatest", [Max("amount", over="24h")]),
            )
        )
        now = Hands(START + timedelta(days=1))
        with asof.open(folder / str(cards), clock=now) as store, duckdb.connect() as engine:
            store.apply(source, sums, greatest)
            store.backfill("payments", rows)
            engine.execute("SET TimeZone='UTC'")
            engine.register("events", rows)
            engine.register("spine", few)

            def historical(name, store=store, asked=asked):
                return store.historical(name, asked, time="t", known="event").to_arrow()

            def by_hand(engine=engine):
                return engine.sql(HAND.format(sum="sum")).to_arrow_table()

            figures = take_turns(
                {
                    "asof, count and sum": lambda: historical("sums"),
                    "asof, greatest": lambda: historical("greatest"),
                    "by hand, count and sum": by_hand,
                },
                rounds,
            )
        for side, took in figures.items():
            asked_rows = few.num_rows if side.startswith("by hand") else spine
            table.add(
                keys=what, side=side, rows=asked_rows, seconds=median(took), us_a_row=median(took) / asked_rows * 1e6
            )
    return table


def functions(folder, events, a_key, spine):
    """Return the processor time of functions that neither add up nor merge, and of sessions, over 30 days."""
    table = Table(
        f"Windows offline of deep keys, by function: 30 days, {spine:,} rows x {events:,} events of 60 days",
        f"{a_key:,} events a key, some 1,500 amounts; processor seconds of a second read; sessions of some 20",
        1,
    )
    cards, gap = events // a_key, f"{60 * 24 * 60 * 3 // a_key}m"
    rows = payments(events, cards, 60 * 24 * HOUR_US)
    rows = rows.set_column(3, "amount", pc.min_element_wise(pc.round(rows.column("amount"), 1), 150.0))
    rng = np.random.default_rng(1)
    times = timestamps(start_us() - rng.integers(0, 30 * 24 * HOUR_US, spine))
    asked = pa.table({"card": rng.integers(0, cards, spine), "t": times})
    sides = {
        "last": Last("amount", over="30d"),
        "last 5": LastK("amount", 5, over="30d"),
        "distinct": CountDistinct("amount", over="30d"),
        "distinct, approximate": CountDistinctApprox("amount", over="30d"),
        "median": Quantile("amount", 0.5, over="30d"),
        "top 3": TopK("amount", 3, over="30d"),
        "count of a session": Count(over=session(gap=gap)),
    }
    source, _ = groups(Count(over="24h"))
    made = {
        side: FeatureGroup(f"made_{at}", entity=CARD, source=source, features=[sides[side]])
        for at, side in enumerate(sides)
    }
    with asof.open(folder, clock=Hands(START + timedelta(days=1))) as store:
        store.apply(source, *made.values())
        store.backfill("payments", rows)
        for side, group in made.items():
            for _ in range(2):
                begin = time.process_time()
                frame = store.historical(group.name, asked, time="t", known="event", explain=True)
                took = time.process_time() - begin
            table.add(side=side, plan=frame.report.plan.profiles[group.name].plan, processor_seconds=took)
    return table


def online(folder, calls, rounds, *, busy):
    """Return how long reads take: many windows over a thousand events, and one of a key with ten events a second."""
    table = Table(
        "Windows online, in process (LMDB)",
        f"{calls:,} reads a round; T moves with each. Sparse: 1,000 events a key in 24 hours, 5 windows x 4 functions "
        f"(goal 300 us). Busy: {busy:,} events of one key in 24 hours, count and sum of 24 hours (goal 1 ms)",
        rounds,
    )
    many = [
        function
        for over in WINDOWS
        for function in (Count(over=over), *(f("amount", over=over) for f in (Sum, Mean, Max)))
    ]
    cases = {
        "sparse: 5 windows x 4 functions": (groups(*many), payments(1_000 * 20, 20, 24 * HOUR_US), 20),
        "sparse: 1 window x 1 function": (groups(Count(over="1h")), payments(1_000 * 20, 20, 24 * HOUR_US), 20),
        "busy: count and sum of 24 hours": (
            groups(Count(over="24h"), Sum("amount", over="24h")),
            payments(busy, 1, 24 * HOUR_US),
            1,
        ),
    }
    for number, (side, (declared, rows, cards)) in enumerate(cases.items()):
        hands = Hands(START + timedelta(seconds=1))
        with asof.open(folder / str(number), clock=hands) as store:
            store.apply(*declared)
            store.backfill("payments", rows)

            def read(at, store=store, hands=hands, cards=cards):
                hands.now += timedelta(microseconds=997)
                return store.online("spending", {"card": at % cards}).values

            figures = [calls_us(read, range(calls)) for _ in range(rounds + 1)][1:]
        table.add(
            side=side,
            p50_us=median([percentile(each, 50) for each in figures]),
            p99_us=median([percentile(each, 99) for each in figures]),
        )
    return table


def pushed(folder, calls):
    """Return how long a push takes until it is durable and counts."""
    table = Table(
        "A pushed event until it counts online",
        f"{calls:,} pushes, each durable and counted in 5 windows x 2 functions when it returns; 1,000 events a key. "
        "Beside it the same push where nothing is made of it",
        1,
    )
    features = [Count(over=WINDOWS), Sum("amount", over=WINDOWS)]
    for side, made in (("nothing is made of it", False), ("5 windows x 2 functions", True)):
        source, spending = groups(*features)
        hands = Hands(START + timedelta(seconds=1))
        with asof.open(folder / side.replace(" ", "_"), clock=hands) as store:
            store.apply(source, *([spending] if made else []))
            store.backfill("payments", payments(20_000, 20, 24 * HOUR_US))

            def push(at, store=store, hands=hands):
                hands.now += timedelta(milliseconds=1)
                store.push("payments", [{"payment": 10**9 + at, "at": hands.now, "card": at % 20, "amount": 1.5}])

            took = calls_us(push, range(calls))
        table.add(side=side, p50_us=percentile(took, 50), p99_us=percentile(took, 99))
    return table
