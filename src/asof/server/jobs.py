"""Work that takes a while: so much of it at once, each in a thread of its own, and the rest is refused at once.

Who waits too long for it is answered, and what cannot be stopped goes on: until it ends, it counts.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any, TypeVar

from asof.server.problems import RequestError

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
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="asof-job")

    def begin(self) -> "Job":
        """Return a job, which is to be ended.

        Raises:
            RequestError: There are as many as may be.
        """
        if not self._free.acquire(blocking=False):
            title = f"{self._most} reads of history are under way, as many as may be at once"
            raise RequestError(503, title, todo="try again in a moment")
        return Job(self._threads, self._free.release)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - the work's own
        """Do something as a job.

        Raises:
            RequestError: There are as many as may be.
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
