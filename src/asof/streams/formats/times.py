"""Times that come as integers."""

from collections.abc import Mapping
from typing import Any

from asof.clock import from_us
from asof.definitions import FeatureGroup

_US = {"s": 1_000_000, "ms": 1000, "us": 1}


class IntegerTimes:
    """Turns integers in columns of times into times."""

    def __init__(self, group: FeatureGroup, unit: str | None) -> None:
        """Look which columns are times; without a unit none is looked at."""
        times = [name for name, dtype in group.types.items() if dtype.name == "timestamp"]
        self.names = times if unit else []
        self._unit = unit or "us"

    def read(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with times in place of integers.

        Raises:
            ValueError: One is no whole microsecond, or outside of the calendar.
        """
        found = {name: self._time(row[name]) for name in self.names if type(row.get(name)) is int}
        return {**row, **found} if found else row

    def _time(self, value: int) -> object:
        if self._unit == "ns":
            if value % 1000:
                raise ValueError(f"{value} ns is no whole microsecond")
            return from_us(value // 1000)
        return from_us(value * _US[self._unit])
