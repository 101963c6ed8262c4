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

PATIENCE = 5.0
"""So many seconds a fork waits for work that must not be cut in two."""


class Gate:
    """Work during which no fork happens: SQLite holds locks then, which a child would find locked for ever.

    Any number of threads may be within, and again within; a fork waits until none is but the one that forks.
    """

    def __init__(self) -> None:
        """Let everybody in."""
        self._changed = threading.Condition(threading.Lock())
        self._within = 0
        self._forking = False
        self._own = threading.local()

    def __enter__(self) -> None:
        """Go in, after a fork that is under way."""
        depth = self._depth()
        with self._changed:
            while self._forking and not depth:
                self._changed.wait()
            self._within += 1
        self._own.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        """Go out."""
        self._own.depth -= 1
        with self._changed:
            self._within -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in, and wait for those within: a fork is about to happen."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)  # another thread's
            self._forking = True
            self._changed.wait_for(lambda: self._within <= self._depth(), PATIENCE)

    def open(self) -> None:
        """Let everybody in again."""
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def begin_anew(self) -> None:
        """Begin in a child, which has the thread that forked and no other."""
        self._changed = threading.Condition(threading.Lock())
        self._within, self._forking = self._depth(), False

    def _depth(self) -> int:
        return getattr(self._own, "depth", 0)


gate = Gate()
"""That of all stores."""


def opening() -> threading.Lock:
    """Return the lock under which parts are opened again."""
    return _opening


def _forget_parent() -> None:
    """Let a forked child open its stores for itself: connections, locks and threads are its parent's."""
    global _opening  # noqa: PLW0603 - a thread of the parent may have held it
    _opening = threading.Lock()
    gate.begin_anew()
    for store in opened:
        of_parent = store._let_go()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no word of users
        # Never freed, not even at exit: DuckDB would wait for threads that only the parent has, and crash.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(of_parent))


@atexit.register
def _close_all() -> None:
    """Close what a program left open: threads of DuckDB that outlive the interpreter may crash it."""
    for store in list(opened):
        store.close()


os.register_at_fork(before=gate.close, after_in_parent=gate.open, after_in_child=_forget_parent)
