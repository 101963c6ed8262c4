"""Online answers as rows of a serving log. Values are decoded from the raw rows that were served, and not before."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from secrets import token_hex
from typing import Protocol

import msgspec
import numpy as np
import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.serving_log import DERIVED, log_group
from asof.online.port import Applied
from asof.records import SEMANTICS
from asof.serving.columns import columns
from asof.serving.late import Late
from asof.serving.plan import Plan, RawRow, Value


class Shape(Protocol):
    """In which group answers are logged, and what stands beside each.

    Two shapes are one only if they are the same object: their answers are written together.
    """

    def todo(self, view: FeatureView) -> str:
        """Return how to get the group back, if it is gone."""
        ...

    def name(self, view: FeatureView) -> str:
        """Return whose answers they are, as they are counted; asked on the way of a read, so cheap."""
        ...

    def group(self, view: FeatureView) -> FeatureGroup:
        """Return the group. Its `values` are answers of the view, some or all; its last columns stand beside them."""
        ...


class _Answers:
    """The serving log of a view: nothing stands beside its answers."""

    def todo(self, view: FeatureView) -> str:
        return f"apply the view {view.name!r} again"

    def name(self, view: FeatureView) -> str:
        return view.name

    def group(self, view: FeatureView) -> FeatureGroup:
        return log_group(view)


ANSWERS: Shape = _Answers()
"""How views are logged."""

Beside = Sequence[Value]
"""What stands beside an answer: a value for each column, or for each field of one that is a struct, in their order."""

Answer = tuple[
    Plan, Mapping[str, Value], str | None, Sequence[RawRow], Mapping[int, Applied], int, Late | None, Shape, Beside
]  # fmt: skip
"""What the reader hands over: plan, keys, request as JSON, raw rows, applied commits, T, how it is late, and in which
shape it is logged, beside what. Nothing is decoded yet."""

_NOTHING = Applied()
_LATE: tuple[str, ...] = ("late", "read_at")
"""Columns of views that do not fail where the online store is slow."""

_OF_ANSWERS = frozenset(
    (
        "answer", "clock", "view", "keys", "values", "statuses", "commits", "request", "semantics", "applying", DERIVED,
        *_LATE,
    )
)  # fmt: skip


class LogRows:
    """Makes rows of the answers of one plan, in one shape."""

    def __init__(self, plan: Plan, shape: Shape) -> None:
        """Compile the columns."""
        self._plan = plan
        self._shape = shape
        self.group = shape.group(plan.view)
        self._schema = declared_schema(self.group)
        # Structs are made once for all rows that are written together: that takes long, and columns do not.
        self._flat = pa.schema(
            [pa.field(str(at), kind) for at, kind in enumerate(k for field in self._schema for k in _parts(field))]
        )
        self._beside = [field.name for field in self._schema if field.name not in _OF_ANSWERS]
        # Answers are named by their T, and by who wrote them: a repeated write of a row names it the same.
        self._writer = token_hex(6)
        self._numbers = count()
        self._applied: Mapping[int, Applied] = {}
        self._commits = self._commits_of({})

    def same(self, plan: Plan) -> bool:
        """Return whether the answers of another plan make the same rows."""
        if plan is not self._plan and plan.groups == self._plan.groups and self._shape.group(plan.view) == self.group:
            self._plan = plan  # it knows features that were added to the groups since
        return plan is self._plan

    def encode(self, answers: Sequence[Answer], breathe: Callable[[], None]) -> pa.RecordBatch:
        """Return answers as columns, those of structs flat; `breathe` is called between short steps of work."""
        times_us = [answer[5] for answer in answers]
        lates = [answer[6] for answer in answers]
        values, statuses = self._values(answers, times_us, lates, breathe)
        commits = [self._commits_at(answer[4], answer[6]) for answer in answers]
        made: dict[str, Sequence[Sequence[Value] | pa.Array]] = {
            "answer": [[f"{t_us:016x}{self._writer}{next(self._numbers):08x}" for t_us in times_us]],
            "clock": [times_us],
            "view": [[self._plan.ref] * len(answers)],
            "keys": [[answer[1][name] for answer in answers] for name in self._plan.columns],
            "values": values,
            "statuses": [statuses],
            "commits": [[text for text, _ in commits]],
            "request": [[answer[2] for answer in answers]],
            "semantics": [[SEMANTICS] * len(answers)],
            "applying": [[applying for _, applying in commits]],
        }
        breathe()
        if DERIVED in self._schema.names:
            found = [self._plan.derived(answer[3], answer[5]) for answer in answers]
            made[DERIVED] = list(zip(*found, strict=True))
            breathe()
        if _LATE[0] in self._schema.names:
            made |= {
                "late": [[late and late.how for late in lates]],
                "read_at": [[late and late.read_us for late in lates]],
            }
        beside = iter(zip(*(answer[8] for answer in answers), strict=True))
        for name in self._beside:
            made[name] = [next(beside) for _ in _parts(self._schema.field(name))]
        arrays: list[pa.Array] = []
        every = (column for name in self._schema.names for column in made[name])
        for field, column in zip(self._flat, every, strict=True):
            arrays.append(column if isinstance(column, pa.Array) else pa.array(column, field.type))
        breathe()
        return pa.RecordBatch.from_arrays(arrays, schema=self._flat)

    def table(self, batches: Sequence[pa.RecordBatch]) -> pa.Table:
        """Return encoded answers in the columns of the log."""
        whole = pa.Table.from_batches(batches, schema=self._flat).combine_chunks()
        arrays = iter([column.chunk(0) for column in whole.columns])
        found: list[pa.Array] = []
        for field in self._schema:
            parts = [next(arrays) for _ in _parts(field)]
            struct = pa.types.is_struct(field.type)
            found.append(pa.StructArray.from_arrays(parts, fields=list(field.type)) if struct else parts[0])
        return pa.Table.from_arrays(found, schema=self._schema)

    def _values(
        self,
        answers: Sequence[Answer],
        times_us: Sequence[int],
        lates: Sequence[Late | None],
        breathe: Callable[[], None],
    ) -> tuple[list[pa.Array], list[str]]:
        """Return the values that are kept, as columns, and the letters of each answer."""
        plan, fields = self._plan, list(self._schema.field("values").type)
        types = {**dict(zip(plan.names, plan.schema.types, strict=True)), **{each.name: each.type for each in fields}}
        rows = [answer[3] for answer in answers]
        given = [plan.given(answer[1], _request(answer[2])) for answer in answers]
        wanted = [types[name] for name in plan.names]
        values, letters = columns(plan, wanted, rows, times_us, given, lates=lates, tolerant=True, breathe=breathe)
        if len(fields) < len(plan.names):  # a group has features that came after who reads it
            places = [plan.names.index(each.name) for each in fields]
            values, letters = [values[at] for at in places], np.ascontiguousarray(letters[:, places])
        width, text = letters.shape[1], letters.tobytes().decode("ascii")
        return values, [text[at * width : (at + 1) * width] for at in range(len(answers))]

    def _commits_at(self, applied: Mapping[int, Applied], late: Late | None) -> tuple[str, bool]:
        """Return what a row says of commits; it is the same for most rows."""
        if late is not None and late.how == "default":
            return "{}", False
        if applied is not self._applied:
            self._applied, self._commits = applied, self._commits_of(applied)
        return self._commits

    def _commits_of(self, applied: Mapping[int, Applied]) -> tuple[str, bool]:
        marks = {ref: applied.get(group_id, _NOTHING) for ref, group_id in self._plan.groups}
        text = json.dumps({ref: mark.commit for ref, mark in marks.items()})
        return text, any(mark.applying for mark in marks.values())


def _request(text: str | None) -> Mapping[str, Value] | None:
    return None if text is None else msgspec.json.decode(text)


def _parts(field: pa.Field) -> list[pa.DataType]:
    """Return the types of the flat columns of a column: of a struct, of each of its fields."""
    return [part.type for part in field.type] if pa.types.is_struct(field.type) else [field.type]


def row_bytes(answer: Answer) -> int:
    """Return about how many bytes an answer takes, raw or as a row."""
    text = sum(len(value) for value in (*answer[1].values(), *answer[8]) if isinstance(value, str | bytes))
    return text + len(answer[2] or "") + len(b"".join(filter(None, answer[3])))
