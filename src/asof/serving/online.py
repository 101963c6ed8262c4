"""Online reads of views. Source: SEMANTICS section 3.

A view is compiled once into a plan; a read fetches raw rows from one snapshot, and values, statuses and receipts are
made from them when they are asked for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

import msgspec
import numpy as np
import pyarrow as pa

from asof.arrow.frames import Frame, to_pandas, to_polars
from asof.arrow.keys import key_encoder
from asof.arrow.rows import from_wire
from asof.arrow.types import arrow_type
from asof.clock import from_us
from asof.definitions import Lookup
from asof.errors import NotFoundError, UnsupportedError, UsageError
from asof.online.port import HEAD_BYTES, Applied, OnlineSnapshot, version_of
from asof.parts import Parts, Question, resolve
from asof.records import SEMANTICS, Status
from asof.registry.port import RegisteredGroup

Value = Any
"""A Python value of any of our types."""

REFRESH_SECONDS = 5.0
"""How long a compiled plan is used before the registry is asked whether another process applied a newer version."""

_NOTHING = Applied()
_decode = msgspec.msgpack.Decoder().decode


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an online answer was made from: enough to make it again from history.

    Attributes:
        view: The view's version, "departure@1".
        keys: The keys that were asked for.
        request: The request's inputs.
        clock_us: The answer's T.
        commits: The applied commit of each group, by its version.
        semantics: Version of the rules.
        applying: Whether a bulk load was being applied in several steps.
    """

    view: str
    keys: Mapping[str, Value]
    request: Mapping[str, Value] | None
    clock_us: int
    commits: Mapping[str, int]
    semantics: int = SEMANTICS
    applying: bool = False

    @property
    def clock(self) -> datetime:
        """The answer's T."""
        return from_us(self.clock_us)


class _Step:
    """One look-up of a plan: how to make its key and read its row."""

    def __init__(self, lookup: Lookup, group: RegisteredGroup) -> None:
        self.lookup = lookup
        self.group_id = group.id
        self.ttl_us = lookup.group.ttl_us
        self.static = lookup.group.static
        self.sources = lookup.sources
        self.plain = all(isinstance(source, str) for source in lookup.sources)
        keys = lookup.group.entity.keys
        self.encode = key_encoder([arrow_type(t) for t in keys.values()], [str(s) for s in lookup.sources])
        place = {name: at for at, name in enumerate(group.layout)}
        self.outputs = [
            (name, place[feature.name], from_wire(arrow_type(feature.dtype)))
            for feature, name in lookup.outputs
            if name
        ]
        self.key_places = {
            feature.name: (place[feature.name], from_wire(arrow_type(feature.dtype))) for feature, _ in lookup.outputs
        }


class Plan:
    """A view, compiled for online reads."""

    def __init__(self, question: Question) -> None:
        """Compile the look-ups.

        Raises:
            UnsupportedError: A group of the view is not online.
        """
        for group in question.groups.values():
            if not group.definition.online:
                raise UnsupportedError(
                    f"group {group.definition.name!r} is not online",
                    where=question.ref,
                    todo="declare online=True and apply it",
                )
        self.ref = question.ref
        self.groups = question.groups
        self.steps = [_Step(each, question.groups[each.group.name]) for each in question.view.lookups()]
        self.chained = any(not step.plain for step in self.steps)
        self.columns = tuple(question.view.spine_keys)
        self.column_set = frozenset(self.columns)
        self.group_ids = tuple({step.group_id for step in self.steps})
        self.schema = pa.schema(
            [
                pa.field(name, arrow_type(ref.feature.dtype))
                for name, ref in zip(question.view.output_names(), question.view.features, strict=True)
            ]
        )

    def check(self, keys: Mapping[str, Value]) -> None:
        """Refuse keys that are not those of the view."""
        if self.column_set.symmetric_difference(keys):
            for name in self.columns:
                if name not in keys:
                    raise UsageError(f"key {name!r} is missing", where=self.ref, todo=f"pass {', '.join(self.columns)}")
            for name in keys:
                if name not in self.column_set:
                    raise NotFoundError.named("key", name, self.columns, where=self.ref)

    def fetch(
        self, snapshot: OnlineSnapshot, every: Sequence[Mapping[str, Value]], t_us: int
    ) -> list[list[bytes | None]]:
        """Return the raw rows of each key set, one a look-up; keys that come from answers need a second round."""
        requests: list[tuple[int, bytes]] = []
        places: list[tuple[int, int]] = []
        rows: list[list[bytes | None]] = [[None] * len(self.steps) for _ in every]
        for at, keys in enumerate(every):
            for number, step in enumerate(self.steps):
                if step.plain:
                    values = [keys[source] for source in step.sources]  # type: ignore[index]
                    if None not in values:
                        requests.append((step.group_id, step.encode(values)))
                        places.append((at, number))
        for (at, number), row in zip(places, snapshot.get(requests), strict=True):
            rows[at][number] = row
        if self.chained:
            self._fetch_chained(snapshot, every, rows, t_us)
        return rows

    def _fetch_chained(
        self,
        snapshot: OnlineSnapshot,
        every: Sequence[Mapping[str, Value]],
        rows: list[list[bytes | None]],
        t_us: int,
    ) -> None:
        for number, step in enumerate(self.steps):
            if step.plain:
                continue
            requests: list[tuple[int, bytes]] = []
            places: list[int] = []
            for at, keys in enumerate(every):
                values = [
                    keys[source] if isinstance(source, str) else self._answer(source, rows[at], t_us)
                    for source in step.sources
                ]
                if None not in values:
                    requests.append((step.group_id, step.encode(values)))
                    places.append(at)
            for at, row in zip(places, snapshot.get(requests), strict=True):
                rows[at][number] = row

    def _answer(self, source: tuple[int, str], rows: list[bytes | None], t_us: int) -> Value:
        """Return another look-up's value as a key; None unless it is PRESENT."""
        step, row = self.steps[source[0]], rows[source[0]]
        if row is None or row_status(row, step.ttl_us, t_us) != "PRESENT":
            return None
        place, convert = step.key_places[source[1]]
        values = _decode(row[HEAD_BYTES:])
        value = values[place] if place < len(values) else None
        return value if value is None or convert is None else convert(value)


def row_status(row: bytes | None, ttl_us: int | None, t_us: int) -> Status:
    """Return the status of a raw row at T; PRESENT if its values count."""
    if row is None:
        return "MISSING"
    if len(row) == HEAD_BYTES:
        return "RETIRED"
    if ttl_us is not None and version_of(row)[0] <= t_us - ttl_us:
        return "EXPIRED"
    return "PRESENT"


class Vector:
    """One online answer. Dicts by feature name; each is made when it is first asked for."""

    __slots__ = ("_applied", "_keys", "_plan", "_request", "_rows", "_statuses", "_t_us", "_values")

    def __init__(  # noqa: PLR0917 - made in one place, on the hot path
        self,
        plan: Plan,
        keys: Mapping[str, Value],
        request: Mapping[str, Value] | None,
        rows: list[bytes | None],
        applied: Mapping[int, Applied],
        t_us: int,
    ) -> None:
        """Keep the raw rows."""
        self._plan = plan
        self._keys = keys
        self._request = request
        self._rows = rows
        self._applied = applied
        self._t_us = t_us
        self._values: dict[str, Value] | None = None
        self._statuses: dict[str, Status] | None = None

    @property
    def values(self) -> dict[str, Value]:
        """The value of each feature; None unless it is PRESENT."""
        if self._values is None:
            values: dict[str, Value] = {}
            self._values = values
            t_us = self._t_us
            for step, row in zip(self._plan.steps, self._rows, strict=True):
                if row_status(row, step.ttl_us, t_us) != "PRESENT":
                    for name, _, _ in step.outputs:
                        values[name] = None
                    continue
                decoded = _decode(row[HEAD_BYTES:])  # type: ignore[index]
                width = len(decoded)
                for name, place, convert in step.outputs:
                    value = decoded[place] if place < width else None
                    values[name] = value if convert is None or value is None else convert(value)
            if list(values) != self._plan.schema.names:
                self._values = {name: values[name] for name in self._plan.schema.names}
        return self._values

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of each feature: PRESENT, NULL, MISSING, EXPIRED or RETIRED."""
        if self._statuses is None:
            values = self.values
            found: dict[str, Status] = {}
            for step, row in zip(self._plan.steps, self._rows, strict=True):
                status = row_status(row, step.ttl_us, self._t_us)
                for name, _, _ in step.outputs:
                    found[name] = "NULL" if status == "PRESENT" and values[name] is None else status
            self._statuses = {name: found[name] for name in self._plan.schema.names}
        return self._statuses

    @property
    def event_times(self) -> dict[str, datetime | None]:
        """The event time of the row that answered each feature; None where there is none, or the group is static."""
        found: dict[str, datetime | None] = {}
        for step, row in zip(self._plan.steps, self._rows, strict=True):
            moment = None if row is None or step.static else from_us(version_of(row)[0])
            for name, _, _ in step.outputs:
                found[name] = moment
        return {name: found[name] for name in self._plan.schema.names}

    @property
    def receipt(self) -> Receipt:
        """What the answer was made from."""
        applied = [(group, self._applied.get(group.id, _NOTHING)) for group in self._plan.groups.values()]
        return Receipt(
            view=self._plan.ref,
            keys=dict(self._keys),
            request=None if self._request is None else dict(self._request),
            clock_us=self._t_us,
            commits={group.ref: mark.commit for group, mark in applied},
            applying=any(mark.applying for _, mark in applied),
        )

    def __repr__(self) -> str:
        """Return the values, and the status of those that are not PRESENT."""
        odd = {name: status for name, status in self.statuses.items() if status != "PRESENT"}
        return f"<Vector {self.values}" + (f" {odd}" if odd else "") + ">"


class Vectors(Sequence[Vector]):
    """Online answers for several keys, from one snapshot."""

    def __init__(self, vectors: Sequence[Vector], schema: pa.Schema) -> None:
        """Keep the answers."""
        self._vectors = vectors
        self._schema = schema

    @overload
    def __getitem__(self, index: int) -> Vector: ...
    @overload
    def __getitem__(self, index: slice) -> "Vectors": ...
    def __getitem__(self, index: int | slice) -> "Vector | Vectors":
        """Return one answer, or some."""
        if isinstance(index, slice):
            return Vectors(self._vectors[index], self._schema)
        return self._vectors[index]

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self._vectors)

    def __iter__(self) -> Iterator[Vector]:
        """Iterate over the answers."""
        return iter(self._vectors)

    def to_arrow(self) -> pa.Table:
        """Return the values as a table, a row for each key set."""
        rows = [vector.values for vector in self._vectors]
        columns = [pa.array([row[field.name] for row in rows], type=field.type) for field in self._schema]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def to_pandas(self) -> Frame:
        """Return the values as a pandas frame."""
        return to_pandas(self.to_arrow())

    def to_polars(self) -> Frame:
        """Return the values as a polars frame."""
        return to_polars(self.to_arrow())

    def to_numpy(self) -> np.ndarray:
        """Return the values as a float64 matrix of shape (keys, features); null becomes NaN.

        Raises:
            UnsupportedError: A feature is neither a number nor a boolean.
        """
        for field in self._schema:
            if not (
                pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
            ):
                raise UnsupportedError(f"feature {field.name!r} of type {field.type} does not fit a float matrix")
        matrix = np.empty((len(self), len(self._schema)))
        for at, column in enumerate(self.to_arrow().columns):
            matrix[:, at] = column.cast(pa.float64(), safe=False).to_numpy()
        return matrix


class OnlineReader:
    """Answers keys from the online store."""

    def __init__(self, parts: Parts, now_us: Callable[[], int] | None = None) -> None:
        """Keep the parts; `now_us` overrides their clock."""
        self._parts = parts
        self._now_us = now_us or parts.now_us
        self._plans: dict[str, tuple[float, Plan]] = {}

    def read(
        self,
        name: str,
        keys: Mapping[str, Value] | Sequence[Mapping[str, Value]],
        request: Mapping[str, Value] | None = None,
    ) -> Vector | Vectors:
        """Answer one key set, or several; see `Store.online`."""
        if isinstance(keys, Mapping):
            return self._read(self.plan(name), [keys], request)[0]
        return self.read_many(name, keys, request)

    def read_many(
        self, name: str, keys: Sequence[Mapping[str, Value]], request: Mapping[str, Value] | None = None
    ) -> Vectors:
        """Answer several key sets from one snapshot."""
        plan = self.plan(name)
        return Vectors(self._read(plan, keys, request), plan.schema)

    def plan(self, name: str) -> Plan:
        """Return the compiled plan of a view or group."""
        now = time.monotonic()
        cached = self._plans.get(name)
        if cached is not None and now - cached[0] < REFRESH_SECONDS:
            return cached[1]
        plan = Plan(resolve(self._parts, name))
        self._plans[name] = (now, plan)
        return plan

    def forget_plans(self) -> None:
        """Compile anew at the next read: definitions changed."""
        self._plans.clear()

    def _read(
        self, plan: Plan, every: Sequence[Mapping[str, Value]], request: Mapping[str, Value] | None
    ) -> list[Vector]:
        for keys in every:
            plan.check(keys)
        with self._parts.online.snapshot() as snapshot:
            applied = snapshot.applied
            t_us = self._now_us()
            for group_id in plan.group_ids:
                mark = applied.get(group_id)
                if mark is not None and mark.committed_at_us > t_us:
                    t_us = mark.committed_at_us
            rows = plan.fetch(snapshot, every, t_us)
        return [Vector(plan, keys, request, raw, applied, t_us) for keys, raw in zip(every, rows, strict=True)]
