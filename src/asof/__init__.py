"""A feature store: features defined once, history with two clocks, training that equals serving.

Importing it is light: engines are loaded when a store opens.
"""

from typing import TYPE_CHECKING

from asof import errors
from asof.definitions import (
    SQL,
    Call,
    Check,
    Entity,
    Feature,
    FeatureGroup,
    FeatureView,
    Files,
    GroupSplit,
    OnDemand,
    RandomSplit,
    Request,
    TimeSplit,
    on_demand,
)
from asof.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from asof.client import AsyncStore
    from asof.store import Store

__all__ = [  # noqa: RUF022 - in the order of `sorted`
    "Call",
    "Check",
    "Entity",
    "Feature",
    "FeatureGroup",
    "FeatureView",
    "Files",
    "GroupSplit",
    "OnDemand",
    "Progress",
    "RandomSplit",
    "Request",
    "SQL",
    "TimeSplit",
    "errors",
    "on_demand",
    "open",
    "open_async",
]

__version__ = "0.1.0"


def open(  # noqa: A001, PLR0913 - pinned: `asof.open` reads like the builtin on purpose
    path: "str | Path",
    *,
    create: bool = True,
    clock: "Callable[[], datetime] | None" = None,
    repair: bool = False,
    progress: Progress | bool = False,
    key: str | None = None,
    timeout: float = 30.0,
) -> "Store":
    """Open a store.

    Args:
        path: A folder; or the URL of a server, "asof://host:port" ("asof+tls://" where its connections are encrypted).
        create: Make the store if the folder is empty or absent.
        clock: A callable that returns an aware datetime; default: the system's clock.
        repair: Look at every page of the online store; move a damaged one aside and build it again from history.
            What was wrong is told by `store.quality.doctor(repair=True)`.
        progress: True for a bar, or a callable that is told (done, total) of the groups whose online rows are caught
            up with history, or built again.
        key: The API key, for a server; default: the variable ASOF_KEY.
        timeout: Seconds to wait for an answer of a server; for tables and long work sixty times as long.

    Raises:
        NotFoundError: There is no store and `create` is False.
        UsageError: The folder holds other files, or a store that a newer version wrote.
        TransientError: The server does not answer. UnsupportedError: It speaks another version of the protocol.
    """
    if isinstance(path, str) and path.startswith(("asof://", "asof+tls://")):
        from asof.client import connect  # noqa: PLC0415 - the same

        return connect(path, clock=clock, repair=repair, key=key, timeout=timeout)
    from asof.store import Store  # noqa: PLC0415 - engines load only now

    return Store.open(path, create=create, clock=clock, repair=repair, progress=progress)


async def open_async(
    url: str,
    *,
    key: str | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - of each read
) -> "AsyncStore":
    """Open a server's store for asyncio: `await store.online(view, keys)`, many at a time over few connections.

    Args:
        url: "asof://host:port", or "asof+tls://host:port".
        key: The API key; default: the variable ASOF_KEY.
        timeout: Seconds to wait for an answer.

    Raises:
        UsageError: It is no such URL.
        TransientError: The server does not answer. UnsupportedError: It speaks another version of the protocol.
    """
    from asof.client import connect_async  # noqa: PLC0415 - engines load only now

    return await connect_async(url, key=key, timeout=timeout)
