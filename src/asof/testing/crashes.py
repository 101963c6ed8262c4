"""Die at a chosen step of a store: stand before its parts and stop the world before or after one of their methods."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn

PORTS = ("registry", "log", "history", "online", "engine")


class Killed(BaseException):
    """The process is gone as far as the store knows: no handler of the store may catch this."""


def killed() -> NoReturn:
    """Raise `Killed`: what `Crashing` does unless it is told another way to die."""
    raise Killed


class Crashing:
    """Counts what a store asks of its parts, and dies at one step.

    A step is "before log.publish" or "after online.apply": the same call has both. Only steps of the thread that armed
    it count: when the others of a store come to theirs is chance.

    Attributes:
        die: How to die; it does not return.
        steps: The steps seen since it was armed.
    """

    def __init__(self, die: Callable[[], object] = killed) -> None:
        """Begin unarmed."""
        self.die = die
        self.steps: list[str] = []
        self._fatal: str | int | None = None
        self._thread = threading.get_ident()

    def arm(self, fatal: str | int | None) -> None:
        """Die at the first step of this name, or at the step of this number, from 0; never at None."""
        self.steps = []
        self._fatal = fatal
        self._thread = threading.get_ident()

    def before(self, name: str, part: Any) -> Any:  # noqa: ANN401 - stands for any port
        """Return what stands before a part."""
        return _Watched(self, name, part)

    def step(self, name: str) -> None:
        """Pass a step, or die at it."""
        if threading.get_ident() != self._thread:
            return
        self.steps.append(name)
        if self._fatal in (name, len(self.steps) - 1):
            self._fatal = None
            self.die()


class _Watched:
    def __init__(self, crashing: Crashing, name: str, part: Any) -> None:  # noqa: ANN401 - any port
        self._crashing = crashing
        self._name = name
        self._part = part

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the part has
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as it takes
            self._crashing.step(f"before {self._name}.{name}")
            answer = found(*arguments, **options)
            self._crashing.step(f"after {self._name}.{name}")
            return answer

        return call
