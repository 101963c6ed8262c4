"""Whether a client reads the files of history itself, and what it needs for that."""

import logging

from asof.errors import BackendError
from asof.training.frame import HistoricalFrame
from asof.training.streamed import ScannedFrame
from asof.wire.direct import SentRead, sent_read

LINK_SECONDS = 900
"""How long a link holds: a client asks for new ones before, and a right that was taken away ends with it."""

log = logging.getLogger("asof.server")


def direct_read(frame: HistoricalFrame, least_bytes: int | None) -> SentRead | None:
    """Return what is needed to read a frame's files elsewhere; None if its rows are to be streamed.

    Files are fetched whole. So they are not if they are small, or if most features are not wanted.

    Args:
        frame: The frame, of `Store.read`; whoever asked for it has the right to all that is in its group's files.
        least_bytes: Size from which on it is worth it; None: never.
    """
    source = frame.source if isinstance(frame, ScannedFrame) else None
    if source is None or least_bytes is None or source.read.rows.outside is not None:
        return None
    read, files = source.read, source.read.files()
    wanted = len({*read.columns} & {*read.rows.layout})
    if 2 * wanted < len(read.rows.layout) or sum(file.size_bytes for file in files) < max(least_bytes, 1):
        return None
    try:
        links = source.history.links(files, seconds=LINK_SECONDS)
    except BackendError as error:
        log.warning("no links are given, rows are streamed: %s", error)
        return None
    return sent_read(read, links, seconds=LINK_SECONDS) if links else None
