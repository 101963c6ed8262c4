"""A web server that stops without hanging up on anybody who is just asking.

uvicorn closes connections that are idle at once, and a request that is on its way over one of them is lost. Here the
next answer says `Connection: close` first; and connections that were accepted a moment ago do not outlast the others.
"""

import asyncio
import atexit
import gc
import socket

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

GOODBYE_SECONDS = 0.5
"""How long a connection may stay idle before it is closed: clients that ask all the time ask within a tenth of it."""

LOOK_SECONDS = 0.05


class State(ServerState):
    """What connections know of their server.

    Attributes:
        leaving: Whether each answer is the last one of its connection.
    """

    leaving = False


class LeavingServer(uvicorn.Server):
    """uvicorn's server, but for how it stops."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Serve nothing yet."""
        super().__init__(config)
        self.state = State()
        self.server_state = self.state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and leave what is there by now out of garbage collection: looking at it would stop all answers."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        atexit.register(gc.unfreeze)  # else what is freed last is called a leak by DuckDB

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let each connection have its last answer, and stop."""
        for server in self.servers:
            server.close()
        self.state.leaving = True
        for connection in self.state.connections:
            leave(connection)
        for _ in range(round(GOODBYE_SECONDS / LOOK_SECONDS)):
            if self.state.connections and not self.force_exit:
                await asyncio.sleep(LOOK_SECONDS)
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        """Close what is idle: also connections that were accepted already, and known only later."""
        while True:
            for connection in list(self.state.connections):
                connection.shutdown()
            await asyncio.sleep(LOOK_SECONDS)


def leave(connection: object) -> None:
    """Let the answer that is under way be the connection's last one."""
    if isinstance(connection, HttpToolsProtocol) and connection.cycle is not None:  # pyright: ignore[reportUnnecessaryComparison] - before the first request
        connection.cycle.keep_alive = False
