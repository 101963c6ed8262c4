"""Online answers as messages.

Names and types of a view's features travel once, on a card; an answer names the card by its hash. Values come in the
card's order, statuses as their first letters, event times and commits once for each look-up and group.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import pyarrow as pa

from asof.online.port import version_of
from asof.serving.late import How, Late
from asof.serving.online import Vector, Vectors
from asof.serving.plan import Plan
from asof.wire.values import tagged

ONLINE_PATH = "/v1/remote/online"

NO_TIME = -(2**63)
"""An event time of no row, or of a static group's."""

_NO_HEAD = bytes(8)

LETTERS, TIMES = "__statuses", "__event_times"
"""Columns of an answer to many keys: a letter for each feature, a time (int64, microseconds) for each look-up."""


class Card(msgspec.Struct, dict=True, frozen=True):
    """How a view answers.

    Attributes:
        ref: The view's version.
        groups: Its group versions, in the order of an answer's commits.
        lookups: The look-up that each feature comes from; the number of look-ups for one that is made on demand.
        schema: Names and types of the features, as an Arrow schema.
        width: See `Receipt.width`.
        digest: Hash of the above.
    """

    ref: str
    groups: list[str]
    lookups: list[int]
    schema: bytes
    width: int | None
    digest: str

    @cached_property
    def types(self) -> pa.Schema:
        """Names and types of the features."""
        return pa.ipc.read_schema(pa.py_buffer(self.schema))

    @cached_property
    def names(self) -> list[str]:
        """Names of the features."""
        return list(self.types.names)


class LateAnswer(msgspec.Struct, array_like=True):
    """What one answer of several does not share with the others: where it is from, if the online store was slow.

    Attributes:
        how: See `Late.how`; None: it is not late.
        read_us: See `Late.read_us`.
        commits: The applied commit of each group; empty if it was made from no rows.
    """

    how: How | None
    read_us: int | None
    commits: list[int]

    @property
    def late(self) -> Late | None:
        """How it is late."""
        return None if self.how is None else Late(self.how, self.read_us)


class Answer(msgspec.Struct, array_like=True):
    """What the answers of one snapshot share.

    Attributes:
        digest: The card.
        clock_us: T.
        commits: The applied commit of each group.
        applying: See `Receipt.applying`.
        card: The card, if the client has it not.
        lates: Where each answer is from, if one of them is late; else empty.
    """

    digest: str
    clock_us: int
    commits: list[int]
    applying: bool
    card: Card | None = None
    lates: list[LateAnswer] = []


class One(msgspec.Struct, array_like=True):
    """The answer to one key set.

    Attributes:
        answer: What it was made from.
        values: The value of each feature.
        letters: The status of each feature; "" if each is PRESENT, or NULL where its value is.
        times: The event time of each look-up's row.
    """

    answer: Answer
    values: list[Any]
    letters: str
    times: list[int]


class Many(msgspec.Struct, array_like=True):
    """The answers to several key sets.

    Attributes:
        answer: What they were made from.
        rows: A table of `Cards.many`, as an Arrow stream.
    """

    answer: Answer
    rows: bytes


class Cards:
    """The cards of compiled plans."""

    def __init__(self) -> None:
        """Have none."""
        self._made: WeakKeyDictionary[Plan, tuple[Card, bool]] = WeakKeyDictionary()

    def of(self, plan: Plan) -> tuple[Card, bool]:
        """Return the card of a plan, and whether msgpack says its values as they are."""
        known = self._made.get(plan)
        if known is None:
            known = self._made[plan] = _card(plan)
        return known

    def one(self, vector: Vector, *, has: str) -> One:
        """Return one answer as a message.

        Args:
            vector: The answer.
            has: The card that the client has.
        """
        plan = vector.plan
        card, plain = self.of(plan)
        values = list(vector.values.values())
        statuses = "".join([status[0] for status in vector.statuses.values()])
        letters = statuses if any(letter not in "PN" for letter in statuses) else ""
        times = [
            NO_TIME if row is None or step.static else version_of(row)[0]
            for step, row in zip(plan.steps, vector.rows, strict=True)
        ]
        if plan.on_demand is not None:
            times.append(NO_TIME)
        shared = _shared(vector, card, has)
        if vector.late is not None:
            shared.lates = [_late(vector)]
        return One(shared, values if plain else tagged(values), letters, times)

    def many(self, vectors: Vectors, *, has: str) -> tuple[Answer, pa.Table]:
        """Return answers as a message, and as a table with their values, statuses and event times."""
        card, _ = self.of(vectors.plan)
        arrays, letters = vectors.columns()
        times = _times(vectors)
        columns = [*arrays, _cells(letters), _cells(times)]
        table = pa.table(columns, names=[*card.names, LETTERS, TIMES])
        if not len(vectors):  # then nobody asks what it was made from
            return Answer(card.digest, 0, [0] * len(card.groups), False, card), table  # noqa: FBT003 - a struct
        shared = _shared(vectors[0], card, has)
        if any(vectors.lates):
            shared.lates = list(map(_late, vectors))
        return shared, table


def cells(column: pa.ChunkedArray, kind: type[np.generic], width: int) -> np.ndarray:
    """Return a matrix that `Cards.many` put into a column."""
    raw = b"".join(column.to_pylist())
    return np.frombuffer(raw, kind).reshape(len(column), width)


def _times(vectors: Vectors) -> np.ndarray:
    """Return the event time of each look-up's row, in a matrix of (answers, look-ups)."""
    # A stored row begins with its event time plus 2^63, so zeros in place of a row are NO_TIME.
    heads = b"".join([_NO_HEAD if row is None else row[:8] for rows in vectors.rows for row in rows])
    steps = vectors.plan.steps
    times = (np.frombuffer(heads, ">u8").astype(np.uint64) ^ np.uint64(1 << 63)).view(np.int64)
    times = times.reshape(len(vectors), len(steps))
    times[:, [step.static for step in steps]] = NO_TIME
    return times if vectors.plan.on_demand is None else np.insert(times, len(steps), NO_TIME, axis=1)


def _cells(matrix: np.ndarray) -> pa.Array:
    rows, width = matrix.shape
    size = width * matrix.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), rows, [None, pa.py_buffer(matrix.tobytes())])


def _shared(vector: Vector, card: Card, has: str) -> Answer:
    receipt = vector.receipt
    commits = list(receipt.commits.values())
    return Answer(card.digest, receipt.clock_us, commits, receipt.applying, None if card.digest == has else card)


def _late(vector: Vector) -> LateAnswer:
    late, commits = vector.late, list(vector.receipt.commits.values())
    return LateAnswer(None, None, commits) if late is None else LateAnswer(late.how, late.read_us, commits)


def _card(plan: Plan) -> tuple[Card, bool]:
    place = {name: at for at, step in enumerate(plan.steps) for name in step.shown}
    groups = [ref for ref, _ in plan.groups]
    lookups = [place.get(name, len(plan.steps)) for name in plan.names]  # behind them all: made on demand, at no time
    schema = plan.schema.serialize().to_pybytes()
    said = msgspec.msgpack.encode([plan.ref, groups, lookups, schema, plan.width])
    digest = hashlib.sha256(said).hexdigest()[:16]
    return Card(plan.ref, groups, lookups, schema, plan.width, digest), not _odd(list(plan.schema.types))


def _odd(types: Sequence[pa.DataType]) -> bool:
    """Return whether some values need a tag."""
    return any(
        pa.types.is_date(each)
        or pa.types.is_decimal(each)
        or (pa.types.is_nested(each) and _odd([each.field(at).type for at in range(each.num_fields)]))
        for each in types
    )
