"""What every step of the demo needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

from asof.clock import to_us
from asof.definitions import FeatureGroup, FeatureView
from asof.demo.screen import Screen

if TYPE_CHECKING:
    from asof.store import Store

NOW = datetime(2013, 12, 30, 23, tzinfo=UTC)
"""Where the weather ends. The store's clock stands here: what lies after it is not loaded, but served."""

NOW_US = to_us(NOW)


@dataclass(frozen=True, slots=True)
class Context:
    """A run of the demo.

    Attributes:
        screen: Where it prints.
        store: The store, open.
        data: The module `examples/flights/data.py`.
        features: The module `examples/flights/features.py`.
        quick: Whether to take less of everything.
    """

    screen: Screen
    store: "Store"
    data: ModuleType
    features: ModuleType
    quick: bool

    @property
    def view(self) -> FeatureView:
        """The view that the demo trains and serves."""
        return self.features.departure

    @property
    def groups(self) -> list[FeatureGroup]:
        """The groups, in the order of their file."""
        return [value for value in vars(self.features).values() if isinstance(value, FeatureGroup)]

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The whole year of each group, by its name."""
        return {
            "weather": self.data.weather(),
            "airports": self.data.airports(),
            "planes": self.data.planes(),
            "aircraft_arrivals": self.data.arrivals(),
            "route_days": self.data.route_days(),
        }
