"""Files by links that whoever has them may follow: fetched over HTTP in pieces, from whoever keeps them.

Nothing of ours is sent but the link, and no message has more of it than what the caller calls the file.
"""

import http.client
import os
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import urlsplit

from asof.client.retries import LateError, tried
from asof.errors import PermanentError, TransientError

CONNECTIONS = 8
PIECE_BYTES = 8 * 1024**2
"""Bytes of a request; each connection holds so many in memory."""

CONNECT_SECONDS = 3.0
"""A storage that this machine cannot reach must not cost more: rows are streamed then."""

PARTIAL, FORBIDDEN, GONE, BUSY, BROKEN = 206, 403, 404, 429, 500

Connections = list[http.client.HTTPConnection]


class Fetcher:
    """Fetches files. Threads share its connections.

    Args:
        seconds: How long to wait for bytes.
        tls: Whether only encrypted connections are good enough.
    """

    def __init__(self, *, seconds: float, tls: bool) -> None:
        """Have no connection yet."""
        self._seconds = seconds
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._free: dict[tuple[str, str], Connections] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(CONNECTIONS, "asof-fetch")

    def fetch(self, link: Callable[[], str], size_bytes: int, to: Path, *, where: str) -> None:
        """Write the bytes of a file to a place.

        Args:
            link: Gives a link that holds, for each piece.
            size_bytes: The file's size.
            to: The place.
            where: What messages call the file.

        Raises:
            TransientError, PermanentError: They did not come.
        """
        with to.open("wb") as file:

            def piece(start: int) -> None:
                length = min(PIECE_BYTES, size_bytes - start)
                os.pwrite(file.fileno(), tried(lambda: self._piece(link(), start, length, where), again=True), start)

            tasks = [self._pool.submit(piece, start) for start in range(0, size_bytes, PIECE_BYTES)]
            try:
                for task in tasks:
                    task.result()
            finally:  # none may write once the file is closed
                for task in tasks:
                    task.cancel()
                wait(tasks)

    def close(self) -> None:
        """Hang up."""
        self._pool.shutdown(cancel_futures=True)
        for connections in self._free.values():
            for connection in connections:
                connection.close()
        self._free.clear()

    def _piece(self, link: str, start: int, length: int, where: str) -> bytes:
        try:
            parts = urlsplit(link)
        except ValueError:
            raise PermanentError("the server gave no link", where=where) from None  # the error would show it
        if parts.scheme not in ("https", *(() if self._tls else ("http",))):
            raise PermanentError("the storage is not asked in clear, where the server is not", where=where)
        free = self._connections(parts.scheme, parts.netloc)
        try:
            connection = free.pop()
        except IndexError:
            connection = self._connected(parts.scheme, parts.netloc, where)
        try:
            asked = {"Range": f"bytes={start}-{start + length - 1}"}
            connection.request("GET", f"{parts.path}?{parts.query}", headers=asked)
            answer = connection.getresponse()
            content = answer.read() if answer.status == PARTIAL else answer.read(PIECE_BYTES)
        except TimeoutError as error:
            connection.close()
            raise LateError(f"the storage gave no bytes within {self._seconds:g} s", where=where) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise TransientError(f"the storage hung up: {type(error).__name__}", where=where) from error
        except BaseException:  # an interrupt: the rest of the answer would be taken for the next one
            connection.close()
            raise
        if answer.isclosed() and not answer.will_close:
            free.append(connection)
        else:
            connection.close()
        if answer.status == PARTIAL and len(content) == length:
            return content
        raise _refusal(answer.status, where)

    def _connections(self, scheme: str, host: str) -> Connections:
        with self._lock:
            return self._free.setdefault((scheme, host), [])

    def _connected(self, scheme: str, host: str, where: str) -> http.client.HTTPConnection:
        try:
            if scheme == "http":
                connection = http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
            else:
                self._context = self._context or ssl.create_default_context()
                connection = http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=self._context)
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            raise PermanentError(f"the storage cannot be reached: {type(error).__name__}", where=where) from error
        if connection.sock is not None:
            connection.sock.settimeout(self._seconds)
        return connection


def _refusal(status: int, where: str) -> TransientError | PermanentError:
    if status in (PARTIAL, BUSY) or status >= BROKEN:
        return TransientError(f"the storage is busy: HTTP status {status}", where=where)
    why = {FORBIDDEN: "the storage refused the link", GONE: "the file is gone"}
    return PermanentError(f"{why.get(status, 'the storage did not give it')}: HTTP status {status}", where=where)
