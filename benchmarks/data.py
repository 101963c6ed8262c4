"""The data of the benchmarks: 8 groups / 55 features of one entity, made from seeds."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from asof import Entity, Feature, FeatureGroup, FeatureView

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
WIDTHS = (7, 7, 7, 7, 7, 7, 7, 6)
"""Features of each group: 55."""

USER = Entity("user", keys={"user": "int64"})


def start_us():
    """Return the first moment of all data."""
    return int(START.timestamp()) * 1_000_000


def groups(count=8, *, online):
    """Return the groups."""
    return [
        FeatureGroup(f"g{at}", entity=USER, event_time="ts", features=features(at), online=online)
        for at in range(count)
    ]


def features(group):
    """Return the features of one group."""
    return [Feature(f"g{group}_f{at}", "float64") for at in range(WIDTHS[group])]


def view(of):
    """Return the view of all features of the groups."""
    return FeatureView("everything", features=of)


def rows(group, users, times_us):
    """Return rows of one group."""
    rng = np.random.default_rng((group, len(users), int(times_us[0]) if len(times_us) else 0))
    values = {feature.name: rng.random(len(users)) for feature in features(group)}
    return pa.table({"user": users, "ts": timestamps(times_us), **values})


def timestamps(times_us):
    """Return microseconds as Arrow timestamps."""
    return pa.array(times_us).cast(pa.timestamp("us", "UTC"))


def history(group, *, total, per_key, commits):
    """Yield the commits of one group in the order of time, a day each: (its end, its rows)."""
    users = max(total // per_key, 1)
    each = total // commits
    rng = np.random.default_rng((group, total, per_key))
    for day in range(commits):
        times = start_us() + day * DAY_US + rng.integers(0, DAY_US, each)
        yield START + timedelta(days=day + 1), rows(group, rng.integers(0, users, each), times)


def spine(count, users, days):
    """Return a spine: users and times, at random."""
    rng = np.random.default_rng(7)
    return pa.table(
        {
            "user": rng.integers(0, users, count),
            "t": timestamps(start_us() + rng.integers(DAY_US // 2, days * DAY_US, count)),
        }
    )


class Hands:
    """A clock whose hands we set."""

    def __init__(self, now=START):
        """Stand at a time."""
        self.now = now

    def __call__(self):
        """Return the time."""
        return self.now
