"""A store with models of each kind, for tests of whatever predicts: transforms, nulls, inputs of requests."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView, Request, on_demand
from asof.transforms import Impute, OneHot, Standard

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
AIRPORTS = [f"A{number:02}" for number in range(20)]

airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup(
    "weather",
    entity=airport,
    event_time="time_hour",
    features=[Feature("temp", "float64"), Feature("wind", "float64"), Feature("sky", "string")],
    ttl="12h",
    online=True,
)


@on_demand(inputs=[weather["temp"], Request("hour", "int64")], output="float64")
def warmer_at(temp, hour):
    return temp + hour / 7


departure = FeatureView(
    "departure",
    features=[weather["temp"], weather["wind"], weather["sky"], warmer_at],
    transforms={
        ("temp", "wind"): [Impute("mean"), Standard()],
        "sky": OneHot(most=3),
        "warmer_at": Impute("median"),
    },
)
plain = FeatureView("plain", features=[weather["temp"]], transforms={"temp": Impute("mean")})


def rows(now=NOW, hours=30, seed=7):
    """Return the hours of some airports, with nulls."""
    random = np.random.default_rng(seed)
    found = []
    for origin in AIRPORTS:
        for hour in range(hours):
            temp, wind = random.normal(50, 20), random.gamma(2, 6)
            found.append({
                "origin": origin,
                "time_hour": now - timedelta(hours=hour),
                "temp": None if random.random() < 0.2 else temp,
                "wind": None if random.random() < 0.1 else wind,
                "sky": [None, "clear", "rain", "snow", "fog"][random.integers(5)],
            })  # fmt: skip
    return found


def spine(now=NOW, count=400, seed=8):
    """Return keys, times and inputs of requests: some keys are unknown."""
    random = np.random.default_rng(seed)
    late = np.round(random.normal(10, 30, count), 1)
    return pa.table({
        "origin": [[*AIRPORTS, "nowhere"][random.integers(21)] for _ in range(count)],
        "at": pa.array(
            [now - timedelta(minutes=int(random.integers(1, 28 * 60))) for _ in range(count)],
            pa.timestamp("us", "UTC"),
        ),
        "hour": random.integers(0, 24, count),
        "late": late,
    })  # fmt: skip


def made(folder, now=NOW, clock=lambda: NOW):
    """Make a store with a training set and three models: "linear", "trees" and "classes"."""
    with asof.open(folder, clock=clock) as store:
        store.apply(weather, departure, plain)
        store.backfill("weather", rows(now))
        first = store.training_set("departure-1", "departure", spine(now), time="at", label="late", known="event")
        x, y = first.xy()
        store.models.register("linear", LinearRegression().fit(x, y), training_set=first, metrics={"mae": 9.5})
        trees = GradientBoostingRegressor(n_estimators=15, random_state=0).fit(x, y)
        store.models.register("trees", trees, training_set=first, stage="production")
        classes = LogisticRegression(max_iter=1000).fit(x, y > 10)
        store.models.register("classes", classes, training_set=first, method="predict_proba")
    return folder


def another(store, name="linear", stage="none"):
    """Register another version of a model: of the same training set, fitted on half of it."""
    kept = store.training_set("departure-1")
    x, y = kept.xy()
    half = len(x) // 2
    return store.models.register(name, LinearRegression().fit(x[:half], y[:half]), training_set=kept, stage=stage)
