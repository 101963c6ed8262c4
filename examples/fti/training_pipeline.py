"""Training pipeline: what was known before each departure, whether it arrived late, and a model of that."""

from datetime import timedelta

import flights
from features import landings

from asof import TimeSplit
from asof.errors import MissingDependencyError, NotFoundError

try:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
except ModuleNotFoundError as error:
    raise MissingDependencyError("scikit-learn", extra="demo") from error

LATE_MINUTES = 15


def run(store, now):
    if not store.catalog.commits("landings"):
        raise NotFoundError("there are no landings to learn from", where="group landings")
    made = store.training_set(
        "departures",
        view="departure",
        spine=flights.departures(now - timedelta(weeks=8), now),
        time="as_of",
        label=landings["arr_delay"].after("1d"),  # as it is known a day later; later departures are left out
        split=TimeSplit(shares={"train": 0.8, "test": 0.2}, gap="1d"),
    )
    rows, delays = made.xy("train")
    model = LogisticRegression(max_iter=500).fit(rows, delays > LATE_MINUTES)

    rows, delays = made.xy("test")
    auc = roc_auc_score(delays > LATE_MINUTES, model.predict_proba(rows)[:, 1])
    kept = store.models.register(
        "late-departures",
        model,
        training_set=made,
        method="predict_proba",
        metrics={"roc_auc": auc, "late_share": (delays > LATE_MINUTES).mean()},
        stage="production",  # or "staging", until you have looked at it: store.models.move(...)
    )
    print(f"{made.ref}: {made.splits['train']:,} departures to learn from, {made.splits['test']:,} later ones to test")
    print(f"{kept.ref}: ROC AUC {auc:.3f} on these, of which {kept.metrics['late_share']:.0%} were late")


if __name__ == "__main__":
    with flights.pipeline(after="feature_pipeline.py") as (opened, moment):
        run(opened, moment)
