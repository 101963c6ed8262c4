"""Labels, looked up forward in time: what became of a row after its own. Source: docs/training-sets.md, "Labels".

The label of a row at T is an answer at T + horizon with the horizon as the ttl: what is not later than T has expired
by then. So it is the engine's look-up, by the same rules, and no feature at T can hold any of it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.types import TIMESTAMP
from asof.definitions import FeatureView, Label, Lookup
from asof.engine.port import EVENT_COLUMN, FOUND, RETIRED, STATUS_COLUMN, TIME_COLUMN, Known, Rows
from asof.errors import NotFoundError
from asof.parts import Parts
from asof.registry.registered import RegisteredGroup
from asof.training.historical import HistoricalReader

COUNTS = ("labelled", "null", "no event", "retired")


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of some rows.

    Attributes:
        values: The label of each; null where there is none.
        counts: How many rows have a value, an event whose value is null, no event, or a retirement; see `COUNTS`.
    """

    values: pa.ChunkedArray
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Labeller:
    """Looks labels up.

    Attributes:
        label: What is asked for.
        group: The version of the group that answers.
        lookup: The group under the spine's columns.
    """

    label: Label
    group: RegisteredGroup
    lookup: Lookup

    @classmethod
    def of(cls, label: Label, group: RegisteredGroup) -> "Labeller":
        """Return what looks a label up in a version of its group.

        Raises:
            NotFoundError: That version has no such feature.
        """
        definition = group.definition
        features = {feature.name: feature for feature in definition.features}
        name = label.ref.feature.name
        if name not in features:
            raise NotFoundError.named("feature", name, features, where=f"group {group.ref}")
        ref = replace(label.ref, group=definition, feature=features[name], name="")
        (lookup,) = FeatureView("label", features=[ref]).lookups()
        return cls(replace(label, ref=ref), group, lookup)

    def labels(
        self, parts: Parts, spine: pa.Table, times: pa.ChunkedArray, rows: Rows, known: Known | None
    ) -> Labelled:
        """Return the label of each row of a spine.

        Args:
            parts: The store's parts.
            spine: The rows.
            times: Their times T.
            rows: The history of the group.
            known: Knowledge mode; None for the group's own.
        """
        known = self.group.known if known is None else known
        keys = HistoricalReader(parts).keys(self.lookup, spine, [])
        then = pc.add(times.cast(pa.int64()), self.label.horizon_us).cast(TIMESTAMP)
        name = self.label.ref.feature.name
        aggregation = self.label.ref.feature.aggregation
        if aggregation is None:
            asked = keys.append_column(TIME_COLUMN, then)
            ttl_us = self.label.horizon_us
            found = parts.engine.look_up(asked, rows, columns=[name], known=known, ttl_us=ttl_us)
        else:
            columns = self.group.definition.source_columns
            asked = keys.rename_columns(list(columns)).append_column(TIME_COLUMN, then)
            found = parts.engine.aggregate(asked, rows, on=columns, aggregations=[aggregation], known=known)
            found = found.set_column(found.column_names.index(EVENT_COLUMN), EVENT_COLUMN, then.cast(pa.int64()))
        return Labelled(found.column(name), _counts(found, name, times))


def _counts(found: pa.Table, name: str, times: pa.ChunkedArray) -> dict[str, int]:
    statuses = found.column(STATUS_COLUMN).to_numpy()
    nulls = np.asarray(pc.is_null(found.column(name)))
    # A retirement does not expire, but what happened at T or before is no event of the label.
    later = np.asarray(pc.fill_null(pc.greater(found.column(EVENT_COLUMN), times.cast(pa.int64())), fill_value=False))
    happened, ended = (statuses == FOUND) & later, (statuses == RETIRED) & later
    counts = (happened & ~nulls, happened & nulls, ~(happened | ended), ended)
    return {what: int(each.sum()) for what, each in zip(COUNTS, counts, strict=True)}
