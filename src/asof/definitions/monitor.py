"""Monitors: what is looked at again and again, and from where on somebody is told."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import msgspec

from asof.definitions.durations import duration_us
from asof.definitions.names import checked_name
from asof.errors import UsageError

SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Monitor:
    """What is looked at, and from where on it is an alarm.

    Args:
        name: Its name.
        view: Name of the view or group.
        baseline: With what to compare, as `asof drift` takes it: a tag, a commit, "previous 7d", "offline", ...; "": no
            comparison.
        current: What to compare.
        features: Which; default: all.
        by: A column: each feature of each segment is compared for itself, rows with the same value of it; "": all rows.
        alpha: See `Quality.drift`.
        psi: See `Quality.drift`.
        missing: See `Quality.drift`.
        max_missing: Greatest share of null and NaN of a feature in `current`; None: any.
        min_rows: Least rows in `current`.
        max_age: The newest event may be so old, such as "3h"; "": any age. Of a static group, the newest commit.
        webhook: Where alerts are posted as JSON; "$NAME" takes it from an environment variable; "": nowhere.

    Raises:
        UsageError: It looks at nothing, or a part makes no sense.
    """

    name: str
    view: str
    baseline: str = ""
    current: str = ""
    features: tuple[str, ...] = ()
    by: str = ""
    alpha: float = 0.01
    psi: float = 0.1
    missing: float = 0.05
    max_missing: float | None = None
    min_rows: int = 0
    max_age: str = ""
    webhook: str = ""

    def __post_init__(self) -> None:
        """Check the parts."""
        where = f"monitor {self.name}"
        checked_name(self.name, "monitor")
        if bool(self.baseline) != bool(self.current):
            raise UsageError("it has one of baseline and current", where=where, todo="give both, or neither")
        if not self.baseline and not self.max_age:
            raise UsageError("it looks at nothing", where=where, todo="give baseline and current, or max_age")
        if not self.baseline and (self.min_rows or self.max_missing is not None or self.by):
            what = "min_rows, max_missing and by are of what is compared"
            raise UsageError(what, where=where, todo="give baseline and current, too")
        if self.max_age:
            duration_us(self.max_age, what="max_age")
        if self.webhook and not self.webhook.startswith(("$", *SCHEMES)):
            raise UsageError("its webhook is no http:// or https:// URL", where=where)

    @property
    def max_age_us(self) -> int | None:
        """The greatest age of the newest event, in microseconds."""
        return duration_us(self.max_age, what="max_age") if self.max_age else None

    def url(self) -> str:
        """Return the webhook's URL; "" for none.

        Raises:
            UsageError: Its environment variable is not set, or holds no URL.
        """
        if not self.webhook.startswith("$"):
            return self.webhook
        found = os.environ.get(self.webhook[1:], "")
        if not found.startswith(SCHEMES):
            raise UsageError(f"{self.webhook} holds no http:// or https:// URL", where=f"monitor {self.name}")
        return found


def monitors_from(document: Mapping[str, Any]) -> list[Monitor]:
    """Return the monitors of a document, such as a TOML file: a table for each, by name.

    Raises:
        UsageError: A table has an unknown key, or a value of a wrong type.
    """
    known = [field.name for field in fields(Monitor) if field.name != "name"]
    found: list[Monitor] = []
    for name, given in document.items():
        if not isinstance(given, Mapping):
            raise UsageError(f"{name!r} is no monitor", todo=f"write a table: [{name}]")
        unknown = [key for key in cast("Mapping[str, Any]", given) if key not in known]
        if unknown:
            todo = f"known are {', '.join(known)}"
            raise UsageError(f"unknown key {unknown[0]!r}", where=f"monitor {name}", todo=todo)
        try:
            found.append(msgspec.convert({**given, "name": name}, Monitor))
        except msgspec.ValidationError as error:
            raise UsageError(str(error), where=f"monitor {name}") from error
    return found
