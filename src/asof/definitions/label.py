"""Labels: what became of a row after its time. Source: docs/training-sets.md, "Labels"."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from asof.definitions.durations import duration_us, show_duration
from asof.definitions.names import checked_name
from asof.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from asof.definitions.group import FeatureRef


@dataclass(frozen=True, slots=True)
class Label:
    """A feature's value some time after a row's own: `arrivals["arr_delay"].after("12h")`.

    Of a row at T it is the value of the newest row with event_time in (T, T + horizon], as it was known at
    T + horizon; the group's ttl does not apply. Of an aggregated group it is the value at T + horizon.

    Attributes:
        ref: The feature.
        horizon_us: How long after T, in microseconds.
        name: The name given by `alias`, "" for the feature's own.
    """

    ref: "FeatureRef"
    horizon_us: int
    name: str = ""

    @classmethod
    def of(cls, ref: "FeatureRef", horizon: "str | timedelta") -> "Label":
        """Return the label of a feature.

        Raises:
            UsageError: The group is static, a key comes from another group's answer, or the horizon is no length of
                time above 0.
        """
        where = f"label {ref.group.name}.{ref.feature.name}"
        if ref.group.static:
            todo = "take the label from a group with event_time=, or name a column of the spine"
            raise UsageError("a static group knows no later value", where=where, todo=todo)
        for key, source in ref.on:
            if not isinstance(source, str):
                todo = "name a column of the spine that holds the key"
                raise UsageError(f"key {key!r} of a label comes from another group's answer", where=where, todo=todo)
        horizon_us = duration_us(horizon, what="horizon")
        if not horizon_us:
            raise UsageError("a label is known after its row's time", where=where, todo='say when: .after("12h")')
        return cls(ref, horizon_us, ref.name)

    def alias(self, name: str) -> "Label":
        """Return the same label under another name."""
        return replace(self, name=checked_name(name, "label"))

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.ref.group.name}.{self.ref.feature.name} after {show_duration(self.horizon_us)}"
