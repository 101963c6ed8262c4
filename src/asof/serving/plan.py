"""A view, compiled for online reads: how to make its keys, fetch its rows, and read values from them.

Most answers are simple: every row is there and unexpired, and holds the columns that the group has now. For those all
rows are decoded at once, and the values are picked by position. Whatever is not simple is read row by row.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa

from asof.arrow.keys import key_encoder, only_encoder
from asof.arrow.rows import from_wire
from asof.arrow.types import arrow_type
from asof.definitions import FeatureView, Lookup
from asof.definitions.serving_log import derived_keys
from asof.derived import derived_of
from asof.derived.inputs import Given
from asof.errors import NotFoundError, UnsupportedError, UsageError
from asof.online.port import HEAD_BYTES, Applied, OnlineSnapshot, version_of
from asof.parts import Question
from asof.records import Status
from asof.registry.registered import RegisteredGroup
from asof.serving.made import MadeRows

Value = Any
"""A Python value of any of our types."""

Keys = Mapping[str, Value]

RawRow = bytes | None

_SHORT_ARRAY = 16
"""msgpack writes shorter arrays with a header of one byte."""

_NOTHING: Given = {}

_decode = msgspec.msgpack.Decoder().decode


class Step:
    """One look-up of a plan: how to make its key and read its row."""

    def __init__(self, lookup: Lookup, group: RegisteredGroup) -> None:
        """Compile a look-up."""
        self.group_id = group.id
        self.ttl_us = lookup.group.ttl_us
        self.static = lookup.group.static
        self.sources = lookup.sources
        self.plain = all(isinstance(source, str) for source in lookup.sources)
        self.width = len(group.layout)
        self.key_types = tuple(arrow_type(t) for t in lookup.group.entity.keys.values())
        self.where = f"group {lookup.group.name}"
        self.encode = key_encoder(self.key_types, [str(s) for s in lookup.sources], where=self.where)
        place = {name: at for at, name in enumerate(group.layout)}
        read = {
            feature.name: (place[feature.name], from_wire(arrow_type(feature.dtype))) for feature, _ in lookup.outputs
        }
        self.key_places = read
        self.outputs = [(name, *read[feature.name]) for feature, name in lookup.outputs if name]
        self.shown = tuple(name for _, name in lookup.shown)
        self.float_row_bytes = _float_row_bytes(group)
        wanted = list(dict.fromkeys(feature for feature, _ in lookup.outputs))
        self.made = None if group.source is None else MadeRows(group, wanted)

    def row_key(self, key: bytes) -> bytes:
        """Return the key under which the row of an encoded key lies."""
        return key if self.made is None else self.made.key(key)

    def status(self, row: RawRow, t_us: int) -> Status:
        """Return the status of a raw row at T; PRESENT if its values count."""
        if row is None:
            return "MISSING"
        if len(row) == HEAD_BYTES:
            return "RETIRED"
        if self.ttl_us is not None and version_of(row)[0] <= t_us - self.ttl_us:
            return "EXPIRED"
        return "PRESENT"


class Plan:
    """A view, compiled for online reads."""

    def __init__(self, question: Question) -> None:
        """Compile the look-ups.

        Raises:
            UnsupportedError: A group of the view is not online.
        """
        for group in question.groups.values():
            if group.definition.external is not None:
                raise UnsupportedError(
                    f"group {group.definition.name!r} is external, and not served online",
                    where=question.ref,
                    todo="load its rows into a group with online=True",
                )
            if not group.definition.online:
                raise UnsupportedError(
                    f"group {group.definition.name!r} is not online",
                    where=question.ref,
                    todo="declare online=True and apply it",
                )
        self.ref = question.ref
        self.view = question.view
        self.log = question.view.log
        self.budget_us = question.view.budget_us
        self._derived = [s for s, _ in derived_keys(question.view).values() if not isinstance(s, str)]
        self.width = next((len(g.layout) for g in question.groups.values() if g.ref == question.ref), None)
        self.groups = tuple((group.ref, group.id) for group in question.groups.values())
        self.group_ids = tuple({group.id for group in question.groups.values()})
        self.steps = [Step(each, question.groups[each.group.name]) for each in question.view.lookups()]
        self.chained = any(not step.plain for step in self.steps)
        self._made = [step.made for step in self.steps if step.made is not None]
        self.columns = tuple(question.view.spine_keys)
        self.schema = pa.schema(
            [
                pa.field(name, arrow_type(ref.feature.dtype))
                for name, ref in zip(question.view.output_names(), question.view.features, strict=True)
            ]
        )
        self.names = tuple(self.schema.names)
        self.on_demand = derived_of(question.view, question.ref)
        read = {name: f for each in question.view.lookups() for f, name in each.outputs if name}
        self.read = tuple(read) if self.on_demand else self.names
        self.looked_up = looked_up(question.view)
        self._shape = repr([(step.group_id, step.sources) for step in self.steps])
        self.types = {name: arrow_type(feature.dtype) for name, feature in read.items()}
        self._column_set: AbstractSet[str] = frozenset(self.columns)
        self._encoders, self._requests = _requests(self.steps)
        self._expiring = [(at, step.ttl_us) for at, step in enumerate(self.steps) if step.ttl_us is not None]
        self._widths = [step.width for step in self.steps]
        self._array_head = _array_head(len(self.steps))
        self._pick, self._converters = _picks(self.steps, self.read)

    def check_all(self, every: Sequence[Keys]) -> None:
        """Refuse keys of which some are not those of the view."""
        columns = self._column_set
        for keys in every:
            if keys.keys() != columns:
                self.check(keys)

    def check(self, keys: Keys) -> None:
        """Refuse keys that are not those of the view."""
        if keys.keys() == self._column_set:
            return
        for name in self.columns:
            if name not in keys:
                raise UsageError(f"key {name!r} is missing", where=self.ref, todo=f"pass {', '.join(self.columns)}")
        for name in keys:
            if name not in self._column_set:
                raise NotFoundError.named("key", name, self.columns, where=self.ref)

    def asked(self, keys: Keys) -> Hashable:
        """Return what is asked for, by which rows that were read before are found: the same keys, the same look-ups."""
        encoded = [encode(keys) for encode in self._encoders]
        rest = [repr(keys[name]) for name in self.columns] if self.chained else ()  # some may be in no plain look-up
        return (self.ref, self._shape, *encoded, *rest)

    def clock_us(self, applied: Mapping[int, Applied], now_us: int) -> int:
        """Return the T of an answer: now, or the newest applied commit of its groups, whichever is later."""
        for group_id in self.group_ids:
            mark = applied.get(group_id)
            if mark is not None and mark.committed_at_us > now_us:
                now_us = mark.committed_at_us
        return now_us

    def fetch(self, snapshot: OnlineSnapshot, keys: Keys, now_us: int) -> list[RawRow]:
        """Return the raw rows of one key set, one a look-up."""
        encoded = [encode(keys) for encode in self._encoders]
        if self.chained or self._made or None in encoded:
            return self._fetch_some(snapshot, [keys], [encoded], now_us)[0]
        return snapshot.get([(group, encoded[at]) for group, at in self._requests])  # type: ignore[misc] - no key is None here

    def fetch_many(self, snapshot: OnlineSnapshot, every: Sequence[Keys], now_us: int) -> Sequence[Sequence[RawRow]]:
        """Return the raw rows of each key set, in one round trip; keys that come from answers need further ones."""
        encoded = [[encode(keys) for keys in every] for encode in self._encoders]
        if self.chained or self._made or any(None in keys for keys in encoded):
            return self._fetch_some(snapshot, every, list(zip(*encoded, strict=True)), now_us)
        found = snapshot.get_many([(group, encoded[at]) for group, at in self._requests])  # type: ignore[misc] - no key is None here
        return list(zip(*found, strict=True))

    def _fetch_some(
        self, snapshot: OnlineSnapshot, every: Sequence[Keys], encoded: Sequence[Sequence[RawRow]], now_us: int
    ) -> list[list[RawRow]]:
        """Fetch where keys are null, or come from the answers of earlier look-ups."""
        rows: list[list[RawRow]] = [[None] * len(self.steps) for _ in every]
        plain = [number for number, step in enumerate(self.steps) if step.plain]
        keys_of = {
            (at, number): key
            for at, keys in enumerate(encoded)
            for number, (_, place) in zip(plain, self._requests, strict=True)
            if (key := keys[place]) is not None
        }
        self._fetch_into(rows, snapshot, keys_of, now_us)
        t_us = self.clock_us(snapshot.applied, now_us)
        for number, step in enumerate(self.steps):
            if not step.plain:
                keys_of = {
                    (at, number): key
                    for at, keys in enumerate(every)
                    if (key := self._made_key(step, keys, rows[at], t_us)) is not None
                }
                self._fetch_into(rows, snapshot, keys_of, now_us)
        return rows

    def _fetch_into(
        self,
        rows: Sequence[list[RawRow]],
        snapshot: OnlineSnapshot,
        keys_of: Mapping[tuple[int, int], bytes],
        now_us: int,
    ) -> None:
        """Fetch the rows of (answer, look-up) and put them in their places; those that are made are made now."""
        marks = [made.mark for made in self._made]
        asked = [(self.steps[n].group_id, self.steps[n].row_key(key)) for (_, n), key in keys_of.items()]
        found = snapshot.get([*marks, *asked])
        for each, mark in zip(self._made, found[: len(marks)], strict=True):
            each.check(mark)
        t_us = self.clock_us(snapshot.applied, now_us)
        for ((at, number), key), row in zip(keys_of.items(), found[len(marks) :], strict=True):
            made = self.steps[number].made
            rows[at][number] = row if made is None else made.row(snapshot, key, row, t_us)

    def _made_key(self, step: Step, keys: Keys, rows: Sequence[RawRow], t_us: int) -> RawRow:
        values = [
            keys[source] if isinstance(source, str) else self._answer(source, rows, t_us) for source in step.sources
        ]
        return None if None in values else step.encode(values)

    def _answer(self, source: tuple[int, str], rows: Sequence[RawRow], t_us: int) -> Value:
        """Return another look-up's value as a key; None unless it is PRESENT."""
        step, row = self.steps[source[0]], rows[source[0]]
        if row is None or step.status(row, t_us) != "PRESENT":
            return None
        place, convert = step.key_places[source[1]]
        values = _decode(row[HEAD_BYTES:])
        value = values[place] if place < len(values) else None
        return value if value is None or convert is None else convert(value)

    def derived(self, rows: Sequence[RawRow], t_us: int) -> list[Value]:
        """Return the keys that came from answers, in the order of `derived_keys`."""
        return [self._answer(source, rows, t_us) for source in self._derived]

    def given(self, keys: Keys, request: Keys | None) -> Given:
        """Return what a request brings for the features that are made on demand.

        Raises:
            UsageError: It lacks an input, or one is of another type.
        """
        return _NOTHING if self.on_demand is None else self.on_demand.inputs.read(keys, request)

    def values(self, rows: Sequence[RawRow], t_us: int, given: Given) -> tuple[list[Value], bool]:
        """Return the value of each feature, in the order of `names`, and whether all rows are PRESENT.

        Raises:
            DataError: The function of an on-demand feature failed.
        """
        picked = self._picked(rows, t_us)
        whole = picked is not None
        if picked is None:
            picked = self._picked_by_row(rows, t_us)
        if self.on_demand is None:
            return picked, whole
        values = dict(zip(self.read, picked, strict=True))
        self.on_demand.one(values, given)
        return [values[name] for name in self.names], whole

    def _picked(self, rows: Sequence[RawRow], t_us: int) -> list[Value] | None:
        """Return the value of each column that is read; None if a row is not PRESENT, or has not the columns of now."""
        decoded = self._decoded(rows, t_us)
        if decoded is None:
            return None
        values = list(chain.from_iterable(decoded))
        if self._pick is not None:
            values = list(self._pick(values))
        for place, convert in self._converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        return values

    def _decoded(self, rows: Sequence[RawRow], t_us: int) -> list[list[Value]] | None:
        """Return the values of each row; None if one is not PRESENT, or has not the columns that its group has now."""
        try:
            payloads: list[bytes] = [row[HEAD_BYTES:] for row in rows]  # type: ignore[index] - see below
        except TypeError:  # a row is None: looking at each first takes longer than all the rest
            return None
        if b"" in payloads:
            return None
        for at, ttl_us in self._expiring:
            if version_of(rows[at])[0] <= t_us - ttl_us:  # type: ignore[arg-type] - no row is None here
                return None
        decoded: list[list[Value]] = _decode(self._array_head + b"".join(payloads))
        return decoded if list(map(len, decoded)) == self._widths else None

    def _picked_by_row(self, rows: Sequence[RawRow], t_us: int) -> list[Value]:
        values: dict[str, Value] = dict.fromkeys(self.read)
        for step, row in zip(self.steps, rows, strict=True):
            if row is None or step.status(row, t_us) != "PRESENT":
                continue
            decoded = _decode(row[HEAD_BYTES:])
            for name, place, convert in step.outputs:
                value = decoded[place] if place < len(decoded) else None
                values[name] = value if convert is None or value is None else convert(value)
        return list(values.values())

    def statuses(self, rows: Sequence[RawRow], t_us: int, values: Mapping[str, Value]) -> dict[str, Status]:
        """Return the status of each feature, given the values."""
        found: dict[str, Status] = {name: "NULL" if values[name] is None else "PRESENT" for name in self.names}
        for step, row in zip(self.steps, rows, strict=True):
            status = step.status(row, t_us)
            if status != "PRESENT":
                found.update(dict.fromkeys(step.shown, status))
        return found


def looked_up(view: FeatureView) -> AbstractSet[str]:
    """Return the output names of the features that need a look-up; others are made of a request alone."""
    found = {name for each in view.lookups() for _, name in each.outputs if name}
    for each in view.derivations():
        if found.intersection(each.inputs):
            found.add(each.name)
    return found.intersection(view.output_names())


def _requests(steps: Sequence[Step]) -> tuple[list[Callable[[Keys], RawRow]], list[tuple[int, int]]]:
    """Return how to make each distinct key, and for each plain look-up (group, which key): groups share entities."""
    distinct: dict[tuple[Any, ...], int] = {}
    encoders: list[Callable[[Keys], RawRow]] = []
    requests: list[tuple[int, int]] = []
    for step in steps:
        if not step.plain:
            continue
        made_of = (step.sources, tuple(str(arrow) for arrow in step.key_types))
        if made_of not in distinct:
            distinct[made_of] = len(encoders)
            encoders.append(_encoder(step))
        requests.append((step.group_id, distinct[made_of]))
    return encoders, requests


def _encoder(step: Step) -> Callable[[Keys], RawRow]:
    names = [str(source) for source in step.sources]
    if len(names) == 1:
        return _only_encoder(names[0], step)
    encode = step.encode

    def encoded(keys: Keys) -> RawRow:
        values = [keys[name] for name in names]
        return None if None in values else encode(values)

    return encoded


def _only_encoder(name: str, step: Step) -> Callable[[Keys], RawRow]:
    encode = only_encoder(step.key_types[0], name, where=step.where)

    def encoded(keys: Keys) -> RawRow:
        value = keys[name]
        return None if value is None else encode(value)

    return encoded


def _picks(
    steps: Sequence[Step], names: Sequence[str]
) -> tuple[Callable[[list[Value]], Sequence[Value]] | None, list[tuple[int, Callable[[Value], Value]]]]:
    """Return what picks the named values out of those of all rows, and the conversions of those that need one.

    None in place of what picks: the values of all rows are those that are named, in their order.
    """
    places: dict[str, int] = {}
    converters: list[tuple[int, Callable[[Value], Value]]] = []
    place_of = {name: at for at, name in enumerate(names)}
    start = 0
    for step in steps:
        for name, place, convert in step.outputs:
            places[name] = start + place
            if convert is not None:
                converters.append((place_of[name], convert))
        start += step.width
    order = [places[name] for name in names]
    if order == list(range(start)):
        return None, converters
    if len(order) == 1:  # itemgetter gives a single value bare
        return lambda flat: (flat[order[0]],), converters
    return itemgetter(*order), converters


def decode_payloads(rows: Sequence[RawRow]) -> list[list[Value]]:
    """Return the values of rows that are neither missing nor retired."""
    return _decode(_array_head(len(rows)) + b"".join([row[HEAD_BYTES:] for row in rows]))  # type: ignore[index] - none is None


def _float_row_bytes(group: RegisteredGroup) -> int:
    """Return the size of a row without nulls, if all of them are floats; else 0."""
    types = {feature.name: feature.dtype.name for feature in group.definition.features}
    width = len(group.layout)
    if not width or not all(types.get(name, "") in ("float32", "float64") for name in group.layout):
        return 0
    return HEAD_BYTES + (1 if width < _SHORT_ARRAY else 3) + 9 * width


def _array_head(count: int) -> bytes:
    """Return the msgpack header of an array."""
    return bytes([0x90 | count]) if count < _SHORT_ARRAY else b"\xdd" + count.to_bytes(4, "big")
