"""Feast's HTTP API over a store: for its own client (`online_store: type: remote`), and services that speak it.

Its words in ours: a feature view is a group, or a view; a feature service is a view; a push source is a group;
NULL_VALUE is NULL, OUTSIDE_MAX_AGE is EXPIRED, and NOT_FOUND is MISSING or RETIRED. What is STALE is PRESENT, or
NULL_VALUE where it is null; UNAVAILABLE is INVALID, as Feast calls what has no status. What Feast's form has no room
for is left out: receipts, and parts of a second in features that are timestamps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import pyarrow as pa
from msgspec import Struct

from asof.arrow.json_values import Convert, Value, read_row, write_column, writer
from asof.definitions import FeatureGroup
from asof.errors import UsageError
from asof.records import Commit, Status
from asof.registry.registered import RegisteredView
from asof.server.names import Names
from asof.server.problems import RequestError
from asof.serving.online import Vector, Vectors
from asof.store import Store

STATUSES: Mapping[Status, str] = {
    "PRESENT": "PRESENT",
    "NULL": "NULL_VALUE",
    "MISSING": "NOT_FOUND",
    "EXPIRED": "OUTSIDE_MAX_AGE",
    "RETIRED": "NOT_FOUND",
    "STALE": "PRESENT",
    "UNAVAILABLE": "INVALID",
}

EVENT_TIME = "event_timestamp"
"""What Feast's client calls every group's event time when it writes."""

CREATED = ("created", "created_timestamp")
"""Columns that Feast adds to rows; ours are stamped by the store."""

NEVER = "1970-01-01T00:00:00Z"


class FeastRead(Struct):
    """Which newest values are wanted.

    Attributes:
        entities: Key columns with their values, one for each answer.
        features: "group:feature", or "view:feature".
        feature_service: A view, in place of features.
        full_feature_names: Name features "group__feature".
    """

    entities: dict[str, list[Any]]
    features: list[str] = []
    feature_service: str | None = None
    full_feature_names: bool = False


class FeastNames(Struct):
    """The names of the columns of an answer: keys, then features."""

    feature_names: list[str]


class FeastColumn(Struct):
    """A column of an answer."""

    values: list[Any]
    statuses: list[str]
    event_timestamps: list[str]


class FeastAnswer(Struct):
    """The newest values, by column."""

    metadata: FeastNames
    results: list[FeastColumn]


class FeastPush(Struct):
    """Rows that arrive now, by column.

    Attributes:
        push_source_name: The group.
        df: Columns; times as ISO text, in UTC if they name no zone, or as seconds.
        to: Ignored: a row is always in history, and served if its group is online.
    """

    push_source_name: str
    df: dict[str, list[Any]]
    to: str = "online"


class FeastWrite(Struct):
    """Rows that Feast's client materializes, by column; as FeastPush."""

    feature_view_name: str
    df: dict[str, list[Any]]


class Feast:
    """Feast's verbs over a store. Safe to call from several threads.

    Args:
        store: The store that is served.
        most_rows: Key sets, or records, of one request.
        count: Told of each online answer, with the name under which it was asked for.
    """

    def __init__(self, store: Store, *, most_rows: int, count: Callable[[str, Vector | Vectors], None]) -> None:
        """Know no names yet."""
        self._store = store
        self._names = Names(store)
        self._most_rows = most_rows
        self._count = count

    def waits(self, asked: FeastRead) -> bool:
        """Return whether `read` waits for another process."""
        known = self._names
        return any(
            self._store.waits(source) or known.found.fresh(source) is None or known.keys.fresh(source) is None
            for source in sources_of(asked)
        )

    def read(self, asked: FeastRead) -> FeastAnswer:
        """Return the newest values."""
        self._bound(asked.entities)
        columns = {
            name: FeastColumn(values, ["PRESENT"] * len(values), [NEVER] * len(values))
            for name, values in asked.entities.items()
        }
        for source, wanted in self._wanted(asked).items():
            vectors = self._vectors(source, self._keys(source, asked.entities))
            for feature, column in zip(wanted, _columns(vectors, wanted), strict=True):
                name = f"{source.partition('@')[0]}__{feature}" if asked.full_feature_names else feature
                if name in columns:
                    title = f"{name!r} is asked for twice"
                    raise RequestError(400, title, todo="full_feature_names keeps features of one name apart")
                columns[name] = column
        return FeastAnswer(FeastNames(list(columns)), list(columns.values()))

    def push(self, group: str, df: Mapping[str, Sequence[Value]]) -> Commit:
        """Store rows that arrive now."""
        self._bound(df)
        definition = self._group(group)
        columns = dict(df)
        if definition.event_time not in columns and definition.event_time is not None and EVENT_TIME in columns:
            columns[definition.event_time] = columns.pop(EVENT_TIME)
        types = definition.types
        for name in CREATED:
            if name not in types:
                columns.pop(name, None)
        times = [name for name, dtype in types.items() if dtype.name == "timestamp" and name in columns]
        for name in times:
            columns[name] = [_time(value, f"{name} of {group}") for value in columns[name]]
        readers = {name: convert for name, convert in self._names.records(group).items() if name not in times}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return self._store.push(group, [read_row(row, readers, where=f"group {group}") for row in rows])

    def _vectors(self, source: str, keys: Sequence[Mapping[str, Value]]) -> Sequence[Vector]:
        if len(keys) == 1:  # takes less than a list of one
            vector = self._store.online(source, keys[0])
            self._count(source, vector)
            return [vector]
        vectors = self._store.online(source, keys)
        self._count(source, vectors)
        return vectors

    def _group(self, name: str) -> FeatureGroup:
        found = self._names.found(name)
        if isinstance(found, RegisteredView):
            title = f"{name} is a view: only groups hold rows"
            raise RequestError(400, title, todo=f"push to {', '.join(sorted(found.groups))}")
        return found.definition

    def _wanted(self, asked: FeastRead) -> dict[str, list[str]]:
        """Return the features that are wanted, by view or group, in the order of the request."""
        if asked.feature_service is not None:
            found = self._names.found(asked.feature_service)
            if not isinstance(found, RegisteredView):
                title = f"{asked.feature_service} is a group, no view"
                raise RequestError(400, title, todo=f'ask for its features: "{asked.feature_service}:..."')
            return {asked.feature_service: list(found.definition.output_names())}
        wanted: dict[str, list[str]] = {}
        for reference in asked.features:
            source, colon, feature = reference.rpartition(":")
            if not colon:
                raise RequestError(400, f"{reference!r} names no group", todo='write "group:feature"')
            wanted.setdefault(source, []).append(feature)
        return wanted

    def _keys(self, source: str, entities: Mapping[str, Sequence[Value]]) -> list[Mapping[str, Value]]:
        """Return the key sets of a view or group: the columns that it knows."""
        found = self._names.found(source)
        types = found.definition.spine_keys if isinstance(found, RegisteredView) else found.definition.entity.keys
        missing = [name for name in types if name not in entities]
        if missing:
            raise RequestError(400, f"entities lack {', '.join(missing)}, a key of {source}")
        readers, columns = self._names.keys(source), [entities[name] for name in types]
        rows = (dict(zip(types, row, strict=True)) for row in zip(*columns, strict=True))
        return [read_row(row, readers, where=f"keys of {source}") for row in rows]

    def _bound(self, columns: Mapping[str, Sequence[Value]]) -> None:
        counts = {len(values) for values in columns.values()}
        if len(counts) > 1:
            raise RequestError(400, f"the columns have {min(counts)} to {max(counts)} values: they want as many each")
        if any(count > self._most_rows for count in counts):
            title = f"{max(counts):,} rows are more than the {self._most_rows:,} of one request"
            raise RequestError(413, title, todo="send them in parts")


def sources_of(asked: FeastRead) -> list[str]:
    """Return the names of the views and groups that a request asks for."""
    if asked.feature_service is not None:
        return [asked.feature_service]
    return list(dict.fromkeys(reference.rpartition(":")[0] for reference in asked.features if ":" in reference))


def key_sets(asked: FeastRead) -> int:
    """Return how many key sets a request reads: its rows, once for each view or group."""
    return len(next(iter(asked.entities.values()), ())) * len(sources_of(asked))


def _columns(vectors: Sequence[Vector], features: Sequence[str]) -> Iterator[FeastColumn]:
    schema = vectors.schema if isinstance(vectors, Vectors) else vectors[0].schema
    answers = [(vector.values, vector.statuses, vector.event_times) for vector in vectors]
    for feature in features:
        if feature not in schema.names:
            todo = f"there are {', '.join(schema.names)}"
            raise RequestError(404, f"there is no feature {feature!r}", todo=todo)
        convert = _writer(schema.field(feature).type)
        yield FeastColumn(
            write_column([values[feature] for values, _, _ in answers], convert),
            [_status(statuses[feature], values[feature]) for values, statuses, _ in answers],
            cast("list[str]", [times[feature] or NEVER for _, _, times in answers]),  # msgspec writes RFC 3339
        )


def _status(status: Status, value: Value) -> str:
    return "NULL_VALUE" if status == "STALE" and value is None else STATUSES[status]


@lru_cache(1024)
def _writer(dtype: pa.DataType) -> Convert | None:
    return (lambda value: int(value.timestamp())) if pa.types.is_timestamp(dtype) else writer(dtype)


def _time(value: Value, what: str) -> datetime | None:
    """Return a time that Feast wrote: naive ones are in UTC, numbers are seconds."""
    try:
        match value:
            case None:
                return None
            case str():
                time = datetime.fromisoformat(value)
                return time.replace(tzinfo=UTC) if time.tzinfo is None else time
            case int() | float():
                return datetime.fromtimestamp(value, UTC)
            case _:
                raise UsageError(f"{what} is {value!r}, no time")
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{what} is {value!r}, no time", todo="write ISO 8601 text, or seconds") from error
