"""Functions of the tests of on-demand features: they must lie in a module that can be imported."""

import numpy as np

from asof import Entity, Feature, FeatureGroup, FeatureView, Request, on_demand

airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup(
    "weather",
    entity=airport,
    event_time="time_hour",
    features=[Feature("temp", "float64"), Feature("wind", "int64"), Feature("note", "string")],
    ttl="6h",
    online=True,
)


@on_demand(inputs=[weather["temp"], weather["wind"]], output="float64", unit="°F")
def feels_like(temp, wind):
    """How cold it feels."""
    return temp - 0.7 * np.sqrt(wind)


@on_demand(inputs=[weather["temp"], Request("hour", "int64")], output="float64")
def warmer_at(temp, hour):
    return temp + hour / 10


@on_demand(inputs=[feels_like, Request("limit", "float64")], output="bool")
def too_cold(feels, limit):
    return feels < limit


@on_demand(inputs=[weather["note"], Request("hour", "int64")], output="string", mode="row")
def told(note, hour):
    return None if note is None or hour is None else f"{note} at {hour}"


@on_demand(inputs=[weather["temp"]], output="float64")
def against_the_mean(temp):
    return temp - np.nanmean(temp)


@on_demand(inputs=[weather["temp"]], output="float64", mode="row")
def broken(temp):
    raise RuntimeError("no such thing")


comfort = FeatureView("comfort", features=[feels_like, too_cold])
view = FeatureView("departure", features=[weather["temp"], warmer_at, comfort["too_cold"], told, weather["wind"]])
