"""What the pipelines of this folder fill: weather as it arrives, and what is made of it.

`asof init STORE --bare && asof apply STORE examples/orchestration/features.py` makes the store.
"""

from asof import SQL, Check, Entity, Feature, FeatureGroup, FeatureView

airport = Entity("airport", keys={"origin": "string"})

weather = FeatureGroup(
    "weather",
    entity=airport,
    event_time="time_hour",
    features=[Feature("temp", "float64", unit="°F"), Feature("visib", "float64", unit="mi")],
    checks=[Check.between("temp", -60, 140), Check.row_count(1, None)],
    online=True,
)

comfort = FeatureGroup(
    "comfort",
    entity=airport,
    source=weather,
    transform=SQL("SELECT origin, time_hour, (temp - 32) / 1.8 AS celsius, visib < 3 AS fog FROM weather"),
    features=[Feature("celsius", "float64", unit="°C"), Feature("fog", "bool")],
    online=True,
)

departure = FeatureView("departure", features=[weather["temp"], comfort["celsius"], comfort["fog"]])
