"""The quarantine of a group: the group that keeps its rows that broke a check.

It is a group like any other, so that `read`, `forget`, `compact` and `tag` know it; `apply` registers it beside a group
with `on_violation="quarantine"`. A row is an item: a row that came, as it came, with the reasons. One that was replayed
or dismissed is retired.
"""

from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup
from asof.definitions.kept import ABOUT, about, kept_type
from asof.definitions.types import DType

SUFFIX = "_quarantine"
ITEM = "item"
AT = "set_aside_at"


def quarantine_name(group: str) -> str:
    """Return the name of a group's quarantine."""
    return group + SUFFIX


def quarantine_group(group: FeatureGroup) -> FeatureGroup:
    """Return the group that keeps the rows of a group that broke a check."""
    keys = tuple(group.entity.keys.items())
    time = () if group.event_time is None else ((group.event_time, DType("timestamp")),)
    values = (*time, *((feature.name, kept_type(feature.dtype)) for feature in group.features))
    name = quarantine_name(group.name)
    return FeatureGroup(
        name,
        entity=Entity(name, {ITEM: "string"}, f"a row of {group.name} that broke a check"),
        event_time=AT,
        features=(
            Feature("keys", DType("struct", (), keys), description="whom the row is about", nullable=False),
            Feature("values", DType("struct", (), values), description="the rest of the row", nullable=False),
            Feature("reasons", "string", description="the checks that it breaks", nullable=False),
            Feature("row", "int64", description="its number in the frame that came, from 0"),
        ),
        description=f"rows of the group {group.name} that broke a check (quarantine, written by asof)",
        owner=group.owner,
        project=group.project,
        tags={"quarantine": group.name, ABOUT: about([(group.entity.name, group.entity.keys)])},
    )


def is_quarantine(group: FeatureGroup) -> bool:
    """Return whether a group has the shape of a quarantine."""
    features = [feature.name for feature in group.features]
    return group.keys == (ITEM,) and group.event_time == AT and features == ["keys", "values", "reasons", "row"]
