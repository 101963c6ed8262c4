"""Signals that stop a process which serves: uvicorn finishes, and raises them again; the process is to go on then."""

import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def told_to_stop() -> Generator[None]:
    """Let signals that stop the server do no more: uvicorn raises them again when it has finished."""
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal."""
