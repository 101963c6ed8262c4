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


@dataclass(slots=True)
class Hands:
    """The store's clock: it stands until it is turned on."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@dataclass(frozen=True, slots=True)
class Context:
    """A run of the demo.

    Attributes:
        screen: Where it prints.
        store: The store, open.
        clock: Its clock.
        data: The module `examples/flights/data.py`.
        features: The module `examples/flights/features.py`.
        quick: Whether to take less of everything.
    """

    screen: Screen
    store: "Store"
    clock: Hands
    data: ModuleType
    features: ModuleType
    quick: bool

    @property
    def view(self) -> FeatureView:
        """The view of the first training set."""
        return self.features.departure

    @property
    def live(self) -> FeatureView:
        """The same view with windows over landings, which is served."""
        return self.features.departure_live

    @property
    def groups(self) -> list[FeatureGroup]:
        """The groups, in the order of their file."""
        return [value for value in vars(self.features).values() if isinstance(value, FeatureGroup)]

    @property
    def stored(self) -> list[FeatureGroup]:
        """The groups that have rows of their own."""
        return [group for group in self.groups if group.source is None]

    @property
    def windows(self) -> list[FeatureGroup]:
        """The groups of windows over landings."""
        return [group for group in self.groups if group.source is not None]

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """All rows of each group that has rows of its own, by its name."""
        return {
            "weather": self.data.weather(),
            "airports": self.data.airports(),
            "planes": self.data.planes(),
            "aircraft_arrivals": self.data.arrivals(),
            "arrivals": self.data.arrival_events(),
            "route_days": self.data.route_days(),
        }
