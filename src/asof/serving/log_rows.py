"""Online answers as rows of a serving log. Values are decoded from the raw rows that were served, and not before."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from secrets import token_hex
from typing import Any

import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.definitions.serving_log import log_group
from asof.online.port import Applied
from asof.records import SEMANTICS
from asof.serving.plan import Plan, RawRow, Value

Answer = tuple[Plan, Mapping[str, Value], str | None, list[RawRow], Mapping[int, Applied], int]
"""What the reader hands over: plan, keys, request as JSON, raw rows, applied commits, T. Nothing is decoded yet."""

_NOTHING = Applied()


class LogRows:
    """Makes rows of the answers of one plan."""

    def __init__(self, plan: Plan) -> None:
        """Compile the columns."""
        self._plan = plan
        self.group = log_group(plan.view)
        self._schema = declared_schema(self.group)
        # Answers are named by their T, and by who wrote them: a repeated write of a row names it the same.
        self._writer = token_hex(6)
        self._numbers = count()
        self._present = "P" * len(plan.names)
        self._applied: Mapping[int, Applied] = {}
        self._commits = self._commits_of({})

    def encode(self, answers: Sequence[Answer], breathe: Callable[[], None]) -> pa.RecordBatch:
        """Return answers as rows; `breathe` is called between short steps of work."""
        values: list[Sequence[Value]] = []
        statuses: list[str | None] = []
        commits: list[tuple[str, bool]] = []
        for _, _, _, rows, applied, t_us in answers:
            one, letters = self._answered(rows, t_us)
            values.append(one)
            statuses.append(letters)
            if applied is not self._applied:
                self._applied, self._commits = applied, self._commits_of(applied)
            commits.append(self._commits)
            breathe()
        keys = [[answer[1][name] for answer in answers] for name in self._plan.columns]
        columns = {
            "answer": [f"{answer[5]:016x}{self._writer}{next(self._numbers):08x}" for answer in answers],
            "clock": [answer[5] for answer in answers],
            "view": [self._plan.ref] * len(answers),
            "keys": self._struct("keys", keys, breathe),
            "values": self._struct("values", list(zip(*values, strict=True)), breathe),
            "statuses": [
                letters or "".join("N" if v is None else "P" for v in one)
                for letters, one in zip(statuses, values, strict=True)
            ],
            "commits": [text for text, _ in commits],
            "request": [answer[2] for answer in answers],
            "semantics": [SEMANTICS] * len(answers),
            "applying": [applying for _, applying in commits],
        }
        breathe()
        arrays = [c if isinstance(c := columns[f.name], pa.Array) else pa.array(c, f.type) for f in self._schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _answered(self, rows: Sequence[RawRow], t_us: int) -> tuple[Sequence[Value], str | None]:
        """Return the values, and a letter for each; None for the letters if a null alone makes the difference."""
        listed = self._plan.listed(rows, t_us)
        if listed is not None:
            return listed, None if None in listed else self._present
        values, _ = self._plan.values(rows, t_us)
        statuses = self._plan.statuses(rows, t_us, values)
        return tuple(values.values()), "".join([statuses[name][0] for name in values])

    def _commits_of(self, applied: Mapping[int, Applied]) -> tuple[str, bool]:
        marks = {ref: applied.get(group_id, _NOTHING) for ref, group_id in self._plan.groups}
        text = json.dumps({ref: mark.commit for ref, mark in marks.items()})
        return text, any(mark.applying for mark in marks.values())

    def _struct(self, name: str, columns: Sequence[Sequence[Value]], breathe: Callable[[], None]) -> pa.Array:
        fields = list(self._schema.field(name).type)
        children: list[Any] = []
        for field, column in zip(fields, columns, strict=True):
            children.append(pa.array(column, field.type))
            breathe()
        return pa.StructArray.from_arrays(children, fields=fields)


def row_bytes(answer: Answer) -> int:
    """Return about how many bytes an answer takes, raw or as a row."""
    text = sum(len(value) for value in answer[1].values() if isinstance(value, str | bytes))
    return text + len(answer[2] or "") + sum(len(row) for row in answer[3] if row is not None)
