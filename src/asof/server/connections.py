"""Requests whose heads have no end: uvicorn's parser would keep them in memory for as long as they come.

And connections that have no end: a server that stops answers once more, and clients that ask all the time come back
after a while, perhaps to another worker. Else all load would stay with those that were there first.

And heads of answers that go alone: uvicorn sends the head, and then the body, which takes both sides twice the time.
"""

import asyncio
import random
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asof.server.leaving import State, leave

MOST_SECONDS = 60.0
"""Of a connection, give or take a half, so that they do not come back together."""

MOST_BYTES = 65_536
"""Of a head, give or take what is read at once; others take 8 to 64 kB."""


HELD_BYTES = 4096
"""What is no longer is held until there is more to be sent: heads of answers are."""


class Joined:
    """A transport that sends the head of an answer with its body, if that comes before anything else is done."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Hold nothing."""
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's own
        """Return what the transport has."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send what is held, and this; or hold this for a moment."""
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.writelines([held, data])
        elif len(data) <= HELD_BYTES:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held)


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 with heads and connections that end."""

    _within = False
    _bytes = 0
    _until = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to count its time."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))
        self._until = self.loop.time() + MOST_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._within = True
        self._bytes = 0

    def on_headers_complete(self) -> None:
        """Stop to count."""
        self._within = False
        super().on_headers_complete()
        if self.loop.time() > self._until or (isinstance(self.server_state, State) and self.server_state.leaving):
            leave(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and refuse what is too much head."""
        super().data_received(data)
        if self._within:
            self._bytes += len(data)
            if self._bytes > MOST_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")
