"""What is known about an industry on a day: the figures that are published by then, and how they moved."""

from asof import Entity, Feature, FeatureGroup, FeatureView, on_demand
from asof.aggregates import Last, LastK

industry = Entity("industry", keys={"industry": "string"})

# The figure of a month is true from its first day, and published in the next month: data.py says why 40 days.
employment = FeatureGroup(
    "employment", entity=industry, event_time="month", delay="40d", online=True,
    features=[Feature("jobs", "float64", unit="thousands")],
)  # fmt: skip

# A lag is a place in the list of what was published last, never a shift of the table: that would read what was not.
published = FeatureGroup(
    "published", entity=industry, source=employment, online=True,
    features=[LastK("jobs", 13, over="500d", name="year"), Last("jobs", over="500d", name="newest")],
)  # fmt: skip
forecasts = FeatureGroup(
    "forecasts", entity=industry, event_time="made_at",
    features=[Feature("model", "string"), Feature("jobs", "float64", unit="thousands")],
)  # fmt: skip


def growth(jobs, months):
    return None if jobs is None or len(jobs) <= months else jobs[-1] / jobs[-1 - months] - 1


@on_demand(inputs=[published["year"]], output="float64", mode="row")
def growth_1m(jobs):
    return growth(jobs, 1)


@on_demand(inputs=[published["year"]], output="float64", mode="row")
def growth_3m(jobs):
    return growth(jobs, 3)


@on_demand(inputs=[published["year"]], output="float64", mode="row")
def growth_12m(jobs):
    return growth(jobs, 12)


@on_demand(inputs=[published.on(industry="whole")["year"]], output="float64", mode="row")
def whole_3m(jobs):
    """The same of the whole economy: another series, read under another key."""
    return growth(jobs, 3)


outlook = FeatureView("outlook", features=[published["newest"], growth_1m, growth_3m, growth_12m, whole_3m])
