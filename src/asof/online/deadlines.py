"""Reads of a server that end in time, whatever the server does.

The packages of the servers have time-outs of their own, for each packet, in whole seconds, or not for looking up names
and for encryption. So a read that must end in time never connects in its own thread, and its connection is cut when
the time has come, by one thread for all of them: that wakes up who waits at it.
"""

import heapq
import os
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import count

MOST_CONNECTING = 4
"""So many threads connect at once for reads that must end in time: where connecting hangs, more would hang too."""

IDLE_SECONDS = 1.0
"""So long the thread that cuts waits for more; starting one takes some 0.1 ms of a read."""


class OutOfTimeError(Exception):
    """The time of a read was used up before it had a connection."""


class Connecting:
    """Threads that connect for those who cannot wait until it is done.

    Args:
        connect: Makes a connection and keeps it for the next who takes one.
    """

    def __init__(self, connect: Callable[[], None]) -> None:
        """Start none yet."""
        self._connect = connect
        self._news = threading.Condition()
        self._running = 0
        self._done = 0
        self._failed: tuple[int, Exception] = 0, OutOfTimeError()

    def wait(self, until: float) -> None:
        """Start to connect, and return when somebody has connected.

        Raises:
            OutOfTimeError: Nobody has until then. Exception: What kept the next who tried from it.
        """
        with self._news:
            if self._running < MOST_CONNECTING:
                self._running += 1
                threading.Thread(target=self._run, name="asof-connecting", daemon=True).start()
            done = self._done
            if not self._news.wait_for(lambda: self._done > done, until - time.monotonic()):
                raise OutOfTimeError
            if self._failed[0] > done:
                raise self._failed[1]

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._connect()
        except Exception as caught:  # noqa: BLE001 - who waits for it knows what to do
            error = caught
        with self._news:
            self._running -= 1
            self._done += 1
            if error is not None:
                self._failed = self._done, error
            self._news.notify_all()


class Cut:
    """The means to cut a connection from another thread.

    It has a descriptor of its own: that of the connection may be closed meanwhile, and its number be another's.
    """

    def __init__(self, descriptor: int) -> None:
        """Make it."""
        self._wire = socket.socket(fileno=os.dup(descriptor))

    def __call__(self) -> None:
        """Cut the connection: who waits for an answer at it gets an error."""
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection; it is not cut."""
        self._wire.close()


class Deadlines:
    """Cuts connections when their time has come. Safe to use from several threads; its own is made when needed."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = _Watch()

    @contextmanager
    def cutting(self, cut: Callable[[], None], until: float | None) -> Generator[None]:
        """Call `cut` at a time of the monotonic clock if the block has not ended by then; None: never."""
        if until is None:
            yield
            return
        watch = self._watch
        if watch.process != os.getpid():  # after a fork the thread is the parent's
            watch = self._watch = _Watch()
        watched = watch.begin(cut, until)
        try:
            yield
        finally:
            watch.end(watched)


class _Watch:
    """What waits in one process, and the thread that looks after it: it ends when for a while nothing does."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.process = os.getpid()
        self._news = threading.Condition()
        self._waiting: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = count()
        self._running = False

    def begin(self, cut: Callable[[], None], until: float) -> list[Callable[[], None]]:
        watched = [cut]
        with self._news:
            heapq.heappush(self._waiting, (until, next(self._numbers), watched))
            if not self._running:
                threading.Thread(target=self._run, name="asof-deadlines", daemon=True).start()
                self._running = True
            elif self._waiting[0][2] is watched:
                self._news.notify()
        return watched

    def end(self, watched: list[Callable[[], None]]) -> None:
        with self._news:
            watched.clear()

    def _run(self) -> None:
        with self._news:
            while True:
                while self._waiting and (not self._waiting[0][2] or self._waiting[0][0] <= time.monotonic()):
                    for cut in heapq.heappop(self._waiting)[2]:
                        cut()  # here no block ends: it would have to wait for us
                if self._waiting:
                    self._news.wait(self._waiting[0][0] - time.monotonic())
                elif not self._news.wait(IDLE_SECONDS) and not self._waiting:
                    self._running = False
                    return
