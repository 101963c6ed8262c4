"""What is kept of a run of a monitor: the body of a `MonitorFound`."""

from datetime import datetime
from typing import Literal

import msgspec

from asof.clock import from_us, show_us

What = Literal["drift", "missing", "rows", "age"]


class Alert(msgspec.Struct, frozen=True):
    """Something that somebody should look at.

    Attributes:
        what: drift, missing (too many nulls), rows (too few), or age (nothing new).
        of: The feature, or the group.
        told: What happened, as a sentence.
        commit: The commit that moved it most, "weather@1:17"; "" if none is known.
        segment: The segment, as text; None: all rows.
    """

    what: What
    of: str
    told: str
    commit: str = ""
    segment: str | None = None


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a feature, so that it can be shown over time.

    Attributes:
        feature: Its name.
        verdict: same, drifted or unknown.
        p: The p-value, corrected for all features of all segments.
        values: What each measure says.
        missing: Share of null and NaN in `current`.
        rows: Rows in `current`.
        segment: The segment, as text; None: all rows.
    """

    feature: str
    verdict: str
    p: float | None
    values: dict[str, float]
    missing: float
    rows: int
    segment: str | None = None


class MonitorRun(msgspec.Struct, frozen=True):
    """What a run of a monitor found.

    Attributes:
        monitor: Its name.
        view: The view or group.
        at_us: When it ran.
        writer: Who ran it.
        baseline: With what was compared, in words; "": with nothing.
        current: What was compared.
        alerts: What somebody should look at; empty if all is well.
        features: What was found of each feature; of each feature of each segment if there are any.
        by: The column that makes the segments; "" for none.
    """

    monitor: str
    view: str
    at_us: int
    writer: str = ""
    baseline: str = ""
    current: str = ""
    alerts: tuple[Alert, ...] = ()
    features: tuple[Kept, ...] = ()
    by: str = ""

    @property
    def at(self) -> datetime:
        """When it ran."""
        return from_us(self.at_us)

    def __str__(self) -> str:
        """Return it as lines."""
        found = f"{len(self.alerts)} alert{'' if len(self.alerts) == 1 else 's'}" if self.alerts else "all is well"
        head = f"{self.monitor} of {self.view}, {show_us(self.at_us)}: {found}"
        return "\n".join([head, *(f"  {alert.told}" for alert in self.alerts)])


def without_segments(body: str) -> str:
    """Return a kept run without the names of its segments, which are values of rows: they are numbered."""
    run = msgspec.json.decode(body, type=MonitorRun)
    names = dict.fromkeys(each.segment for each in (*run.features, *run.alerts) if each.segment is not None)
    numbered = {name: f"segment {at}" for at, name in enumerate(names, start=1)}
    features = [
        each if each.segment is None else msgspec.structs.replace(each, segment=numbered[each.segment])
        for each in run.features
    ]
    alerts = [
        each
        if each.segment is None
        else msgspec.structs.replace(
            each,
            segment=numbered[each.segment],
            told=each.told.replace(f"{each.of} [{each.segment}]", f"{each.of} [{numbered[each.segment]}]", 1),
        )
        for each in run.alerts
    ]
    return msgspec.json.encode(msgspec.structs.replace(run, features=tuple(features), alerts=tuple(alerts))).decode()
