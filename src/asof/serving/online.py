"""Online reads of views. Source: SEMANTICS section 3.

A view is compiled once into a plan (`asof.serving.plan`); a read fetches raw rows from one snapshot, and values,
statuses and receipts are made from them when they are asked for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from random import random
from typing import TypeVar, cast, overload

import numpy as np
import pyarrow as pa

from asof.arrow.frames import Frame, to_pandas, to_polars
from asof.clock import from_us
from asof.derived.inputs import Given
from asof.engine.port import NO_TIME
from asof.errors import UnsupportedError, UsageError
from asof.online.port import Applied, OnlineSnapshot, StaleSnapshotError, version_of
from asof.parts import Parts, resolve
from asof.records import Status
from asof.serving.cached import Cached
from asof.serving.columns import Letters, columns
from asof.serving.late import Late, late_statuses
from asof.serving.log import ServingLog
from asof.serving.log_rows import ANSWERS, Answer, Beside, Shape
from asof.serving.patience import Fetched, Patience, Raw
from asof.serving.plan import Plan, RawRow, Value
from asof.serving.receipt import Receipt, Requests, each_request, request_text

K = TypeVar("K")
R = TypeVar("R")

SNAPSHOTS = 20
"""A read is tried with so many snapshots, where others change its rows between its first look-ups and the next."""

_NOTHING = Applied()


class Vector:
    """One online answer. Dicts by feature name; each is made when it is first asked for."""

    __slots__ = (
        "_applied", "_given", "_keys", "_late", "_listed", "_plan", "_request", "_rows", "_statuses", "_t_us",
        "_values", "_whole",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, on the hot path
        self,
        plan: Plan,
        keys: Mapping[str, Value],
        request: Mapping[str, Value] | None,
        rows: Sequence[RawRow],
        applied: Mapping[int, Applied],
        t_us: int,
        given: Given,
        late: Late | None = None,
    ) -> None:
        """Keep the raw rows."""
        self._plan = plan
        self._late = late
        self._given = given
        self._keys = keys
        self._request = request
        self._rows = rows
        self._applied = applied
        self._t_us = t_us
        self._listed: Sequence[Value] | None = None
        self._values: dict[str, Value] | None = None
        self._statuses: dict[str, Status] | None = None
        self._whole = False

    @property
    def values(self) -> dict[str, Value]:
        """The value of each feature; None unless it is PRESENT, or STALE.

        Raises:
            DataError: The function of an on-demand feature failed.
        """
        if self._values is None:
            self._values = dict(zip(self._plan.names, self.listed))  # noqa: B905 - strict costs; they are as many
        return self._values

    @property
    def listed(self) -> Sequence[Value]:
        """The values, in the order of the schema; see `values`."""
        if self._listed is None:
            self._listed, self._whole = self._plan.values(self._rows, self._t_us, self._given)
        return self._listed

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of each feature: PRESENT, NULL, MISSING, EXPIRED or RETIRED.

        Where the online store was slow, of a view that says so: STALE, or UNAVAILABLE; see `FeatureView.on_slow`.
        """
        if self._statuses is None:
            values = self.values
            if self._whole:
                self._statuses = {name: "PRESENT" if values[name] is not None else "NULL" for name in self._plan.names}
            else:
                self._statuses = self._plan.statuses(self._rows, self._t_us, values)
            if self._late is not None:
                self._statuses = late_statuses(self._statuses, self._late, self._plan.looked_up)
        return self._statuses

    @property
    def plan(self) -> Plan:
        """How the view is read."""
        return self._plan

    @property
    def rows(self) -> Sequence[RawRow]:
        """The row of each look-up, as it is stored."""
        return self._rows

    @property
    def late(self) -> Late | None:
        """Where the answer is from, if it is not of the online store at T; None of all others."""
        return self._late

    @property
    def event_times(self) -> dict[str, datetime | None]:
        """The event time of the row that answered each feature.

        None where there is none, the group is static, or the feature is made on demand.
        """
        found: dict[str, datetime | None] = dict.fromkeys(self._plan.names)
        for step, row in zip(self._plan.steps, self._rows, strict=True):
            moment = None if row is None or step.static else _moment(version_of(row)[0])
            for name in step.shown:
                found[name] = moment
        return found

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the values."""
        return self._plan.schema

    @property
    def receipt(self) -> Receipt:
        """What the answer was made from."""
        groups = () if self._late is not None and self._late.how == "default" else self._plan.groups
        applied = [(ref, self._applied.get(group_id, _NOTHING)) for ref, group_id in groups]
        return Receipt(
            view=self._plan.ref,
            keys=dict(self._keys),
            request=None if self._request is None else dict(self._request),
            clock_us=self._t_us,
            commits={ref: mark.commit for ref, mark in applied},
            applying=any(mark.applying for _, mark in applied),
            width=self._plan.width,
            late=self._late,
        )

    def logged(self, shape: Shape, beside: Beside) -> Answer:
        """Return the answer as a log takes it, with what stands beside it."""
        request = None if self._request is None else request_text(self._request)
        return (
            self._plan, self._keys, request, self._rows, self._applied, self._t_us, self._late, shape, beside,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Return the values, and the status of those that are not PRESENT."""
        odd = {name: status for name, status in self.statuses.items() if status != "PRESENT"}
        return f"<Vector {self.values}" + (f" {odd}" if odd else "") + ">"


def _moment(event_us: int) -> datetime | None:
    return None if event_us == NO_TIME else from_us(event_us)  # no event of the windows


class Vectors(Sequence[Vector]):
    """Online answers for several keys, from one snapshot. A vector is made when it is first asked for."""

    def __init__(
        self,
        plan: Plan,
        rows: Sequence[Sequence[RawRow]],
        t_us: int,
        given: Sequence[Given],
        make: Callable[[int], Vector],
        *,
        lates: Sequence[Late | None] = (),
    ) -> None:
        """Keep the raw rows, what the request of each brings, and how each is late; () if none is."""
        self._plan = plan
        self._lates = lates
        self._rows = rows
        self._t_us = t_us
        self._given = given
        self._make = make
        self._made: list[Vector] | None = None

    @overload
    def __getitem__(self, index: int) -> Vector: ...
    @overload
    def __getitem__(self, index: slice) -> "Vectors": ...
    def __getitem__(self, index: int | slice) -> "Vector | Vectors":
        """Return one answer, or some."""
        vectors = self._vectors()
        if isinstance(index, slice):
            given, lates = self._given[index], self._lates[index]
            return Vectors(self._plan, self._rows[index], self._t_us, given, vectors[index].__getitem__, lates=lates)
        return vectors[index]

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Vector]:
        """Iterate over the answers."""
        return iter(self._vectors())

    @property
    def plan(self) -> Plan:
        """How the view is read."""
        return self._plan

    @property
    def rows(self) -> Sequence[Sequence[RawRow]]:
        """The rows of each answer, as they are stored."""
        return self._rows

    @property
    def lates(self) -> Sequence[Late | None]:
        """See `Vector.late`, for each answer; () if none is late."""
        return self._lates

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the values."""
        return self._plan.schema

    def to_arrow(self) -> pa.Table:
        """Return the values as a table, a row for each key set."""
        return pa.Table.from_arrays(self.columns()[0], schema=self.schema)

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
        for field in self.schema:
            if not (
                pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
            ):
                raise UnsupportedError(f"feature {field.name!r} of type {field.type} does not fit a float matrix")
        matrix = np.empty((len(self), len(self.schema)))
        for at, column in enumerate(self.columns()[0]):
            matrix[:, at] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return matrix

    def columns(self) -> tuple[list[pa.Array], Letters]:
        """Return the values by feature, and the first letter of each status, in a matrix of (answers, features)."""
        times_us = [self._t_us] * len(self)
        return columns(self._plan, self._plan.schema.types, self._rows, times_us, self._given, lates=self._lates)

    def _vectors(self) -> list[Vector]:
        if self._made is None:
            self._made = [self._make(at) for at in range(len(self))]
        return self._made


class OnlineReader:
    """Answers keys from the online store."""

    def __init__(
        self,
        parts: Parts,
        now_us: Callable[[], int] | None = None,
        *,
        log: ServingLog | None = None,
        patient: bool = False,
    ) -> None:
        """Keep the parts.

        Args:
            parts: The store's parts.
            now_us: Overrides their clock.
            log: Where answers are logged; None: nowhere.
            patient: Whether views have their budgets, and answer as they say where the online store is slow.
        """
        self._parts = parts
        self._log = log
        self._now_us = now_us or parts.now_us
        self._plans = Cached(self._compiled, beside=lambda plan: plan.budget_us is not None)
        self._waits = parts.online.waits
        self._patient = patient and self._waits
        self._patience: dict[str, Patience] = {}
        self._erasures: Sequence[object] = ()

    def read(
        self,
        name: str,
        keys: Mapping[str, Value] | Sequence[Mapping[str, Value]],
        request: Requests = None,
    ) -> Vector | Vectors:
        """Answer one key set, or several; see `Store.online`."""
        if not isinstance(keys, (dict, Mapping)):  # dict first: asking an abstract class costs
            return self.read_many(name, keys, request)
        plan = self.plan(name)
        plan.check(keys)
        inputs = None if request is None else request_text(request)
        own = cast("Mapping[str, Value] | None", request)  # it is JSON's object
        given = plan.given(keys, own)
        late: Late | None = None
        if plan.budget_us is None:
            rows, applied, t_us = self._fetched([plan], plan.fetch, keys)
        else:
            ((rows, applied, late),), t_us = self._within_budget(plan, [keys])
        # Copies: the receipt is made when it is asked for, and by then the caller may have changed what he passed.
        keys = dict(keys)
        if plan.log and self._log is not None and random() < plan.log:  # noqa: S311 - a sample
            self._log.put((plan, keys, inputs, rows, applied, t_us, late, ANSWERS, ()))
        return Vector(plan, keys, own and dict(own), rows, applied, t_us, given, late)

    def read_many(self, name: str, keys: Sequence[Mapping[str, Value]], request: Requests = None) -> Vectors:
        """Answer several key sets from one snapshot."""
        plan = self.plan(name)
        dicts = isinstance(keys, Sequence) and {*map(type, keys)} <= {dict}  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        if not dicts and not (isinstance(keys, Sequence) and all(isinstance(each, Mapping) for each in keys)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(
                f"{type(keys).__name__} is no sequence of keys", where=plan.ref, todo="pass a dict, or a list of dicts"
            )
        plan.check_all(keys)
        requests, texts = each_request(request, len(keys))
        given = [plan.given(each, own) for each, own in zip(keys, requests, strict=True)]
        if plan.budget_us is None:
            rows, applied, t_us = self._fetched([plan], plan.fetch_many, keys)
            marks, lates = [applied] * len(rows), []
        else:
            raw, t_us = self._within_budget(plan, keys)
            rows, marks, lates = [each[0] for each in raw], [each[1] for each in raw], [each[2] for each in raw]
            lates = lates if any(lates) else []
        keys = list(map(dict, keys))

        def late(at: int) -> Late | None:
            return lates[at] if lates else None

        if plan.log and self._log is not None:
            for at, own in enumerate(rows):
                if random() < plan.log:  # noqa: S311 - a sample
                    self._log.put((plan, keys[at], texts[at], own, marks[at], t_us, late(at), ANSWERS, ()))

        def vector(at: int) -> Vector:
            return Vector(plan, keys[at], requests[at], rows[at], marks[at], t_us, given[at], late(at))

        return Vectors(plan, rows, t_us, given, vector, lates=lates)

    def read_each(
        self, names: Sequence[str], keys: Mapping[str, Value], request: Mapping[str, Value] | None = None
    ) -> list[Vector]:
        """Answer one key set by several views or groups, all of them from one snapshot; nothing is logged.

        The least of their budgets holds, and several fail when that is used up: each has an answer of its own then.
        """
        plans = [self.plan(name) for name in names]
        for plan in plans:
            plan.check(keys)
        given = [plan.given(keys, request) for plan in plans]
        if len(plans) == 1 and plans[0].budget_us is not None:
            ((rows, applied, late),), t_us = self._within_budget(plans[0], [keys])
            return [Vector(plans[0], dict(keys), request, rows, applied, t_us, given[0], late)]
        budget_us = min((plan.budget_us for plan in plans if plan.budget_us is not None), default=None)
        until = None if budget_us is None else time.monotonic() + budget_us / 1e6

        def fetch(snapshot: OnlineSnapshot, keys: Mapping[str, Value], now_us: int) -> list[list[RawRow]]:
            return [plan.fetch(snapshot, keys, now_us) for plan in plans]

        found, applied, t_us = self._fetched(plans, fetch, keys, until=until)
        keys = dict(keys)
        answers = zip(plans, found, given, strict=True)
        return [Vector(plan, keys, request, rows, applied, t_us, own) for plan, rows, own in answers]

    def _within_budget(self, plan: Plan, every: Sequence[Mapping[str, Value]]) -> tuple[list[Raw], int]:
        """Return raw answers and their T; see `Patience.fetched`."""

        def fetch_one(
            snapshot: OnlineSnapshot, every: Sequence[Mapping[str, Value]], now_us: int
        ) -> list[list[RawRow]]:
            return [plan.fetch(snapshot, every[0], now_us)]

        def read(until: float) -> Fetched[Sequence[Sequence[RawRow]]]:
            return self._fetched([plan], fetch_one if len(every) == 1 else plan.fetch_many, every, until=until)

        patience = self._patience.get(plan.ref) or self._patience.setdefault(plan.ref, Patience(self._parts.last_rows))
        return patience.fetched(plan, every, read, self._now_us())

    def _fetched(
        self,
        plans: Sequence[Plan],
        fetch: Callable[[OnlineSnapshot, K, int], R],
        keys: K,
        left: int = SNAPSHOTS,
        until: float | None = None,
    ) -> tuple[R, Mapping[int, Applied], int]:
        """Return rows, what is applied to them, and their T; from one state of the online store."""
        online = self._parts.online
        try:
            with online.snapshot() if until is None else online.snapshot(until) as snapshot:
                now_us = self._now_us()
                rows = fetch(snapshot, keys, now_us)
                applied = snapshot.applied  # after the rows: a remote store brings it along with them
        except StaleSnapshotError:
            if left <= 1:
                raise
            return self._fetched(plans, fetch, keys, left - 1, until)
        for plan in plans:
            now_us = plan.clock_us(applied, now_us)
        return rows, applied, now_us

    def plan(self, name: str) -> Plan:
        """Return the compiled plan of a view or group."""
        return self._plans(name)

    def waits(self, name: str) -> bool:
        """Return whether the next read waits for another process, or for the registry."""
        return self._waits or self._plans.fresh(name) is None

    def close(self) -> None:
        """Wait for look-ups of definitions that go on beside the reads."""
        self._plans.end()

    def forget_plans(self) -> None:
        """Compile anew at the next read: definitions changed."""
        self._plans.forget()

    def _compiled(self, name: str) -> Plan:
        plan = Plan(resolve(self._parts, name))
        if not self._patient:
            plan.budget_us = None
        elif plan.view.on_slow == "stale":
            self._forget_erased()
        if plan.log and self._log is not None:
            self._log.warm()
        return plan

    def _forget_erased(self) -> None:
        """Forget what was read last if keys were erased since the last look, perhaps by another process."""
        erasures = [(each.id, each.pending is None) for each in self._parts.erasures.all()]
        if erasures != self._erasures:
            self._erasures = erasures
            self._parts.last_rows.forget()
