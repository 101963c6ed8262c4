"""The leak: what the usual join gives to training rows although nobody could have known it.

The join is the one of every tutorial: each table keeps the time that its file has, and `pandas.merge_asof`
takes the latest value at or before the moment of the prediction. A flight's file has the *scheduled
departure*; a day's figures have the *date*. So the delay of a flight counts as known from its departure on,
and the figures of a day from its first minute on, with the very flight in them that is to be predicted.

The same join on the time from which a row was known (event time + delay) leaks nothing, and must give what
the store gives: `careful_join`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.types import TIMESTAMP
from asof.definitions import FeatureGroup
from asof.definitions.durations import show_duration

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Leak:
    """What a join by pandas did to one group.

    Attributes:
        group: The group's name.
        stamp: What the join took for the time of a row.
        answered: Training rows that got a value.
        leaked: Those whose value was not known yet.
        differing: Training rows whose values differ from the point-in-time answer.
        columns: The joined values, by the names of the view.
    """

    group: str
    stamp: str
    answered: int
    leaked: int
    differing: int
    columns: dict[str, pa.Array]


NAMES = {
    "aircraft_arrivals": {"arr_delay": "last_arr_delay", "dep_delay": "last_dep_delay"},
    "route_days": {"late_share": "route_late_share", "mean_delay": "route_mean_delay"},
}
"""Column to name in the view, of the two groups whose values take time to be known."""


def naive_join(data: ModuleType, features: ModuleType, frame: pa.Table) -> list[Leak]:
    """Join the two groups whose values take time to be known, as tutorials do.

    Args:
        data: The module `examples/flights/data.py`.
        features: The module `examples/flights/features.py`; its ttls hold here too,
            so that only the clock differs.
        frame: The point-in-time training set, ordered by `as_of`.
    """
    days = data.route_days()
    date = pc.subtract(days["day_end"].cast(pa.int64()), DAY_US).cast(days["day_end"].type)
    completed = data.flights().filter(pc.is_valid(data.flights()["landed"]))
    given = {
        "aircraft_arrivals": ("sched_dep", completed),
        "route_days": ("date", days.append_column("date", date)),
    }
    joins: list[Leak] = []
    for name, (stamp, rows) in given.items():
        group: FeatureGroup = getattr(features, name)
        joins.append(_join(frame, group, rows, stamp=stamp, tolerance_us=group.ttl_us or 0))
    return joins


def careful_join(tables: Mapping[str, pa.Table], features: ModuleType, frame: pa.Table) -> list[Leak]:
    """Join the same groups on the time from which a row was known.

    Args:
        tables: The whole year of each group, by its name.
        features: The module `examples/flights/features.py`.
        frame: The point-in-time training set, ordered by `as_of`.
    """
    joins: list[Leak] = []
    for name in NAMES:
        group: FeatureGroup = getattr(features, name)
        stamp = f"{group.event_time} + {show_duration(group.delay_us)}"
        rows = tables[name].append_column(stamp, _known_us(tables[name], group).cast(TIMESTAMP))
        # A value expires at event_time + ttl, and is not used in that microsecond.
        tolerance_us = (group.ttl_us or 0) - group.delay_us - 1
        joins.append(_join(frame, group, rows, stamp=stamp, tolerance_us=tolerance_us))
    return joins


def _known_us(rows: pa.Table, group: FeatureGroup) -> pa.ChunkedArray:
    return pc.add(rows[group.event_time or ""].cast(pa.int64()), group.delay_us)


def _join(frame: pa.Table, group: FeatureGroup, rows: pa.Table, *, stamp: str, tolerance_us: int) -> Leak:
    keys, names = list(group.keys), NAMES[group.name]
    # pandas has no types of its own here: Any ends at the Arrow arrays below.
    right: Any = rows.select([*keys, stamp, *names]).append_column("known_us", _known_us(rows, group)).to_pandas()
    left: Any = frame.select([*keys, "as_of"]).to_pandas()
    joined: Any = pd.merge_asof(
        left,
        right.sort_values(stamp, kind="stable"),
        left_on="as_of",
        right_on=stamp,
        by=keys,
        tolerance=pd.Timedelta(tolerance_us, unit="us"),
    )
    known = joined["known_us"].to_numpy(dtype="float64")  # nan where nothing was found
    as_of = frame["as_of"].cast(pa.int64()).to_numpy()
    columns = {name: pa.array(joined[column].to_numpy(dtype="float64")) for column, name in names.items()}
    differs = np.zeros(frame.num_rows, dtype=bool)
    for name, values in columns.items():
        honest = frame[name].cast(pa.float64()).to_numpy()
        differs |= ~np.isclose(honest, values.to_numpy(), rtol=0, atol=1e-9, equal_nan=True)
    return Leak(
        group=group.name,
        stamp=stamp,
        answered=int((~np.isnan(known)).sum()),
        leaked=int((known > as_of).sum()),
        differing=int(differs.sum()),
        columns=columns,
    )
