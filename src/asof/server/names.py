"""What the server knows of groups and views between two looks at the registry: how their values are read from JSON."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from asof.definitions import FeatureGroup
from asof.definitions.types import DType
from asof.errors import AsofError, TransientError
from asof.registry.port import RegisteredView
from asof.server.values import Convert, readers
from asof.store import Store

T = TypeVar("T")

REFRESH_SECONDS = 5.0
"""As online reads do: so late may another process's new definition be noticed."""

SOON_SECONDS = REFRESH_SECONDS - 0.5
"""From this age on something may be too old when it is used."""


class Cached(Generic[T]):
    """Something by name that is looked up again after a while. What cannot be found is asked for each time.

    While one caller looks it up again, and while the registry is away, the others go on with what was known.
    """

    def __init__(self, find: Callable[[str], T]) -> None:
        """Keep how to find it."""
        self._find = find
        self._known: dict[str, tuple[float, T]] = {}

    def __call__(self, name: str) -> T:
        """Return it, at most some seconds old."""
        known = self._known.get(name)
        if known is None:
            found = self._find(name)
        elif time.monotonic() - known[0] <= REFRESH_SECONDS:
            return known[1]
        else:
            found = self._again(name, known[1])
        self._known[name] = time.monotonic(), found
        return found

    def _again(self, name: str, known: T) -> T:
        self._known[name] = math.inf, known
        try:
            return self._find(name)
        except TransientError:
            return known
        except AsofError:
            self._known.pop(name, None)
            raise
        except BaseException:
            self._known[name] = time.monotonic(), known
            raise

    def fresh(self, name: str) -> T | None:
        """Return it if it was looked up lately, and need not be again."""
        known = self._known.get(name)
        return None if known is None or time.monotonic() - known[0] > SOON_SECONDS else known[1]

    @property
    def known(self) -> set[str]:
        """The names that are remembered."""
        return set(self._known)

    def forget(self) -> None:
        """Look everything up again."""
        self._known.clear()


class Names:
    """Groups and views by name; how the keys of both, and the records of groups, are read from JSON."""

    def __init__(self, store: Store) -> None:
        """Know no names yet."""
        self.found = Cached(store.catalog.find)
        self.keys = Cached(self._keys)
        self.records = Cached(self._records)

    def forget(self) -> None:
        """Look everything up again: definitions changed."""
        self.found.forget()
        self.keys.forget()
        self.records.forget()

    def _keys(self, name: str) -> Mapping[str, Convert]:
        found = self.found(name)
        is_view = isinstance(found, RegisteredView)
        return readers(found.definition.spine_keys if is_view else found.definition.entity.keys)

    def _records(self, name: str) -> Mapping[str, Convert]:
        found = self.found(name)
        return {} if isinstance(found, RegisteredView) else readers(column_types(found.definition))  # the store refuses


def column_types(group: FeatureGroup) -> dict[str, DType]:
    """Return the columns of a group's rows with their types."""
    time = {} if group.event_time is None else {group.event_time: DType("timestamp")}
    return {**group.entity.keys, **time, **{feature.name: feature.dtype for feature in group.features}}
