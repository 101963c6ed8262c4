"""Historical reads over the wire: the spine goes up, the answers come down and are put beside it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame, Origin, to_table
from asof.client.direct import Direct
from asof.client.link import Exchanged, Link
from asof.errors import UsageError, listening
from asof.progress import Progress, showing, unheard
from asof.serving.nearest.answer import Found, Neighbours
from asof.training.frame import HistoricalFrame
from asof.training.report import Comparison, Report
from asof.training.streamed import ScannedFrame, StreamedFrame
from asof.wire.reports import SentReport, report_of
from asof.wire.requests import Historical, Read
from asof.wire.tables import from_bytes, parts_of
from asof.wire.values import record


class _Result(msgspec.Struct):
    commits: dict[str, int]
    report: SentReport | None


def historical(
    link: Link, asked: Historical, spine: Frame, *, batch_rows: int | None, progress: Progress | bool
) -> HistoricalFrame:
    """Answer a spine; see `Store.historical`."""
    if batch_rows is not None and batch_rows < 1:
        raise UsageError(f"batch_rows={batch_rows!r} is no number of rows", todo="pass 1 or more")
    table, origin = to_table(spine, where="spine")
    text, every = f"reading {asked.view}", table.num_rows
    if batch_rows is None:
        with showing(text, progress=progress, unit="rows") as advance:
            answered, report, pins = _read(link, asked, table, advance)
        return HistoricalFrame(answered, origin, pins, report)
    found = _exchanged(link, msgspec.structs.replace(asked, dry=True), table)
    pins = record(_Result, found.result).commits
    pinned = msgspec.structs.replace(asked, commits=pins)

    def chunks() -> Iterator[tuple[pa.Table, Report]]:
        with showing(text, progress=progress, unit="rows") as advance:
            for at in range(0, max(every, 1), batch_rows):
                answered, report, _ = _read(link, pinned, table.slice(at, batch_rows), unheard)
                yield answered, report
                advance(min(at + batch_rows, every), every)

    return StreamedFrame(_beside(table.slice(0, 0), found.rows), every, chunks, origin, pins)


def stored(link: Link, direct: Direct, asked: Read) -> HistoricalFrame:
    """Return stored rows; see `Store.read`."""
    asked = msgspec.structs.replace(asked, direct=direct.ready)
    found = link.get("read", asked)
    pins = record(dict[str, int], found.result["commits"])
    table = found.rows
    if "direct" in found.result:
        reader = direct.reader(asked, found.result)
        again = msgspec.structs.replace(asked, commits=pins, direct=False)
        table = link.get("read", again).rows if reader is None else reader.read_all().replace_schema_metadata(None)
    return HistoricalFrame(table, Origin("arrow"), pins)


def scanned(link: Link, direct: Direct, asked: Read, batch_rows: int) -> HistoricalFrame:
    """Return stored rows that are fetched when they are asked for; see `Store.read`."""
    if batch_rows < 1:
        raise UsageError(f"batch_rows={batch_rows!r} is no number of rows", todo="pass 1 or more")
    asked = msgspec.structs.replace(asked, direct=direct.ready)
    schema, said, batches = link.stream("read", asked)
    del batches  # only how they begin was wanted
    direct.tidy(asked, said)
    pins = record(dict[str, int], said["commits"])
    pinned = msgspec.structs.replace(asked, commits=pins)

    def scan() -> pa.RecordBatchReader:
        wanted = msgspec.structs.replace(pinned, direct=direct.ready)
        _, said, batches = link.stream("read", wanted)
        if "direct" not in said:
            return pa.RecordBatchReader.from_batches(schema, batches)
        reader = direct.reader(wanted, said)
        streamed = pa.RecordBatchReader.from_batches
        return reader or streamed(schema, link.stream("read", msgspec.structs.replace(pinned, direct=False))[2])

    return ScannedFrame(schema.empty_table(), scan, batch_rows, pins)


class _Neighbours(msgspec.Struct):
    rows: bytes
    commits: dict[str, int]
    found: Found


def neighbours(told: object) -> Neighbours:
    """Return the answer of `nearest`."""
    answer = record(_Neighbours, told)
    return Neighbours(from_bytes(answer.rows), answer.commits, answer.found)


def _read(link: Link, asked: Historical, spine: pa.Table, advance: Progress) -> tuple[pa.Table, Report, dict[str, int]]:
    found = _exchanged(link, asked, spine, advance)
    result = record(_Result, found.result)

    def compare() -> Comparison:
        again = msgspec.structs.replace(asked, commits=result.commits, compare=True, explain=False)
        with listening(_ignore):  # what there is to say was said
            return record(Comparison, _exchanged(link, again, spine).result["comparison"])

    if result.report is None:
        raise UsageError("the answer has no report")
    return _beside(spine, found.rows), report_of(result.report, compare), result.commits


def _exchanged(link: Link, asked: Historical, spine: pa.Table, advance: Progress = unheard) -> Exchanged:
    return link.exchange("historical", asked, spine.schema, list(parts_of(spine.to_batches())), advance)


def _beside(spine: pa.Table, answers: pa.Table) -> pa.Table:
    columns: dict[str, Any] = dict(zip(spine.column_names, spine.columns, strict=True))
    columns |= dict(zip(answers.column_names, answers.columns, strict=True))
    return pa.table(list(columns.values()), names=list(columns))


def _ignore(_: str) -> None:
    """Hear a warning."""
