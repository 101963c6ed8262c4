"""Answers of look-ups, and the rows of a spine with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions import Lookup
from asof.derived import Derived
from asof.engine.port import EVENT_COLUMN, EXPIRED, FOUND, MISSING, RETIRED, STATUS_COLUMN, Known, Profile
from asof.records import Status
from asof.training.made import Made, make

STATUS_SUFFIX = "__status"
_ROW_STATUSES: tuple[Status, ...] = ("MISSING", "PRESENT", "EXPIRED", "RETIRED")


@dataclass(frozen=True, slots=True)
class Answered:
    """One look-up, answered.

    Attributes:
        lookup: What was looked up.
        label: Its name in the report.
        known: The knowledge mode.
        found: The engine's answer: features, `__status`, `__event_us`.
        profile: How it was found, if that was asked.
    """

    lookup: Lookup
    label: str
    known: Known
    found: pa.Table
    profile: Profile | None = None

    def values(self) -> dict[str, pa.ChunkedArray]:
        """Return the columns that are read: outputs, and hidden ones of which others are made."""
        return {name: self.found.column(f.name) for f, name in self.lookup.outputs if name}

    def statuses(self) -> dict[str, pa.Array]:
        """Return the status of every value, as text."""
        rows = self.found.column(STATUS_COLUMN).to_numpy()
        names = pa.array([*_ROW_STATUSES, "NULL"])
        null = len(_ROW_STATUSES)
        found: dict[str, pa.Array] = {}
        for feature, name in self.lookup.shown:
            nulls = pc.is_null(self.found.column(feature.name)).to_numpy()
            codes = np.where((rows == FOUND) & nulls, null, rows).astype(np.int8)
            found[name] = pa.DictionaryArray.from_arrays(pa.array(codes), names).cast(pa.string())
        return found

    def counts(self) -> dict[Status, int]:
        """Return how many values have each status."""
        rows = self.found.column(STATUS_COLUMN).to_numpy()
        outputs = [f.name for f, _ in self.lookup.shown]
        found = rows == FOUND
        nulls = sum(int((pc.is_null(self.found.column(f)).to_numpy() & found).sum()) for f in outputs)
        each = len(outputs)
        return {
            "PRESENT": int(found.sum()) * each - nulls,
            "NULL": nulls,
            "MISSING": int((rows == MISSING).sum()) * each,
            "EXPIRED": int((rows == EXPIRED).sum()) * each,
            "RETIRED": int((rows == RETIRED).sum()) * each,
        }


def shown(
    spine: pa.Table,
    answered: Sequence[Answered],
    derived: Derived | None,
    outputs: Sequence[str],
    *,
    where: str,
    statuses: bool,
) -> pa.Table:
    """Return the rows of a spine with their answers, and what is made of them on demand."""
    columns = {name: spine.column(name) for name in spine.column_names}
    names = [*spine.column_names, *outputs]
    told: list[Answered | Made] = [*answered]
    if derived is not None:
        read = {name: column for answer in answered for name, column in answer.values().items()}
        told.append(make(derived, read, spine, where))
    for answer in told:
        columns |= answer.values()
    if statuses:
        for answer in told:
            columns |= {name + STATUS_SUFFIX: values for name, values in answer.statuses().items()}
        names += [name + STATUS_SUFFIX for name in outputs]
    return pa.table([columns[name] for name in names], names=names)


def label(lookup: Lookup, lookups: Sequence[Lookup]) -> str:
    """Return what a look-up is called in a report."""
    name = lookup.group.name
    if sum(other.group.name == name for other in lookups) == 1:
        return name
    sources = (s if isinstance(s, str) else f"{lookups[s[0]].group.name}.{s[1]}" for s in lookup.sources)
    return f"{name} on {', '.join(sources)}"


def coincide(answer: Answered, times: pa.ChunkedArray) -> int:
    """Return how many rows of a spine fall on the very event time of the row that answers."""
    if answer.lookup.group.static:
        return 0
    same = pc.equal(answer.found.column(EVENT_COLUMN), times.cast(pa.int64()))
    return int(pc.sum(pc.fill_null(same, False)).as_py() or 0)  # noqa: FBT003 - null is not equal
