"""What a client needs to read stored rows itself: the read as a message, and links to the files that it needs.

It is built anew on the other side by the same code that reads in a folder, so the answer is the same.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping

import msgspec
import pyarrow as pa

from asof.engine.port import Known, Rows
from asof.engine.reads import StoredRead
from asof.errors import UnsupportedError, UsageError
from asof.records import SEMANTICS, DataFile, Stamp
from asof.wire.tables import from_bytes, to_bytes
from asof.wire.values import pack, record, unpack

FORM = 1
"""Raised with every change of what a file is, or of how rows are read from files: who knows another one streams."""


class SentFile(msgspec.Struct):
    """A file, and the stamp of its rows; see `Rows.files`."""

    file: DataFile
    stamp: Stamp | None


class SentRows(msgspec.Struct):
    """A `Rows`, but for what is the same in its sources; the journal is an Arrow stream."""

    pin: int
    files: list[SentFile]
    retracted: dict[int, int | None]
    journal: bytes | None = None
    sources: "SentRows | None" = None


class SentRead(msgspec.Struct):
    """A `StoredRead` that whoever gets it answers himself.

    Attributes:
        form: `FORM`, and the version of the rules.
        schema: `Rows.schema`, as an Arrow stream without rows.
        links: Where each file that is needed can be fetched, by its path; a link is as good as the right to read.
        seconds: How long the links hold.
    """

    form: tuple[int, int]
    schema: bytes
    keys: tuple[str, ...]
    event_time: str | None
    delay_us: int
    layout: tuple[str, ...]
    cold: tuple[str, ...]
    rows: SentRows
    columns: tuple[str, ...]
    after_us: int | None
    until_us: int | None
    known: Known
    latest: bool
    clocks: bool
    links: dict[str, str]
    seconds: int

    def __repr__(self) -> str:
        """Return what it is, without the links."""
        return f"<SentRead of {len(self.rows.files)} files>"


def sent_read(read: StoredRead, links: Mapping[str, str], *, seconds: int) -> SentRead:
    """Return a read as a message."""
    rows = read.rows
    return SentRead(
        form=(FORM, SEMANTICS), schema=to_bytes(rows.schema.empty_table()), keys=rows.keys, event_time=rows.event_time,
        delay_us=rows.delay_us, layout=rows.layout, cold=rows.cold, rows=_sent(rows), columns=read.columns,
        after_us=read.after_us, until_us=read.until_us, known=read.known, latest=read.latest, clocks=read.clocks,
        links=dict(links), seconds=seconds,
    )  # fmt: skip


def packed_read(sent: SentRead) -> str:
    """Return a message as text, which a schema's metadata can hold."""
    return b64encode(pack(sent)).decode()


def unpacked_read(text: object) -> SentRead:
    """Return the message of a text.

    Raises:
        UsageError: It is none.
    """
    try:
        return record(SentRead, unpack(b64decode(str(text), validate=True)))
    except ValueError as error:
        raise UsageError(f"this is no read: {error}") from error


def read_of(sent: SentRead) -> StoredRead:
    """Return the read of a message; where its files are is not known yet.

    Raises:
        UnsupportedError: The server reads files in another way.
    """
    if sent.form != (FORM, SEMANTICS):
        raise UnsupportedError(f"the server reads files as {sent.form}, this client as {(FORM, SEMANTICS)}")
    rows = _rows(sent, from_bytes(sent.schema).schema, sent.rows)
    return StoredRead(rows, sent.columns, sent.after_us, sent.until_us, sent.known, sent.latest, sent.clocks)


def _sent(rows: Rows) -> SentRows:
    return SentRows(
        pin=rows.pin,
        files=[SentFile(file, stamp) for _, file, stamp in rows.files],
        retracted=dict(rows.retracted),
        journal=None if rows.journal is None else to_bytes(rows.journal),
        sources=None if rows.sources is None else _sent(rows.sources),
    )


def _rows(sent: SentRead, schema: pa.Schema, rows: SentRows) -> Rows:
    return Rows(
        schema=schema,
        keys=sent.keys,
        event_time=sent.event_time,
        delay_us=sent.delay_us,
        pin=rows.pin,
        layout=sent.layout,
        files=tuple((each.file.path, each.file, each.stamp) for each in rows.files),
        journal=None if rows.journal is None else from_bytes(rows.journal),
        retracted=rows.retracted,
        sources=None if rows.sources is None else _rows(sent, schema, rows.sources),
        cold=sent.cold,
    )
