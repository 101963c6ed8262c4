"""Who acts: for whom the code of this thread or task changes the store, if not for its own process."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_writer: ContextVar[str] = ContextVar("asof_writer", default="")


def acting() -> str:
    """Return for whom changes are made, such as "key:nightly@10.0.0.3"; "" for the process itself."""
    return _writer.get()


@contextmanager
def acting_as(writer: str) -> Generator[None]:
    """Make changes for somebody else in the block: commits, definitions and whatever else says who it was."""
    before = _writer.set(writer)
    try:
        yield
    finally:
        _writer.reset(before)
