"""What users declare: pure values, without I/O, clock or engine."""

from asof.definitions.check import Check
from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup, FeatureRef
from asof.definitions.label import Label
from asof.definitions.on_demand import OnDemand, Request, on_demand
from asof.definitions.outside import Call, Files
from asof.definitions.splits import GroupSplit, RandomSplit, TimeSplit
from asof.definitions.transformation import SQL
from asof.definitions.view import FeatureView, Lookup, view_of_group

__all__ = [
    "SQL",
    "Call",
    "Check",
    "Entity",
    "Feature",
    "FeatureGroup",
    "FeatureRef",
    "FeatureView",
    "Files",
    "GroupSplit",
    "Label",
    "Lookup",
    "OnDemand",
    "RandomSplit",
    "Request",
    "TimeSplit",
    "on_demand",
    "view_of_group",
]
