"""Jobs in the United States, 22 series, month by month from 2006 to 2015: the recession, and what came after.

The source is the PyPI package `vega_datasets`: its file `us-employment.csv` is read where it lies. It comes from the
Current Employment Statistics of the Bureau of Labor Statistics (public domain): seasonally adjusted, in thousands.

What has to be known about the data: the figure of a month counts the pay period with the 12th, and is published on the
first Friday of the next month or a week later, within 40 days of the 1st. So `features.py` has a delay of 40 days.
(September 2013 came later: the government was shut down.) The file holds the figures as they were revised by 2018,
not as they were first published: a real forecast had worse ones.
"""

import importlib.util
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

WHOLE = "nonfarm"
NOT_INDUSTRIES = {"month", "nonfarm_change"}
"""Columns that are no series: the time, and the change of the whole."""


@cache
def jobs():
    """One row per industry and month: `industry`, `month` (its first moment, UTC), `jobs` in thousands."""
    table = csv.read_csv(_file())
    months = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in table["month"].to_pylist()]
    industries = [name for name in table.column_names if name not in NOT_INDUSTRIES]
    return pa.table(
        {
            "industry": [name for name in industries for _ in months],
            "month": pa.array([month for _ in industries for month in months], pa.timestamp("us", tz="UTC")),
            "jobs": pa.array([float(jobs) for name in industries for jobs in table[name].to_pylist()]),
        }
    )


def _file():
    found = importlib.util.find_spec("vega_datasets")  # found, not imported
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the jobs need their data: pip install vega_datasets", name="vega_datasets")
    return Path(next(iter(found.submodule_search_locations))) / "_data" / "us-employment.csv"
