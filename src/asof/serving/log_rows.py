"""Online answers as rows of a serving log. Values are decoded from the raw rows that were served, and not before."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from secrets import token_hex

import msgspec
import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.definitions.serving_log import log_group
from asof.online.port import Applied
from asof.records import SEMANTICS
from asof.serving.columns import columns
from asof.serving.late import Late
from asof.serving.plan import Plan, RawRow, Value

Answer = tuple[Plan, Mapping[str, Value], str | None, Sequence[RawRow], Mapping[int, Applied], int, Late | None]
"""What the reader hands over: plan, keys, request as JSON, raw rows, applied commits, T, and how it is late. Nothing is
decoded yet."""

_NOTHING = Applied()
_PLAIN: tuple[str, ...] = ("answer", "clock", "view", "statuses", "commits", "request", "semantics", "applying")
_LATE: tuple[str, ...] = ("late", "read_at")
"""Columns of views that do not fail where the online store is slow."""


class LogRows:
    """Makes rows of the answers of one plan."""

    def __init__(self, plan: Plan) -> None:
        """Compile the columns."""
        self._plan = plan
        self.group = log_group(plan.view)
        self._schema = declared_schema(self.group)
        # Structs are made once for all rows that are written together: that takes long, and columns do not.
        self._structs = [name for name in ("keys", "values", "derived") if name in self._schema.names]
        parts = [part for name in self._structs for part in self._schema.field(name).type]
        self._plain = (*_PLAIN, *(name for name in _LATE if name in self._schema.names))
        plain = [self._schema.field(name) for name in self._plain]
        self._flat = pa.schema([*plain, *(pa.field(str(at), part.type) for at, part in enumerate(parts))])
        # Answers are named by their T, and by who wrote them: a repeated write of a row names it the same.
        self._writer = token_hex(6)
        self._numbers = count()
        self._types = [part.type for part in self._schema.field("values").type]
        self._applied: Mapping[int, Applied] = {}
        self._commits = self._commits_of({})

    def same(self, plan: Plan) -> bool:
        """Return whether the answers of another plan make the same rows."""
        if plan is not self._plan and plan.groups == self._plan.groups and log_group(plan.view) == self.group:
            self._plan = plan  # it knows features that were added to the groups since
        return plan is self._plan

    def encode(self, answers: Sequence[Answer], breathe: Callable[[], None]) -> pa.RecordBatch:
        """Return answers as columns, those of structs flat; `breathe` is called between short steps of work."""
        rows, times_us = [answer[3] for answer in answers], [answer[5] for answer in answers]
        given = [self._plan.given(answer[1], _request(answer[2])) for answer in answers]
        lates = [answer[6] for answer in answers]
        values, letters = columns(
            self._plan, self._types, rows, times_us, given, lates=lates, tolerant=True, breathe=breathe
        )
        width, statuses = letters.shape[1], letters.tobytes().decode("ascii")
        commits = [self._commits_at(answer[4], answer[6]) for answer in answers]
        plain: list[Sequence[Value]] = [
            [f"{t_us:016x}{self._writer}{next(self._numbers):08x}" for t_us in times_us],
            times_us,
            [self._plan.ref] * len(answers),
            [statuses[at * width : (at + 1) * width] for at in range(len(answers))],
            [text for text, _ in commits],
            [answer[2] for answer in answers],
            [SEMANTICS] * len(answers),
            [applying for _, applying in commits],
            *self._late_columns(lates),
            *([answer[1][name] for answer in answers] for name in self._plan.columns),
        ]
        breathe()
        derived: list[Sequence[Value]] = []
        if "derived" in self._structs:
            derived = list(zip(*[self._plan.derived(answer[3], answer[5]) for answer in answers], strict=True))
            breathe()
        arrays: list[pa.Array] = []
        for field, column in zip(self._flat, (*plain, *values, *derived), strict=True):
            arrays.append(column if isinstance(column, pa.Array) else pa.array(column, field.type))
        breathe()
        return pa.RecordBatch.from_arrays(arrays, schema=self._flat)

    def table(self, batches: Sequence[pa.RecordBatch]) -> pa.Table:
        """Return encoded answers in the columns of the log."""
        whole = pa.Table.from_batches(batches, schema=self._flat).combine_chunks()
        arrays = [column.chunk(0) for column in whole.columns]
        at = len(self._plain)
        plain = dict(zip(self._plain, arrays[:at], strict=True))
        for name in self._structs:
            fields = list(self._schema.field(name).type)
            plain[name] = pa.StructArray.from_arrays(arrays[at : at + len(fields)], fields=fields)
            at += len(fields)
        return pa.Table.from_arrays([plain[field.name] for field in self._schema], schema=self._schema)

    def _late_columns(self, lates: Sequence[Late | None]) -> list[list[Value]]:
        """Return how answers are late, if the log keeps that."""
        if len(self._plain) == len(_PLAIN):
            return []
        return [[late and late.how for late in lates], [late and late.read_us for late in lates]]

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


def row_bytes(answer: Answer) -> int:
    """Return about how many bytes an answer takes, raw or as a row."""
    text = sum(len(value) for value in answer[1].values() if isinstance(value, str | bytes))
    return text + len(answer[2] or "") + len(b"".join(filter(None, answer[3])))
