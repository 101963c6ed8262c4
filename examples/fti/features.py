"""What is known about a departure two hours before its schedule. Registered by feature_pipeline.py."""

from asof import Check, Entity, Feature, FeatureGroup, FeatureView, Request, on_demand
from asof.aggregates import Count, Mean, col
from asof.transforms import Impute, OneHot, Standard

airport = Entity("airport", keys={"origin": "string"})
aircraft = Entity("aircraft", keys={"tailnum": "string"})
carrier = Entity("carrier", keys={"carrier": "string"})
route = Entity("route", keys={"origin": "string", "dest": "string"})
flight = Entity("flight", keys={"carrier": "string", "flight": "int64", "sched_dep": "timestamp"})

weather = FeatureGroup(
    "weather", entity=airport, event_time="time_hour", source="flights:weather", ttl="6h", online=True,
    features=[Feature("temp", "float64"), Feature("wind_speed", "float64"), Feature("visib", "float64")],
    checks=[Check.between("visib", 0, 10)],
)  # fmt: skip
planes = FeatureGroup(
    "planes", entity=aircraft, on_unchanged="skip", online=True,  # a full load stores what changed
    features=[Feature("built", "int64"), Feature("manufacturer", "string"), Feature("seats", "int64")],
)  # fmt: skip
landings = FeatureGroup(
    "landings", entity=flight, event_time="landed", source="flights:landings", online=True,
    delay="90m",  # nobody hears of a delay before: training sees it no earlier than serving does
    features=[Feature("origin", "string"), Feature("dest", "string"), Feature("arr_delay", "int64")],
)  # fmt: skip

late = col("arr_delay") > 15
carrier_now = FeatureGroup(
    "carrier_now", entity=carrier, source=landings, online=True,
    features=[Mean("arr_delay", over="6h", name="carrier_delay"), Count(over="6h", where=late, name="carrier_late")],
)  # fmt: skip
route_week = FeatureGroup(
    "route_week", entity=route, source=landings, online=True,
    features=[Mean("arr_delay", over=["1d", "7d"]), Count(over="7d", where=late, name="route_late")],
)  # fmt: skip


@on_demand(inputs=[carrier_now["carrier_delay"], Request("hour", "int64")], output="float64", unit="min")
def knock_on(delay, hour):
    """Delays pile up in the course of a day: the carrier's, for each hour since five in the morning."""
    return delay * (hour - 5).clip(0)


@on_demand(inputs=[Request("hour", "int64")], output="float64")
def local_hour(hour):
    return hour


numbers = (
    "temp", "wind_speed", "visib", "built", "seats", "carrier_delay", "carrier_late",
    "arr_delay_mean_24h", "arr_delay_mean_7d", "route_late", "knock_on", "local_hour",
)  # fmt: skip
departure = FeatureView(
    "departure",
    features=[weather, planes, carrier_now, route_week, knock_on, local_hour],
    transforms={"manufacturer": OneHot(most=5), numbers: [Impute("median"), Standard()]},
)
