"""Work that takes a while: so much of it at once, whichever transport it comes by, and the rest is refused.

HTTP refuses at once, and gives each job a thread of its own. Calls of Flight have threads already, and wait a little.
Who waits too long for it is answered, and what cannot be stopped goes on: until it ends, it counts.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import BoundedSemaphore, Lock
from typing import Any, TypeVar

from asof.errors import TransientError

PLACE_SECONDS = 5.0
"""How long a call of Flight waits for others to end; its client may come again."""

T = TypeVar("T")


class Jobs:
    """The jobs of this process.

    Args:
        most: How many at once.
    """

    def __init__(self, most: int) -> None:
        """Have none under way."""
        self._most = most
        self._free = BoundedSemaphore(most)
        self._taken, self._lock = 0, Lock()
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="asof-job")

    @property
    def under_way(self) -> tuple[int, int]:
        """How many there are, and how many there may be."""
        return self._taken, self._most

    def begin(self) -> "Job":
        """Return a job, which is to be ended.

        Raises:
            TransientError: There are as many as may be.
        """
        self._take(0.0)
        return Job(self._threads, self._give_back)

    @contextmanager
    def place(self) -> Generator[None]:
        """Count what this thread does in the block as a job; it waits a little for a place.

        Raises:
            TransientError: There are as many as may be.
        """
        self._take(PLACE_SECONDS)
        try:
            yield
        finally:
            self._give_back()

    def _take(self, seconds: float) -> None:
        if not self._free.acquire(timeout=seconds):
            what = f"{self._most} jobs over history are under way, as many as may be at once"
            raise TransientError(what, todo="try again in a moment: nothing was done")
        with self._lock:
            self._taken += 1

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1
        self._free.release()

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - the work's own
        """Do something as a job.

        Raises:
            TransientError: There are as many as may be.
        """
        job = self.begin()
        try:
            return await job.run(work, *arguments)
        finally:
            job.end()


class Job:
    """Something that takes a while, in one step or several."""

    def __init__(self, threads: ThreadPoolExecutor, release: Callable[[], None]) -> None:
        """Do nothing yet."""
        self._threads = threads
        self._release = release
        self._step: Future[Any] | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - the work's own
        """Do a step in a thread; it goes on if nobody waits for it any more."""
        step = self._threads.submit(copy_context().run, work, *arguments)
        self._step = step
        return await asyncio.wrap_future(step)

    def end(self) -> None:
        """Let another job begin, once the step that runs has ended."""
        if self._step is None:
            self._release()
        else:
            self._step.add_done_callback(lambda _: self._release())
