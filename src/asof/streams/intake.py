"""From messages to rows that may be stored, and letters about those that may not: one bad row costs no good one."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, Literal

import pyarrow as pa

from asof.arrow.conform import check_future, conform
from asof.arrow.frames import Frame, to_table
from asof.arrow.layout import declared_schema
from asof.checks import Around, Checking, NoStore, refuse
from asof.errors import AsofError, DataError, UsageError
from asof.ingest.prepare import SKEW_US
from asof.records import Letter
from asof.registry.registered import RegisteredGroup
from asof.streams.formats import Decode
from asof.streams.port import Message

MOST_BODY_BYTES = 64 * 1024
"""A longer message is not kept in quarantine: the broker has it."""

MOST_REASON = 1000


Reason = Literal["empty", "undecodable", "schema", "future", "check"]
"""Why something goes to quarantine: a message without content, or that is none of its format; a row that has not the
columns and types of its group, that lies in the future, or that breaks a check."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """What became of messages.

    Attributes:
        rows: The rows, in the columns and types of their group.
        letters: The messages and rows that may not be stored, with the reason.
        reasons: The kind of reason of each letter.
    """

    rows: pa.Table
    letters: tuple[Letter, ...]
    reasons: tuple[Reason, ...]


class Intake:
    """Sorts the messages of one stream for one group."""

    def __init__(
        self,
        stream: str,
        decode: Decode,
        *,
        ignore_extra: bool = False,
        around: Callable[[RegisteredGroup], Around] | None = None,
    ) -> None:
        """Keep what was said.

        Args:
            stream: The stream's name, for the letters.
            decode: Makes rows of a message.
            ignore_extra: Leave out columns that nobody declared, instead of refusing them.
            around: Gives what checks may ask of the store; None: there is none.
        """
        self._stream = stream
        self._decode = decode
        self._ignore_extra = ignore_extra
        self._around = around or _nothing

    def sort(self, messages: Sequence[Message], group: RegisteredGroup, *, now_us: int) -> Sorted:
        """Return the rows of messages that keep the group's rules, in order, and letters about the others."""
        letters: list[tuple[Letter, Reason]] = []
        tables: list[pa.Table] = []
        for kind, piece in groupby(self._decoded(messages, letters), lambda each: each.kind):
            parts = list(piece)
            whole: list[Any] | pa.Table
            whole = pa.concat_tables([e.rows for e in parts]) if kind else [row for e in parts for row in e.rows]
            ends = list(accumulate(len(e.rows) for e in parts))
            for found in self._fitting(whole, group, now_us):
                if isinstance(found, pa.Table):
                    tables.append(found)
                else:
                    part = parts[bisect_right(ends, found[0])]
                    row = found[0] - ends[bisect_right(ends, found[0])] + len(part.rows)
                    _, error, reason = found
                    letters.append((self._letter(part.message, error, row if len(part.rows) > 1 else None), reason))
        schema = declared_schema(group.definition)
        kept, reasons = zip(*letters, strict=True) if letters else ((), ())
        return Sorted(pa.concat_tables([schema.empty_table(), *tables]), kept, reasons)

    def _decoded(self, messages: Sequence[Message], letters: list[tuple[Letter, Reason]]) -> "Iterator[_Decoded]":
        for message in messages:
            if message.value is None:
                letters.append((self._letter(message, "the message has no content"), "empty"))
                continue
            try:
                rows = self._decode(message.value)
            except AsofError as error:
                letters.append((self._letter(message, str(error)), "undecodable"))
            except Exception as error:  # noqa: BLE001 - libraries raise anything for bytes that are no message of theirs
                letters.append((self._letter(message, f"{type(error).__name__}: {error}"), "undecodable"))
            else:
                yield _Decoded(message, rows, rows.schema if isinstance(rows, pa.Table) else None)

    def _fitting(
        self, rows: Frame, group: RegisteredGroup, now_us: int
    ) -> Iterator[pa.Table | tuple[int, str, Reason]]:
        """Give the rows that fit, in order, and the numbers of the others with the reason and its kind: by halves."""
        spans = [(0, len(rows))]
        while spans:
            start, end = spans.pop()
            try:
                yield self._fit(
                    rows[start:end] if isinstance(rows, list) else rows.slice(start, end - start), group, now_us
                )
            except (DataError, UsageError) as error:
                if end - start == 1:
                    yield start, str(error), _reason(error)
                else:
                    middle = (start + end) // 2
                    spans += [(middle, end), (start, middle)]

    def _fit(self, rows: Frame, group: RegisteredGroup, now_us: int) -> pa.Table:
        """Return rows in the columns and types of a group.

        Raises:
            DataError: They break a rule.
        """
        definition = group.definition
        where = f"group {definition.name}"
        table, _ = to_table(rows, where=where)
        schema = declared_schema(definition)
        if self._ignore_extra:
            table = table.select([name for name in table.column_names if name in schema.names])
        for field in schema:
            if field.nullable and field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        fitting = conform(table, definition)
        if definition.event_time is not None:
            check_future(fitting.column(definition.event_time), now_us + SKEW_US, where)
        if definition.on_violation == "strict":  # in the mode "quarantine" the push puts them aside
            checks = Checking(definition, self._around(group), now_us=now_us, whole=False)
            checks.add(fitting)
            refuse(checks.report(), where)
        return fitting

    def _letter(self, message: Message, reason: str, row: int | None = None) -> Letter:
        body = message.value or b""
        return Letter(
            self._stream,
            message.partition,
            message.place,
            reason.encode(errors="replace").decode().replace("\x00", "")[:MOST_REASON],
            row=row,
            body=body if len(body) <= MOST_BODY_BYTES else b"",
        )


def _nothing(group: RegisteredGroup) -> Around:
    """Return no store."""
    del group
    return NoStore()


def _reason(error: AsofError) -> Reason:
    """Return the kind of reason of a row that does not fit."""
    return "check" if "violations" in error.data else "future" if "limit_us" in error.data else "schema"


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The rows of a message, and their schema if they are a table."""

    message: Message
    rows: Any
    kind: pa.Schema | None
