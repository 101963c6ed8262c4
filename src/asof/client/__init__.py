"""The same store over the wire: `asof.open("asof://host:port")`."""

from collections.abc import Callable
from datetime import datetime

from asof.client.address import address_of
from asof.client.aio import AsyncStore
from asof.client.store import RemoteStore
from asof.errors import UsageError

__all__ = ["AsyncStore", "RemoteStore", "connect", "connect_async"]


def connect(
    url: str, *, clock: Callable[[], datetime] | None, repair: bool, key: str | None, timeout: float
) -> RemoteStore:
    """Open the store that a server holds; see `asof.open`."""
    address = address_of(url, key=key, timeout=timeout)
    if clock is not None:
        raise UsageError("the clock of a remote store is its server's", todo="leave out clock=")
    if repair:
        raise UsageError("a remote store is repaired where it lies", todo="run `asof doctor --repair` there")
    store = RemoteStore(address)
    try:
        store.reach()
    except BaseException:  # an interrupt too: the connections would stay open
        store.close()
        raise
    return store


async def connect_async(url: str, *, key: str | None, timeout: float) -> AsyncStore:  # noqa: ASYNC109 - of each read
    """Open a server's store for asyncio; see `asof.open_async`."""
    store = AsyncStore(address_of(url, key=key, timeout=timeout))
    try:
        await store.reach()
    except BaseException:  # an interrupt too: the connections would stay open
        await store.close()
        raise
    return store
