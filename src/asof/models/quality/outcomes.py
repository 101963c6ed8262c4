"""What became of predictions: looked up in a group, as a label is, or in rows that the caller has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.frames import Frame, to_table
from asof.arrow.types import arrow_type
from asof.clock import show_us
from asof.definitions import Label
from asof.engine.port import Known
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, pinned_rows
from asof.training.historical import known_mode
from asof.training.model import Model
from asof.training.sets.asking import version_of
from asof.training.sets.labelling import Labeller
from asof.training.sets.manifest import LabelSaid, Manifest

WHERE = "outcomes="


@dataclass(frozen=True, slots=True)
class Asked:
    """Some predictions.

    Attributes:
        keys: The keys that were asked for, a column each.
        requests: The inputs of each request, as JSON; null where there was none.
        times: Their clocks.
    """

    keys: pa.Table
    requests: pa.ChunkedArray
    times: pa.ChunkedArray

    def filtered(self, which: np.ndarray) -> "Asked":
        """Return some of them."""
        mask = pa.array(which)
        return Asked(self.keys.filter(mask), self.requests.filter(mask), self.times.filter(mask))

    def columns(self, wanted: Mapping[str, pa.DataType], *, where: str) -> pa.Table:
        """Return columns by name: keys, or else inputs of the requests.

        Raises:
            NotFoundError: No prediction brings one of them.
        """
        found: dict[str, pa.ChunkedArray] = {}
        for name, kind in wanted.items():
            found[name] = self.keys.column(name) if name in self.keys.column_names else self._input(name, kind)
            if name not in self.keys.column_names and len(self.times) and found[name].null_count == len(self.times):
                known = {*self.keys.column_names, *(key for each in self._inputs for key in each)}
                raise NotFoundError.named("key, or input of a request,", name, known, where=where)
        return pa.table(found)

    def _input(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        values = [each.get(name) for each in self._inputs]
        return pa.chunked_array([pa.array(values, kind)])

    @property
    def _inputs(self) -> Sequence[Mapping[str, object]]:
        return [{} if text is None else msgspec.json.decode(text) for text in self.requests.to_pylist()]


class Outcomes(Protocol):
    """Knows what became of predictions."""

    @property
    def told(self) -> str:
        """Where it knows that from, for people."""
        ...

    def of(self, asked: Asked) -> tuple[pa.ChunkedArray, np.ndarray]:
        """Return what became of each prediction, null where nothing is known; and whether it can be known by now."""
        ...


@dataclass(frozen=True)
class LookedUp:
    """Outcomes from a group: the newest value within a horizon after the prediction, as it was known at its end.

    Attributes:
        parts: The store's parts.
        labeller: What looks them up.
        known: Knowledge mode; None for the group's own.
        until_us: Up to when everything is known that there is to know.
    """

    parts: Parts
    labeller: Labeller
    known: Known | None
    until_us: int

    @property
    def told(self) -> str:
        """See `Outcomes.told`."""
        return f"{self.labeller.label}, known until {show_us(self.until_us)}"

    def of(self, asked: Asked) -> tuple[pa.ChunkedArray, np.ndarray]:
        """See `Outcomes.of`."""
        horizon_us = self.labeller.label.horizon_us
        mature = asked.times.cast(pa.int64()).to_numpy() + horizon_us <= self.until_us
        some = asked.filtered(mature)
        lookup = self.labeller.lookup
        kinds = [arrow_type(dtype) for dtype in lookup.group.entity.keys.values()]
        wanted = {str(source): kind for source, kind in zip(lookup.sources, kinds, strict=True)}
        spine = some.columns(wanted, where=f"label {self.labeller.label}")
        rows, _ = pinned_rows(self.parts, self.labeller.group)
        values = self.labeller.labels(self.parts, spine, some.times, rows, self.known).values
        places = np.cumsum(mature) - 1
        return values.take(pa.array(places, mask=~mature)), mature


@dataclass(frozen=True)
class Given:
    """Outcomes from rows of the caller: the first one of its keys at the time of the prediction, or after it.

    Attributes:
        rows: The rows; of null outcomes nothing is known yet.
        keys: Their columns of keys, with types.
        time: Their column of times.
        label: Their column of outcomes.
    """

    rows: pa.Table
    keys: Mapping[str, pa.DataType]
    time: str
    label: str

    @property
    def told(self) -> str:
        """See `Outcomes.told`."""
        return f"{self.label} of the rows given"

    def of(self, asked: Asked) -> tuple[pa.ChunkedArray, np.ndarray]:
        """See `Outcomes.of`. What has no outcome yet may have one later."""
        keys, times, values = self._ordered
        places = self._first(keys, times, self._numbers(asked), asked.times.cast(pa.int64()).to_numpy())
        found = places >= 0
        return values.take(pa.array(places, mask=~found)), found

    @cached_property
    def _distinct(self) -> pa.Table:
        names = list(self.keys)
        rows = self.rows.select(names).group_by(names).aggregate([])
        return rows.append_column("__number", pa.array(np.arange(rows.num_rows)))

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray, pa.ChunkedArray]:
        """Return numbers of keys, times and outcomes, by number and time."""
        there = self.rows.filter(pc.is_valid(self.rows.column(self.label)))
        numbers = self._joined(there.select(list(self.keys)))
        times = there.column(self.time).cast(pa.int64()).to_numpy()
        order = np.lexsort((times, numbers))
        return numbers[order], times[order], there.column(self.label).take(pa.array(order))

    def _numbers(self, asked: Asked) -> np.ndarray:
        wanted = asked.columns(self.keys, where=WHERE)
        columns = [conform_column(wanted.column(name), kind, f"key {name}") for name, kind in self.keys.items()]
        return self._joined(pa.table(columns, names=list(self.keys)))

    def _joined(self, keys: pa.Table) -> np.ndarray:
        """Return the number of each key; -1 for one that the rows do not have."""
        at = keys.append_column("__at", pa.array(np.arange(keys.num_rows)))
        found = at.join(self._distinct, list(self.keys)).sort_by("__at").column("__number")
        return np.asarray(pc.fill_null(found, -1))

    @staticmethod
    def _first(keys: np.ndarray, times: np.ndarray, wanted: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the place of the first row of each key that is not before its time; -1 if there is none."""
        moments = np.unique(times)
        size = len(moments) + 1
        rows = keys * size + np.searchsorted(moments, times)
        places = np.searchsorted(rows, wanted * size + np.searchsorted(moments, at))
        inside = np.minimum(places, max(len(keys) - 1, 0))
        same = (places < len(keys)) & (wanted >= 0)
        return np.where(same & (keys[inside] == wanted), places, -1) if len(keys) else np.full(len(at), -1)


def outcomes_of(
    parts: Parts, model: Model, given: Label | Frame | None, keys: Mapping[str, pa.DataType], *, now_us: int
) -> Outcomes | str:
    """Return what knows outcomes of a model's predictions, or why nothing does.

    Args:
        parts: The store's parts.
        model: The version.
        given: A label, or rows; None: the label of its training set.
        keys: The keys of its predictions.
        now_us: Up to when everything is known.

    Raises:
        NotFoundError: The label's group, or a column of the rows, is not there. UsageError: It is nothing of this.
    """
    manifest = _manifest(parts, model)
    mode = None if manifest is None or not isinstance(manifest.mode, str) else known_mode(manifest.mode)
    if isinstance(given, Label):
        ref = version_of(given.ref.group, {}, parts.registry.groups())
        return LookedUp(parts, Labeller.of(given, parts.registry.group(ref)), mode, now_us)
    said = None if manifest is None else manifest.label
    if given is not None:
        return _rows_given(model, given, manifest, said, keys)
    if manifest is None:
        return f"{model.training_set}, which says what the label is, is gone: pass outcomes="
    if said is None:
        return f"{model.training_set} has no label: pass outcomes="
    if not said.group:
        return f"the label {said.column} of {model.training_set} is a column of its spine: pass outcomes="
    group = parts.registry.group(said.group)
    return LookedUp(parts, Labeller.of(said.label(group.definition), group), mode, now_us)


def _rows_given(
    model: Model,
    given: Frame,
    manifest: Manifest | None,
    said: LabelSaid | None,
    keys: Mapping[str, pa.DataType],
) -> Given:
    """Return the rows of a caller as outcomes.

    Raises:
        NotFoundError: They lack a column. UsageError: Nothing says which columns are meant.
    """
    if isinstance(given, str):
        raise UsageError(f"{given!r} is neither a label nor rows", where=WHERE, todo='pass group["x"].after("12h")')
    if manifest is None or said is None or not manifest.time:
        todo = 'pass a label: group["x"].after("12h")'
        raise UsageError(f"{model.training_set} does not say which columns time and label are", where=WHERE, todo=todo)
    table, _ = to_table(given, where=WHERE)
    for name in (*keys, manifest.time, said.column):
        if name not in table.column_names:
            raise NotFoundError.named("column", name, table.column_names, where=WHERE)
    columns = {name: conform_column(table.column(name), kind, f"{WHERE} {name}") for name, kind in keys.items()}
    columns[manifest.time] = conform_time(table.column(manifest.time), f"{WHERE} {manifest.time}")
    columns[said.column] = table.column(said.column)
    rows = pa.table(columns)
    if rows.column(manifest.time).null_count:
        raise UsageError("a time is null", where=f"{WHERE} {manifest.time}", todo="leave such rows out")
    return Given(rows, keys, manifest.time, said.column)


def _manifest(parts: Parts, model: Model) -> Manifest | None:
    try:
        kept = parts.training_sets.get(model.training_set)
    except NotFoundError:
        return None
    return Manifest.from_json(kept.manifest) if kept.digest == model.kept.training_digest else None
