"""Training sets of a remote store: the spine goes up, the rows stay there, and are read as those of any group."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.streams import known_rows
from asof.catalog import Catalog
from asof.client.link import Link
from asof.definitions import Label
from asof.definitions.splits import Split, checked_split, split_document
from asof.errors import UsageError
from asof.progress import Progress, showing, unheard
from asof.registry.registered import RegisteredView
from asof.registry.training_sets import KeptSet
from asof.training.frame import HistoricalFrame
from asof.training.sets.asking import Asked, version_of
from asof.training.sets.manifest import Manifest
from asof.training.sets.recipe import sources_of
from asof.training.sets.repository import code_commit
from asof.training.sets.rows import Shape
from asof.training.sets.training_set import Rows
from asof.wire import requests
from asof.wire.tables import outgoing
from asof.wire.values import record

Read = Callable[..., HistoricalFrame]
"""`Store.read`."""


class KeptThere:
    """Reads training sets that a server keeps; see `asof.training.sets.training_set.Makes`.

    Args:
        link: The way to it.
        read: Reads stored rows.
    """

    def __init__(self, link: Link, read: Read) -> None:
        """Keep both."""
        self._link = link
        self._read = read

    def rows(self, kept: KeptSet, rows: int) -> Iterator[pa.Table]:
        """See `Makes.rows`."""
        manifest = Manifest.from_json(kept.manifest)
        shape = Shape.of(manifest)
        frame = self._read(kept.group, commits={kept.group: manifest.commit}, batch_rows=rows)
        return (shape.seen(batch) for batch in frame.batches(rows) if batch.num_rows)

    def rebuilt(self, kept: KeptSet) -> Rows:
        """See `Makes.rebuilt`: the server makes them again and compares; then they are those that are kept."""
        self._link.act("training_set.rebuild", requests.Named(name=kept.ref), long=True)
        return partial(self.rows, kept)

    def late(self, kept: KeptSet) -> Mapping[str, int]:
        """See `Makes.late`."""
        return record(dict[str, int], self._link.act("training_set.late", requests.Named(name=kept.ref), long=True))


def opened(link: Link, name: str) -> KeptSet:
    """Return a training set by its name."""
    return record(KeptSet, link.act("training_set.open", requests.Named(name=name)))


def made(link: Link, catalog: Catalog, asked: Asked, *, progress: Progress | bool) -> KeptSet:
    """Send a spine, and return the training set that it became; see `Store.training_set`."""
    split: Split | None = checked_split(asked.split)
    label = asked.label
    if label is not None and not isinstance(label, str | Label):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        todo = 'name a column of the spine, or pass group["feature"].after("12h")'
        raise UsageError(f"label={label!r} is no label", todo=todo)
    message = requests.TrainingSet(
        name=asked.name,
        view=asked.view,
        time=asked.time,
        split=split_document(split),
        label=_sent(catalog, asked.view, label) if isinstance(label, Label) else None,
        column=label if isinstance(label, str) else None,
        known=asked.known,
        commits=asked.commits,
        timezone=asked.timezone,
        truncate=asked.truncate,
        batch_rows=asked.batch_rows,
        code=code_commit() if asked.code is None else asked.code,
    )
    frame, where = asked.spine, "spine"
    again = not isinstance(frame, pa.RecordBatchReader) and not hasattr(frame, "__next__")
    schema, first = outgoing(frame, where=where)
    fresh: list[Iterator[pa.RecordBatch]] = [first]
    with showing(f"making {asked.name}", progress=progress, unit="rows") as advance:

        def batches() -> Iterator[pa.RecordBatch]:
            return _told(fresh.pop() if fresh else outgoing(frame, where=where)[1], frame, advance)

        kept = record(KeptSet, link.put("training_set", message, schema, batches, again=again))
        given = Manifest.from_json(kept.manifest).given
        advance(given, given)
        return kept


def _told(batches: Iterator[pa.RecordBatch], frame: Frame, advance: Progress) -> Iterator[pa.RecordBatch]:
    """Return batches as they are sent, and tell how many."""
    total = 0 if advance is unheard else known_rows(frame)
    sent = 0
    for batch in batches:
        yield batch
        sent += batch.num_rows
        advance(sent, max(sent, total))


def _sent(catalog: Catalog, view: str, label: Label) -> requests.SentLabel:
    """Return a label as a message: it names the version of its group."""
    found = catalog.find(view)
    read = found.groups if isinstance(found, RegisteredView) else {found.definition.name: found}
    ref = version_of(label.ref.group, read, catalog.groups())
    return requests.SentLabel(ref, label.ref.feature.name, sources_of(label.ref), label.horizon_us, label.name)
