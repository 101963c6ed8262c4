"""What one on-demand feature adds to an online read, beside the bare call of its function; about a minute."""

from datetime import timedelta

import numpy as np
from data import START, Hands, groups, rows, start_us
from measure import Table, calls_us, median, percentile, take_turns

import asof
from asof import FeatureView, Request, on_demand

GROUPS = groups(online=True)
FIRST = GROUPS[0]
MADE = ("and one on demand, of arrays", "and one on demand, of plain values")
NAMES = [feature.name for feature in FIRST.features]


@on_demand(inputs=[FIRST[NAMES[0]], Request("amount", "float64")], output="float64")
def ratio(stored, amount):
    return amount / (1.0 + stored * stored)


@on_demand(inputs=[FIRST[NAMES[0]], Request("amount", "float64")], output="float64", mode="row")
def ratio_by_row(stored, amount):
    return None if stored is None else amount / (1.0 + stored * stored)


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, calls, rounds = (500, 200, 1) if quick else (20_000, 4000, 9)
    views = {
        "stored features only": FeatureView("plain", features=[FIRST]),
        MADE[0]: FeatureView("arrays", features=[FIRST, ratio]),
        MADE[1]: FeatureView("plain_values", features=[FIRST, ratio_by_row]),
    }
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=1))) as store:
        store.apply(FIRST, *views.values())
        store.backfill(FIRST.name, rows(0, np.arange(keys), start_us() + np.arange(keys)))
        random = np.random.default_rng(1)
        asked = [{"user": int(key)} for key in random.integers(0, keys, calls)]
        request = {"amount": 12.5}

        def reads(view):
            return lambda: calls_us(lambda each: store.online(view.name, each, request=request).values, asked)

        one = np.array([12.5])
        bare = lambda: calls_us(lambda _: ratio.function(one, one), asked)  # noqa: E731
        sides = {**{name: reads(view) for name, view in views.items()}, "the function alone": bare}
        taken = take_turns(sides, rounds, lambda side: side())
    about = f"microseconds a read with a request, values included; {len(NAMES)} stored features, {calls:,} reads"
    table = Table("What an on-demand feature adds to an online read", about, rounds)
    plain = median(percentile(each, 50) for each in taken["stored features only"])
    for name, each in taken.items():
        p50 = median(percentile(times, 50) for times in each)
        added = p50 - plain if name in MADE else None
        table.add(read=name, p50_us=p50, p99_us=median(percentile(times, 99) for times in each), added_us=added)
    return [table]
