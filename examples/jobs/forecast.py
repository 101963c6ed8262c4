"""Forecast the jobs of 22 series three months ahead: backtests, a model, and its forecasts as a group of the store.

`python forecast.py FOLDER` makes a store in FOLDER. It needs `pip install "asof[demo]" vega_datasets`.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from data import WHOLE, jobs
from features import employment
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import asof
from asof import TimeSplit

NOW = datetime(2016, 2, 1, tzinfo=UTC)
YEARS = (2010, 2011, 2012, 2013, 2014, 2015)
GROWTHS = ["growth_1m", "growth_3m", "growth_12m", "whole_3m"]

# Three months after the first of a month (92 days reach the first of the third one), as published 40 days later.
OUTCOME = employment["jobs"].after("132d").alias("outcome")


def spine(start, end):
    """Each series on the first day of each month in (start, end]."""
    days = sorted({day for day in jobs()["month"].to_pylist() if start < day <= end} | {end})
    names = pc.unique(jobs()["industry"]).to_pylist()
    rows = [{"industry": name, "whole": WHOLE, "day": day} for day in days for name in names]
    return pa.Table.from_pylist(rows)


def learnt(made, part):
    """A model of the growth from the newest figure to the outcome, one for all series."""
    rows, outcome = made.xy(part)
    model = make_pipeline(
        ColumnTransformer([("growths", "passthrough", GROWTHS)]), LinearRegression(fit_intercept=False)
    )
    return model.fit(rows, outcome / rows["newest"] - 1)


def errors(model, made):
    """The mean error of the year's forecasts in per cent: no change, the last three months again, the model."""
    rows, outcome = made.xy("test")
    newest = rows["newest"].to_numpy()
    again = newest * (1 + rows["growth_3m"].to_numpy()) ** (5 / 3)  # the newest figure is five months before
    forecasts = {"no change": newest, "same growth": again, "model": newest * (1 + model.predict(rows))}
    return {name: float(np.mean(np.abs(found - outcome) / outcome) * 100) for name, found in forecasts.items()}


def backtest(store, year):
    """Learn from what was known when a year began, and forecast from the first of each of its months."""
    cuts = [datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)]
    made = store.training_set(
        f"jobs-{year}",
        view="outlook",
        spine=spine(datetime(2007, 6, 1, tzinfo=UTC), cuts[1]),
        time="day",
        label=OUTCOME,
        split=TimeSplit(cuts[:1], gap="132d"),  # no outcome of the training part was published after the cut
    )
    return errors(learnt(made, "train"), made)


def main(folder):
    with asof.open(folder, clock=lambda: NOW) as store:
        store.apply(Path(__file__).with_name("features.py"))
        store.backfill("employment", jobs())
        found = {year: backtest(store, year) for year in YEARS}
        print(f"{'year':6}" + "".join(f"{name:>13}" for name in found[YEARS[0]]))
        for year, each in found.items():
            print(f"{year:<6}" + "".join(f"{error:12.2f}%" for error in each.values()))
        made = store.training_set(
            "jobs", view="outlook", spine=spine(datetime(2007, 6, 1, tzinfo=UTC), NOW), time="day", label=OUTCOME
        )
        mean = {name: float(np.mean([each[name] for each in found.values()])) for name in found[YEARS[0]]}
        metrics = {f"error of {name}": error for name, error in mean.items()}
        kept = store.models.register("jobs", learnt(made, None), training_set=made, stage="production", metrics=metrics)

        predicted = store.models.load("jobs@production").predict(spine(NOW, NOW), time="day", features=True).to_arrow()
        ahead = pc.multiply(predicted["newest"], pc.add(predicted["prediction"], 1.0))
        rows = {"industry": predicted["industry"], "made_at": predicted["day"], "jobs": ahead}
        commit = store.write("forecasts", pa.table(rows | {"model": [kept.ref] * len(predicted)}))
        print(f"{commit.rows} forecasts for May 2016 by {kept.ref} in {commit.id}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
