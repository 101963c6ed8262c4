"""Online answers that came over the wire: the same objects, made when they are asked for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from asof.clock import from_us
from asof.definitions.serving_log import STATUS_LETTERS
from asof.records import Status
from asof.serving.columns import Letters
from asof.serving.late import Late
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Receipt
from asof.wire.online import LETTERS, NO_TIME, TIMES, Answer, Card, cells

Keys = Mapping[str, Any]


class RemoteVector(Vector):
    """One online answer of a server; see `Vector`."""

    __slots__ = ("_answer", "_card", "_commits", "_letters", "_times")

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, on the hot path
        self,
        card: Card,
        answer: Answer,
        keys: Keys,
        request: Keys | None,
        values: Sequence[Any],
        letters: str,
        times: Sequence[int],
        place: int = 0,
    ) -> None:
        """Keep what came; `place` says which of the answers it is."""
        own = answer.lates[place] if answer.lates else None
        self._late = None if own is None else own.late
        self._commits = answer.commits if own is None else own.commits
        self._card = card
        self._answer = answer
        self._keys = keys
        self._request = request
        self._letters = letters
        self._times = times
        self._values = dict(zip(card.names, values, strict=True))
        self._statuses: dict[str, Status] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """See `Vector.values`."""
        return {} if self._values is None else self._values

    @property
    def statuses(self) -> dict[str, Status]:
        """See `Vector.statuses`."""
        if self._statuses is None:
            values = self.values
            if self._letters:
                every = zip(values, self._letters, strict=True)
                self._statuses = {name: STATUS_LETTERS[letter] for name, letter in every}
            else:
                self._statuses = {name: "NULL" if value is None else "PRESENT" for name, value in values.items()}
        return self._statuses

    @property
    def event_times(self) -> dict[str, datetime | None]:
        """See `Vector.event_times`."""
        times = [None if each == NO_TIME else from_us(int(each)) for each in self._times]
        return {name: times[at] for name, at in zip(self._card.names, self._card.lookups, strict=True)}

    @property
    def schema(self) -> pa.Schema:
        """See `Vector.schema`."""
        return self._card.types

    @property
    def receipt(self) -> Receipt:
        """See `Vector.receipt`."""
        answer = self._answer
        return Receipt(
            view=self._card.ref,
            keys=dict(self._keys),
            request=None if self._request is None else dict(self._request),
            clock_us=answer.clock_us,
            commits=dict(zip(self._card.groups if self._commits else (), self._commits, strict=True)),
            applying=answer.applying,
            width=self._card.width,
            late=self._late,
        )


class RemoteVectors(Vectors):
    """Online answers of a server for several keys; see `Vectors`."""

    def __init__(
        self, card: Card, answer: Answer, every: Sequence[Keys], requests: Sequence[Keys | None], table: pa.Table
    ) -> None:
        """Keep what came."""
        self._card = card
        self._answer = answer
        self._every = every
        self._requests = requests
        self._table = table
        self._made = None

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - as `Vectors` types it
        """Return one answer, or some."""
        if not isinstance(index, slice):
            place: int = index
            return self._vectors()[place]
        places: Sequence[int] = range(len(self))[index]
        lates = self._answer.lates[index]
        some = RemoteVectors(
            self._card,
            msgspec.structs.replace(self._answer, lates=lates),
            self._every[index],
            self._requests[index],
            self._table.take(pa.array(places, pa.int64())),
        )
        some._made = self._vectors()[index]
        return some

    def __len__(self) -> int:
        """Return the number of answers."""
        return self._table.num_rows

    @property
    def lates(self) -> Sequence[Late | None]:
        """See `Vectors.lates`."""
        return [each.late for each in self._answer.lates]

    @property
    def schema(self) -> pa.Schema:
        """See `Vectors.schema`."""
        return self._card.types

    def columns(self) -> tuple[list[pa.Array], Letters]:
        """See `Vectors.columns`."""
        table = self._table.combine_chunks()
        arrays = [
            column.chunk(0) if column.num_chunks else pa.array([], column.type)
            for column in map(table.column, range(len(self.schema)))
        ]
        return arrays, cells(table.column(LETTERS), np.uint8, len(self.schema))

    def _vectors(self) -> list[Vector]:
        if self._made is None:
            _, letters = self.columns()
            times = cells(self._table.column(TIMES), np.int64, max(self._card.lookups) + 1)
            columns = [self._table.column(at).to_pylist() for at in range(len(self.schema))]
            rows = zip(self._every, self._requests, zip(*columns, strict=True), letters, times.tolist(), strict=True)
            self._made = [
                RemoteVector(self._card, self._answer, keys, own, values, row.tobytes().decode("ascii"), moments, at)
                for at, (keys, own, values, row, moments) in enumerate(rows)
            ]
        return self._made
