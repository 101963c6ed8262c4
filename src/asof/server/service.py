"""The store's verbs as messages: what each request does, without HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast
from weakref import WeakKeyDictionary

import msgspec

from asof.arrow.json_values import Convert, RowWriter, Value, read_column, read_row, write_column
from asof.catalog.answers import PlanAnswer, plan_answer
from asof.clock import show_us
from asof.definitions import FeatureGroup, FeatureView
from asof.errors import AsofError
from asof.records import Commit
from asof.registry.registered import RegisteredView
from asof.server.definitions import Definitions, definitions_from
from asof.server.history import History, rows_of
from asof.server.messages import (
    NearestRequest,
    NearestRows,
    OnlineColumns,
    OnlineRequest,
    OnlineRow,
    OnlineRows,
    PushRequest,
    Row,
)
from asof.server.names import Names
from asof.server.problems import RequestError
from asof.serving.online import Vector, Vectors
from asof.serving.plan import Plan
from asof.store import Store
from asof.wire.online import Cards, Many, One
from asof.wire.requests import Online
from asof.wire.tables import to_bytes


class Service:
    """What the server does for a request. Safe to call from several threads.

    Args:
        store: The store that is served.
        most_rows: Key sets, or records, of one request.
        count: Told of each online answer, with the name under which it was asked for.

    Attributes:
        history: What it reads from history.
    """

    def __init__(self, store: Store, *, most_rows: int, count: Callable[[str, Vector | Vectors], None]) -> None:
        """Know no names yet."""
        self._store = store
        self._names = Names(store)
        self._most_rows = most_rows
        self._count = count
        self.history = History(store, self._names, most_rows=most_rows)
        self._cards = Cards()
        self._writers: WeakKeyDictionary[Plan, RowWriter] = WeakKeyDictionary()

    def waits(self, view: str) -> bool:
        """Return whether the next `online` of a view waits for another process."""
        return self._store.waits(view) or self._names.keys.fresh(view) is None

    def online(self, view: str, asked: OnlineRequest) -> OnlineRow | OnlineRows | OnlineColumns:
        """Return the newest values of one key set, or of several."""
        convert = self._names.keys(view)
        if isinstance(asked.keys, dict):
            if asked.orient == "columns":
                raise RequestError(400, "one key set has no columns", todo='pass a list of keys, or orient="rows"')
            if isinstance(asked.request, list):
                raise RequestError(400, "several requests for one key set", todo="pass one object, or a list of keys")
            vector = self._store.online(view, self._keys(asked.keys, convert, view), request=asked.request)
            self._count(view, vector)
            return self._row(vector, asked, self._writer_of(vector.plan))
        self._bound(asked.keys, "key sets")
        vectors = self._store.online(
            view, [self._keys(keys, convert, view) for keys in asked.keys], request=asked.request
        )
        self._count(view, vectors)
        writer = self._writer_of(vectors.plan)
        if asked.orient == "rows":
            return OnlineRows([self._row(vector, asked, writer) for vector in vectors])
        return _columns(vectors, asked, writer)

    def nearest(self, group: str, asked: NearestRequest) -> NearestRows:
        """Return the nearest rows of a group."""
        if asked.k > self._most_rows:
            raise RequestError(413, f"k={asked.k:,} is more than the {self._most_rows:,} rows of one answer")
        convert = self._names.records(group)
        sets = asked.where if isinstance(asked.where, list) else [asked.where or {}]
        where = [_conditions(each, convert, group) for each in sets]
        found = self._store.nearest(
            group, asked.feature, asked.vector, asked.k, metric=asked.metric, where=where, columns=asked.columns,
            exact=asked.exact,
        )  # fmt: skip
        return NearestRows(
            rows_of(found.to_arrow()), found.exact, found.recall, found.compared, found.applying,
            show_us(found.found.clock_us), found.commits,
        )  # fmt: skip

    def remote_online(self, asked: Online) -> One | Many:
        """Return the newest values of one key set, or of several, as the remote store takes them."""
        request = None if asked.request is None else msgspec.json.decode(asked.request)
        keys: dict[str, Value] | list[dict[str, Value]] = asked.keys
        if isinstance(keys, list):
            self._bound(keys, "key sets")
            vectors = self._store.online(asked.view, keys, request=request)
            self._count(str(asked.view), vectors)
            answer, table = self._cards.many(vectors, has=asked.card)
            return Many(answer, to_bytes(table))
        if not isinstance(keys, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - clients err
            raise RequestError(400, "these are no keys", todo="send a map, or a list of them")
        vector = self._store.online(asked.view, keys, request=request)
        self._count(str(asked.view), vector)
        return self._cards.one(vector, has=asked.card)

    def push(self, group: str, asked: PushRequest) -> Commit:
        """Store records that arrive now."""
        given = [asked.records] if isinstance(asked.records, dict) else asked.records
        self._bound(given, "records")
        try:
            return self._push(group, given, asked)
        except AsofError:
            convert = self._names.records(group)
            self._names.forget()
            if self._names.records(group).keys() == convert.keys():
                raise
            return self._push(group, given, asked)  # a feature was added meanwhile: its text may be a time

    def definitions(self, asked: Definitions) -> list[FeatureGroup | FeatureView]:
        """Return the definitions of a request."""
        return definitions_from(asked, self._registered, most=self._most_rows)

    def plan(self, definitions: Sequence[FeatureGroup | FeatureView]) -> PlanAnswer:
        """Return what `apply` would change."""
        return plan_answer(self._store.plan(*definitions))

    def apply(self, definitions: Sequence[FeatureGroup | FeatureView]) -> PlanAnswer:
        """Register definitions, all or none."""
        plan = self._store.apply(*definitions)
        self._names.forget()
        return plan_answer(plan)

    def _registered(self, name: str) -> FeatureGroup:
        found = self._store.catalog.find(name)
        if isinstance(found, RegisteredView):
            raise RequestError(400, f"{name} is a view", todo="name a group")
        return found.definition

    def _push(self, group: str, records: Sequence[Mapping[str, Value]], asked: PushRequest) -> Commit:
        convert = self._names.records(group)
        return self._store.push(
            group,
            [read_row(record, convert, where=f"group {group}") for record in records],
            meta=asked.meta,
            idempotency_key=asked.idempotency_key,
            on_conflict=asked.on_conflict,
        )

    def _bound(self, rows: Sequence[object], what: str) -> None:
        if len(rows) > self._most_rows:
            title = f"{len(rows):,} {what} are more than the {self._most_rows:,} of one request"
            raise RequestError(413, title, todo="send them in parts")

    def _keys(self, keys: Mapping[str, Value], convert: Mapping[str, Convert], view: str) -> Mapping[str, Value]:
        return read_row(keys, convert, where=f"keys of {view}")

    def _writer_of(self, plan: Plan) -> RowWriter:
        known = self._writers.get(plan)
        if known is None:
            known = self._writers[plan] = RowWriter(plan.schema)
        return known

    def _row(self, vector: Vector, asked: OnlineRequest, writer: RowWriter) -> OnlineRow:
        row = OnlineRow(values=cast("Row", writer.write(vector.listed)))
        if asked.statuses:
            row.statuses = vector.statuses
        if asked.event_times:
            row.event_times = cast("dict[str, str | None]", vector.event_times)  # msgspec writes RFC 3339
        if asked.receipt:
            row.receipt = vector.receipt.to_dict()
        return row


def _conditions(given: Mapping[str, Value], convert: Mapping[str, Convert], group: str) -> dict[str, Value]:
    """Return conditions with values of their types: one each, or a list."""
    where = f"where of group {group}"
    found: dict[str, Value] = {}
    for name, value in given.items():
        several = cast("list[Value] | None", value if isinstance(value, list) else None)
        if several is None:
            found |= read_row({name: value}, {n: c for n, c in convert.items() if n == name}, where=where)
        else:
            found[name] = read_column(name, several, convert[name], where) if name in convert else several
    return found


def _columns(vectors: Vectors, asked: OnlineRequest, writer: RowWriter) -> OnlineColumns:
    columns = {
        name: write_column(column.to_pylist(), writer.by_name.get(name))
        for name, column in zip(vectors.schema.names, vectors.to_arrow().columns, strict=True)
    }
    found = OnlineColumns(columns=columns)
    if asked.statuses:
        found.statuses = {name: [vector.statuses[name] for vector in vectors] for name in columns}
    if asked.event_times:
        times = {name: [vector.event_times[name] for vector in vectors] for name in columns}
        found.event_times = msgspec.to_builtins(times)
    if asked.receipt:
        found.receipts = [vector.receipt.to_dict() for vector in vectors]
    return found
