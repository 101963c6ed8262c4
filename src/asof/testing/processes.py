"""Run functions of suites in several processes at the same time."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 300

# Not "fork", which would copy locks and connections: a server that has only imported what
# `multiprocessing.set_forkserver_preload` named forks at once, where "spawn" would import it all in each process.
FORKS = multiprocessing.get_context("forkserver")


def in_processes(work: Callable[..., T], every: Sequence[tuple[Any, ...]]) -> list[T]:
    """Call a function once for each tuple of arguments, each in a process of its own, and return what it gives.

    Args:
        work: A function at the top level of a module.
        every: Arguments, one tuple a process.
    """
    with ProcessPoolExecutor(len(every), mp_context=FORKS) as pool:
        started = [pool.submit(within, dict(os.environ), work, *arguments) for arguments in every]
        return [future.result(timeout=PATIENCE_SECONDS) for future in started]


def exit_code_of(work: Callable[..., object], *arguments: Any) -> int | None:  # noqa: ANN401 - what the work takes
    """Run a function in a process of its own, which may die, and return the code with which it ended."""
    process = FORKS.Process(target=within, args=(dict(os.environ), work, *arguments))
    process.start()
    process.join(PATIENCE_SECONDS)
    return process.exitcode


def within(environment: Mapping[str, str], work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - what the work takes
    """Call a function with the environment of the process that asks: the server of forks has that of its first day."""
    os.environ.clear()
    os.environ.update(environment)
    return work(*arguments)
