"""Requests whose heads have no end: uvicorn's parser would keep them in memory for as long as they come."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 65_536
"""Of a head, give or take what is read at once; others take 8 to 64 kB."""


class BoundedHeads(HttpToolsProtocol):
    """HTTP/1.1 with heads that end."""

    _within = False
    _bytes = 0

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._within = True
        self._bytes = 0

    def on_headers_complete(self) -> None:
        """Stop to count."""
        self._within = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and refuse what is too much head."""
        super().data_received(data)
        if self._within:
            self._bytes += len(data)
            if self._bytes > MOST_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")
