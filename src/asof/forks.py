"""What becomes of open stores when a process forks, or ends."""

import atexit
import ctypes
import os
import threading
from typing import Protocol
from weakref import WeakSet


class Opened(Protocol):
    """What has connections, locks and threads of its process."""

    def close(self) -> None:
        """Finish background work."""
        ...

    def _let_go(self) -> dict[str, object]:
        """Drop the parts, and return them; nothing if there are none."""
        ...


opened: WeakSet[Opened] = WeakSet()
"""What is let go of in a forked child, and closed when the program ends."""

_opening = threading.Lock()


def opening() -> threading.Lock:
    """Return the lock under which parts are opened again."""
    return _opening


def _forget_parent() -> None:
    """Let a forked child open its stores for itself: connections, locks and threads are its parent's."""
    global _opening  # noqa: PLW0603 - a thread of the parent may have held it
    _opening = threading.Lock()
    for store in opened:
        of_parent = store._let_go()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no word of users
        # Never freed, not even at exit: DuckDB would wait for threads that only the parent has, and crash.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(of_parent))


@atexit.register
def _close_all() -> None:
    """Close what a program left open: threads of DuckDB that outlive the interpreter may crash it."""
    for store in list(opened):
        store.close()


os.register_at_fork(after_in_child=_forget_parent)
