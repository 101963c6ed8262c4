"""The group that tests of object storage write and read."""

from datetime import UTC, datetime, timedelta

from asof import Entity, Feature, FeatureGroup

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)

WEATHER = FeatureGroup(
    "weather",
    entity=Entity("airport", keys={"origin": "string"}),
    event_time="at",
    features=[Feature("temp", "float64"), Feature("sky", "string")],
    online=True,
)


def row(origin, hour, temp, sky="clear"):
    return {"origin": origin, "at": NOON - timedelta(days=1) + timedelta(hours=hour), "temp": temp, "sky": sky}


def temps(store, hours=range(12), **options):
    spine = {"origin": ["JFK"] * len(hours), "T": [row("JFK", h, 0)["at"] for h in hours]}
    return store.historical("weather", spine, time="T", known="event", **options).to_arrow()["temp"].to_pylist()
