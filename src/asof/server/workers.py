"""Worker processes: started, watched, replaced one after the other, stopped.

uvicorn has a supervisor of its own. It asks each worker whether it lives, and waits for the answer: a worker that dies
while it is asked is noticed after a minute, and until then no signal is heard, and no other worker looked after. Here
workers tell by themselves, and whatever happens is heard at once.
"""

import logging
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from socket import socket
from types import FrameType

import uvicorn

from asof.errors import TransientError
from asof.server.leaving import LeavingServer

log = logging.getLogger("asof.server")

BEAT_SECONDS = 5
"""How often a worker says that its event loop turns; the first time when it answers requests."""

HUNG_SECONDS = 60
"""A worker that says nothing for so long is killed, and replaced."""

START_SECONDS = 60
"""How long a worker may take to open the store and answer."""

AGAIN_SECONDS = 1
"""Rest before another worker is started, after one that ended before it answered."""

LATE_SECONDS = 5
"""A worker that was told to stop is killed so long after the time that its requests have."""

LOOK_SECONDS = 1
"""How often clocks are looked at; what happens is heard at once."""

_spawn = get_context("spawn")


def work(config: uvicorn.Config, taken: socket, parent: Connection) -> None:
    """Serve in a worker process, and tell its parent now and then; stop when there is none any more."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal sends it to all; it is for the parent
    config.configure_logging()  # the parent's was of its process
    server = LeavingServer(config)

    async def beat() -> None:
        try:
            parent.send_bytes(b".")
        except OSError:
            server.should_exit = True

    config.callback_notify = beat
    server.run([taken])


class Worker:
    """A worker process, as its parent sees it.

    Attributes:
        pid: Its number.
        said: Becomes readable when it said something, or ended.
        generation: How often the server was told to reload before it was started.
        since: When it was started, or told to stop.
        heard: When it said something last; None before it answers requests.
        leaving: Whether it was told to stop.
    """

    def __init__(self, config: uvicorn.Config, taken: socket, generation: int) -> None:
        """Start it."""
        self.said, theirs = _spawn.Pipe(duplex=False)
        self._process = _spawn.Process(target=work, args=(config, taken, theirs))
        self._process.start()
        theirs.close()  # else its end is not seen here
        self.pid = self._process.pid
        self.generation = generation
        self.since = time.monotonic()
        self.heard: float | None = None
        self.leaving = False

    def listens(self) -> bool:
        """Take what it said; return whether it lives."""
        with suppress(EOFError, OSError):
            while self.said.poll():
                self.said.recv_bytes()
                self.heard = time.monotonic()
            return True
        return False

    def is_late(self, grace_seconds: float) -> bool:
        """Return whether it should have said something, or ended."""
        now = time.monotonic()
        if self.leaving:
            return now - self.since > grace_seconds + LATE_SECONDS
        return now - self.since > START_SECONDS if self.heard is None else now - self.heard > HUNG_SECONDS

    def leave(self) -> None:
        """Let it finish what is under way, and stop."""
        self.since, self.leaving = time.monotonic(), True
        self._process.terminate()

    def end(self) -> int | None:
        """End it, if it has not ended; return how it did."""
        self._process.kill()
        self._process.join()
        self.said.close()
        return self._process.exitcode


class Workers:
    """So many processes that answer over one listening socket.

    Args:
        config: What each serves, how many there are, and how often they say that they live.
        taken: The socket.
        grace_seconds: How long requests may take to finish when a worker stops.
    """

    def __init__(self, config: uvicorn.Config, taken: socket, *, grace_seconds: float) -> None:
        """Start none yet."""
        self._config = config
        self._taken = taken
        self._grace_seconds = grace_seconds
        self._every: list[Worker] = []
        self._generation = 0
        self._rests_until = 0.0
        self._answered = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP replaces all workers, each when its successor answers.

        Raises:
            TransientError: A worker ended, and none had ever answered.
        """
        with _signals() as signals:
            try:
                while not self._told(signals):
                    self._start()
                    connection.wait([signals, *(worker.said for worker in self._every)], LOOK_SECONDS)
                    self._look()
            finally:
                self._stop()

    def _told(self, signals: Connection) -> bool:
        """Hear signals; return whether one says to stop."""
        while signals.poll():
            if signals.recv() != signal.SIGHUP:
                return True
            self._generation += 1
            log.info("told to reload: workers are replaced one after the other")
        return False

    def _start(self) -> None:
        """Start what is missing; else one that replaces an old one, once the last that was replaced has gone."""
        if time.monotonic() < self._rests_until:
            return
        serving = [worker for worker in self._every if not worker.leaving]
        missing = self._config.workers - len(serving)
        if not missing and len(serving) == len(self._every):
            missing = int(any(worker.generation < self._generation for worker in serving))
        try:
            for _ in range(missing):
                self._every.append(Worker(self._config, self._taken, self._generation))
        except OSError as error:  # too many processes, or open files
            if not self._answered:
                raise
            log.warning("no worker can be started: %s", error)
            self._rests_until = time.monotonic() + AGAIN_SECONDS

    def _look(self) -> None:
        seen = [(worker, worker.listens()) for worker in self._every]
        self._answered = self._answered or any(worker.heard for worker, _ in seen)  # before anybody is judged
        for worker, lives in seen:
            if not lives or worker.is_late(self._grace_seconds):
                self._every.remove(worker)
                self._ended(worker, hung=lives)
        serving = [worker for worker in self._every if not worker.leaving]
        if len(serving) > self._config.workers and all(worker.heard for worker in serving):
            min(serving, key=lambda worker: worker.generation).leave()

    def _ended(self, worker: Worker, *, hung: bool) -> None:
        code = worker.end()
        how = f"worker [{worker.pid}] was killed: it said nothing" if hung else f"worker [{worker.pid}] ended: {code}"
        if worker.leaving:
            (log.warning if hung or code else log.info)(how)
            return
        log.error(how)
        if worker.heard is not None:
            return
        if not self._answered:
            raise TransientError("the workers do not start", todo="the log says why")
        self._rests_until = time.monotonic() + AGAIN_SECONDS
        if any(each.generation < worker.generation for each in self._every):
            log.error("the new worker did not answer: the old ones are kept")
            for each in self._every:
                each.generation = self._generation

    def _stop(self) -> None:
        """Let all finish what is under way, and stop."""
        for worker in self._every:
            worker.leave()
        while self._every:
            connection.wait([worker.said for worker in self._every], LOOK_SECONDS)
            for worker in list(self._every):
                if not worker.listens() or worker.is_late(self._grace_seconds):
                    self._every.remove(worker)
                    worker.end()


@contextmanager
def _signals() -> Generator[Connection]:
    """Give what signals are heard by, while the block runs."""
    heard, told = _spawn.Pipe(duplex=False)

    def tell(number: int, _: FrameType | None) -> None:
        told.send(number)

    before = {each: signal.signal(each, tell) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield heard
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        heard.close()
        told.close()
