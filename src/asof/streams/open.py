"""Open a broker's adapter by the scheme of its URL: the entry points of the group `asof.stream`."""

from importlib.metadata import entry_points
from typing import Any

from asof.errors import NotFoundError
from asof.streams.port import Resume, Start, Stream


def open_stream(url: str, *, group: str, resume: Resume, start: Start = "earliest") -> Stream:
    """Become a member of a group that reads a stream; see `asof.streams.port.Stream`.

    Raises:
        NotFoundError: No adapter has the URL's scheme; else as the adapter.
    """
    scheme = url.partition(":")[0]
    known = {point.name: point for point in entry_points(group="asof.stream")}
    if scheme not in known:
        raise NotFoundError.named("stream adapter", scheme, known)
    adapter: Any = known[scheme].load()
    stream: Stream = adapter(url, group=group, resume=resume, start=start)
    return stream
