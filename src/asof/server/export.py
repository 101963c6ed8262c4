"""Whole tables as an Arrow stream or a Parquet file, written while they are read: memory holds a batch or two."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from io import RawIOBase
from typing import Any, cast

import anyio
import pyarrow as pa
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asof.server.jobs import Job, Jobs

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
MEDIA_TYPES = (ARROW, PARQUET)

COMMITS = "asof-commits"
"""The header that names the last commit seen, such as "weather@1:17"."""


log = logging.getLogger("asof.server")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read when its batches are.

    Attributes:
        schema: Its columns.
        batches: Its rows.
        commits: The last commit seen of each group.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    commits: Mapping[str, int]


def wanted(accept: str) -> str | None:
    """Return the first of our media types that a header Accept names; None if it names none."""
    asked = (each.partition(";")[0].strip().lower() for each in accept.split(","))
    return next((each for each in asked if each in MEDIA_TYPES), None)


class Streamed(Response):
    """A table, sent as fast as it is taken.

    A client that takes nothing for a while is cut off. So is one whose table fails: what it got has no end.

    Args:
        parts: The bytes of the table, in parts.
        first: The first of them, which is there already.
        job: What reads; ended when all is sent.
        seconds: How long one part may take.
        media_type: What it is.
        headers: Further headers.
    """

    def __init__(
        self,
        parts: Generator[bytes],
        first: bytes | None,
        job: Job,
        *,
        seconds: float,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        """Keep what is needed to send."""
        super().__init__(None, media_type=media_type, headers=dict(headers))
        del self.headers["content-length"]
        self._parts = parts
        self._first = first
        self._job = job
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send it."""
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(self._stop_when_gone, receive, both.cancel_scope)
                await self._send(send)
                both.cancel_scope.cancel()
        except Exception:  # whatever it is: the answer has begun, and only its end can tell
            log.exception("a table was not sent to its end")
        finally:
            self._job.end()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part: bytes | None = self._first
        while part is not None:
            with anyio.fail_after(self._seconds):
                await send({"type": "http.response.body", "body": part, "more_body": True})
                part = await self._job.run(_next, self._parts)
        await send({"type": "http.response.body", "body": b""})

    async def _stop_when_gone(self, receive: Receive, sending: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()


async def streamed(jobs: Jobs, read: Callable[[], Table], media_type: str, *, seconds: float) -> Streamed:
    """Return a table as a response, when its first part is there.

    Args:
        jobs: Where the table is read.
        read: Gives the table.
        media_type: What is wanted.
        seconds: How long one part may take.

    Raises:
        TransientError: There are as many jobs as may be. AsofError: The table cannot be read.
    """
    job = jobs.begin()
    try:
        table = await job.run(read)
        parts = parts_of(table, media_type)
        first = await job.run(_next, parts)
    except BaseException:  # a cancelled request too: the job would be counted for ever
        job.end()
        raise
    headers = {COMMITS: ", ".join(f"{group}:{commit}" for group, commit in table.commits.items())}
    return Streamed(parts, first, job, seconds=seconds, media_type=media_type, headers=headers)


def parts_of(table: Table, media_type: str) -> Generator[bytes]:
    """Iterate over the bytes of a table."""
    sink = _Sink()
    with _writer(sink, table.schema, media_type) as writer:
        for batch in table.batches:
            writer.write_batch(batch)
            if sink.parts:
                yield sink.taken()
    yield sink.taken()


def _next(parts: Generator[bytes]) -> bytes | None:
    return next(parts, None)


def _writer(sink: "_Sink", schema: pa.Schema, media_type: str) -> Any:  # noqa: ANN401 - either of two of Arrow's
    if media_type == ARROW:
        return pa.ipc.new_stream(sink, schema)
    from pyarrow import parquet  # noqa: PLC0415 - 0.1 s, and only files need it

    return parquet.ParquetWriter(cast("Any", sink), schema, compression="zstd")


class _Sink(RawIOBase):
    """A file that holds what was written to it until it is taken."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        """Return whether it can be written to."""
        return True

    def write(self, part: Any) -> int:  # noqa: ANN401 - bytes, or a buffer of Arrow's
        """Keep something."""
        self.parts.append(bytes(part))
        return len(part)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        whole = b"".join(self.parts)
        self.parts.clear()
        return whole
