"""A proxy before a server, which cuts the wire: what was asked arrives or not, and no answer comes back."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal


class Proxy:
    """Stands between a store and its server on loopback.

    Attributes:
        port: Where it listens.
        cuts: How many connections are still to be cut, each at its next request.
        when: "asked": the request gets there, the answer is lost; "asking": half of the request gets there.
        only: Cut only at requests that end with these bytes; zeros after them do not count.
        skip: Let so many requests through first.
        cut: Called when a connection is cut.
        answered_bytes: How much the server answered.
    """

    def __init__(self, port: int) -> None:
        """Listen, for the server on a port."""
        self.cuts = 0
        self.when: Literal["asked", "asking"] = "asked"
        self.only = b""
        self.skip = 0
        self.cut: Callable[[], object] = lambda: None
        self.answered_bytes = 0
        self._free = threading.Event()
        self._free.set()
        self._port_behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._wires: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        self._free.set()
        self._listener.close()
        for wire in self._wires:
            _cut(wire)
            wire.close()

    def hold(self) -> None:
        """Hold back all answers, as a server that hangs does, until `let_go`."""
        self._free.clear()

    def let_go(self) -> None:
        """Let answers through again."""
        self._free.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                front, _ = self._listener.accept()
                self._wires.append(front)
                try:
                    back = socket.create_connection(("127.0.0.1", self._port_behind))
                except OSError:  # the server is down
                    _cut(front)
                    continue
                self._wires.append(back)
                threading.Thread(target=self._requests, args=(front, back), daemon=True).start()
                threading.Thread(target=self._answers, args=(front, back), daemon=True).start()

    def _requests(self, front: socket.socket, back: socket.socket) -> None:
        with suppress(OSError):
            while data := front.recv(1 << 16):
                if self._is_cut(data):
                    self.cut()
                    _cut(front)
                    back.sendall(data if self.when == "asked" else data[: len(data) // 2])
                    if self.when == "asked":
                        time.sleep(0.05)  # it is done there
                    break
                back.sendall(data)
        _cut(front, back)

    def _answers(self, front: socket.socket, back: socket.socket) -> None:
        with suppress(OSError):
            while data := back.recv(1 << 16):
                self._free.wait()
                self.answered_bytes += len(data)
                front.sendall(data)
        _cut(front, back)

    def _is_cut(self, data: bytes) -> bool:
        if not self.cuts or not data.rstrip(b"\0").endswith(self.only):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.cuts -= 1
        return True


def _cut(*wires: socket.socket) -> None:
    for wire in wires:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)
