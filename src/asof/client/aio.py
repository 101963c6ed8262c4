"""Online reads for asyncio services: many at a time over few connections."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self, overload

from asof.client.address import Address
from asof.client.http import READ_BYTES, BrokenConnectionError, Buffer
from asof.client.link import Link, answer_of, late, lost, unreached
from asof.client.reading import OnlineClient, is_small
from asof.client.retries import LateError, pauses
from asof.errors import TransientError
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Requests
from asof.wire.online import ONLINE_PATH

Keys = Mapping[str, Any]

CONNECTIONS = 8
"""As many answers are waited for at a time; further reads wait for one of them."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncStore:
    """Online reads of a server, for asyncio; open one with `asof.open_async`. For one event loop.

    Args:
        address: Where the server is.
        connections: How many to open at most.
    """

    def __init__(self, address: Address, *, connections: int = CONNECTIONS) -> None:
        """Keep the address; connections are made when they are needed."""
        self._address = address
        self._link = Link(address)
        self._client = OnlineClient(self._link)
        self._context = address.context()
        self._free: list[Stream] = []
        self._turn = asyncio.Semaphore(connections)

    async def reach(self) -> None:
        """Look whether the server is there, and speaks our protocol; see `RemoteStore.reach`."""
        await asyncio.to_thread(self._link.served)

    @overload
    async def online(self, view: str, keys: Keys, *, request: Keys | None = None) -> Vector: ...
    @overload
    async def online(self, view: str, keys: Sequence[Keys], *, request: Requests = None) -> Vectors: ...
    async def online(self, view: str, keys: Keys | Sequence[Keys], *, request: Requests = None) -> Vector | Vectors:
        """Return the newest values: one vector for one key set, or a sequence of them; see `Store.online`.

        More than a thousand key sets go over Flight, in a thread.
        """
        if not is_small(keys):
            return await asyncio.to_thread(self._client.read, view, keys, request)
        answer = await self._post(ONLINE_PATH, self._client.asked(view, keys, request))
        return self._client.answer(view, keys, request, answer)

    async def close(self) -> None:
        """Hang up; the server goes on. Closing twice is harmless."""
        self._link.close()
        for _, writer in self._free:
            writer.close()
        self._free.clear()

    async def __aenter__(self) -> Self:
        """Use the store in an `async with` block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.close()

    def __repr__(self) -> str:
        """Return the server's address."""
        return f"<asof.AsyncStore {self._address.url!r}>"

    async def _post(self, path: str, body: bytes) -> bytes:
        """Return the answer to a read, which may be asked again."""
        message = self._link.head("POST", path, body) + body
        for seconds in pauses():
            try:
                return await self._once(message)
            except LateError:
                raise
            except TransientError:
                await asyncio.sleep(seconds)
        return await self._once(message)

    async def _once(self, message: bytes) -> bytes:
        address = self._address
        async with self._turn:
            while True:
                kept = bool(self._free)
                try:
                    async with asyncio.timeout(address.seconds):
                        stream = self._free.pop() if kept else await self._opened()
                        status, answer = await self._asked(stream, message)
                except TimeoutError as error:
                    raise late(address, address.seconds) from error
                except BrokenConnectionError as error:
                    if not kept or error.answered:
                        raise lost(address, error) from error
                except ConnectionError as error:
                    if not kept:
                        raise unreached(address, error) from error
                except OSError as error:
                    raise unreached(address, error) from error
                else:
                    return answer_of(status, answer)

    async def _asked(self, stream: Stream, message: bytes) -> tuple[int, bytes]:
        reader, writer = stream
        buffer = Buffer()
        try:
            writer.write(message)
            while not buffer.feed(await reader.read(READ_BYTES)):
                pass
            status, answer, keeps = buffer.answer()
        except BaseException:  # also when nobody waits any more: the rest would be taken for the next answer
            writer.close()
            raise
        if keeps:
            self._free.append(stream)
        else:
            writer.close()
        return status, answer

    async def _opened(self) -> Stream:
        return await asyncio.open_connection(self._address.host, self._address.port, ssl=self._context)
