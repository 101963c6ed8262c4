"""Where Feast has the rows of a feature view from, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from asof.feast.files import columns_of
from asof.feast.model import Remarks
from asof.feast.names import is_name
from asof.feast.static import Made, Place, Unknown, Value, mapped

STREAMS = ("PushSource", "KafkaSource", "KinesisSource")
ASSUMED_TIME = "event_timestamp"


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows are.

    Attributes:
        place: Where that is said.
        event_time: Their column of event times.
        path: The files that hold them; None if none do.
        columns: The columns of the files, with their types; None if they are not at hand.
        renamed: The feature of a column that is called otherwise.
        written: Whether rows arrive by push or stream.
    """

    place: Place
    event_time: str
    path: Path | None
    columns: Mapping[str, str] | None
    renamed: Mapping[str, str]
    written: bool


def source_of(given: Value, view: Made, group: str, root: Path, remarks: Remarks) -> Source:
    """Return the source of a feature view."""
    if not isinstance(given, Made):
        said = f": {given.text}" if isinstance(given, Unknown) else ""
        remarks.add(view.place, f"{view.kind} {group}: its source is not understood{said}", "write its rows yourself")
        return Source(view.place, _time(view) or ASSUMED_TIME, None, None, {}, written=True)
    streamed = given.kind in STREAMS
    if streamed:
        _told(given, group, remarks)
    batch = given.get("batch_source", "batch") if streamed else given
    batch = batch if isinstance(batch, Made) else given
    path = None if batch.kind in STREAMS else _path(batch, group, root, remarks)
    columns = None if path is None else columns_of(path)
    if path is not None and not path.exists():
        remarks.add(batch.place, f"group {group}: there is no {path}", "its types were not looked at")
    event_time = _time(view) or _time(given) or _time(batch) or _only_time(columns)
    if not event_time:
        remarks.add(batch.place, f"group {group}: its event time is not said", f"{ASSUMED_TIME!r} is assumed")
    if batch.get("created_timestamp_column"):
        column = batch.get("created_timestamp_column")
        what = f"group {group}: {column!r} is left out, by which Feast takes the row made last of one key and time"
        todo = "asof refuses two that differ; if it says when a row arrived, it may be available_at= of the group"
        remarks.add(batch.place, what, todo)
    renamed = {old: str(new) for old, new in mapped(batch.get("field_mapping")).items()}
    return Source(batch.place, event_time or ASSUMED_TIME, path, columns, renamed, streamed)


def length_of(made: Made, group: str, remarks: Remarks) -> timedelta | None:
    """Return the ttl of a feature view; None for none, which Feast also says by 0."""
    ttl = made.get("ttl")
    if isinstance(ttl, timedelta):
        return ttl or None
    if ttl not in (None, 0):
        text = ttl.text if isinstance(ttl, Unknown) else repr(ttl)
        remarks.add(made.place, f"group {group}: ttl={text} is not understood", "declare ttl= yourself")
    return None


def _told(made: Made, group: str, remarks: Remarks) -> None:
    """Say how rows arrive now."""
    name = made.get("name", 0)
    if made.kind == "PushSource":
        todo = f"push to the group: store.push({group!r}, ...), or POST /push with push_source_name {group!r}"
        remarks.add(made.place, f"push source {name!r} is the group {group!r}", todo)
        return
    where = made.get("kafka_bootstrap_servers", "bootstrap_servers"), made.get("topic")
    if made.kind == "KafkaSource" and all(isinstance(each, str) for each in where):
        todo = f"asof stream run STORE {group} --from kafka://{where[0]}/{where[1]} (docs/streams.md)"
        remarks.add(made.place, f"group {group}: its rows come from Kafka", todo)
    else:
        remarks.add(
            made.place, f"group {group}: {made.kind} has no counterpart", "push its rows, or see docs/streams.md"
        )


def _time(made: Made) -> str:
    time = made.get("timestamp_field", "event_timestamp_column")
    return time if isinstance(time, str) else ""


def _only_time(columns: Mapping[str, str] | None) -> str:
    times = [name for name, dtype in (columns or {}).items() if dtype == "timestamp"]
    return times[0] if len(times) == 1 else ""


def _path(made: Made, group: str, root: Path, remarks: Remarks) -> Path | None:
    """Return the files of a source, if it is some that asof reads in place."""
    path = made.get("path", 0, "file_url")
    if made.kind != "FileSource" or not isinstance(path, str | Path):
        said = made.get("table", "table_ref", "query") if made.kind != "FileSource" else None
        if isinstance(path, Unknown):
            said = path.text
        text = f" ({' '.join(str(said).split())[:80]})" if isinstance(said, str) else ""
        todo = "load its rows by store.backfill, or declare an external group (docs/external.md)"
        remarks.add(made.place, f"group {group}: its rows are in a {made.kind}{text}, which is not read", todo)
        return None
    if "://" in str(path):
        remarks.add(
            made.place, f"group {group}: {path} is no path on this machine", "bring the files near, and load them"
        )
        return None
    kind = made.get("file_format")
    if isinstance(kind, Made) and kind.kind != "ParquetFormat":
        todo = 'load its rows by store.backfill; for training only, external="delta:..." reads a Delta table in place'
        remarks.add(made.place, f"group {group}: {kind.kind} is not read", todo)
        return None
    return root / path


def readable(columns: Sequence[str]) -> bool:
    """Return whether `Files` can name columns."""
    return all(map(is_name, columns))
