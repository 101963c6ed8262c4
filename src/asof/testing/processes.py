"""Run functions of suites in several processes at the same time."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(work: Callable[..., T], every: Sequence[tuple[Any, ...]]) -> list[T]:
    """Call a function once for each tuple of arguments, each in a process of its own, and return what it gives.

    Args:
        work: A function at the top level of a module.
        every: Arguments, one tuple a process.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks and connections
    with ProcessPoolExecutor(len(every), mp_context=context) as pool:
        started = [pool.submit(work, *arguments) for arguments in every]
        return [future.result(timeout=120) for future in started]


def exit_code_of(work: Callable[..., object], *arguments: Any) -> int | None:  # noqa: ANN401 - what the work takes
    """Run a function in a process of its own, which may die, and return the code with which it ended."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode
