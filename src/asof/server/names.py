"""What the server knows of groups and views between two looks at the registry: how their values are read from JSON."""

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from asof.definitions import FeatureGroup
from asof.definitions.types import DType
from asof.registry.port import RegisteredView
from asof.server.values import Convert, readers
from asof.store import Store

T = TypeVar("T")

REFRESH_SECONDS = 5.0
"""As online reads do: so late may another process's new definition be noticed."""


class Cached(Generic[T]):
    """Something by name that is looked up again after a while. What cannot be found is asked for each time."""

    def __init__(self, find: Callable[[str], T]) -> None:
        """Keep how to find it."""
        self._find = find
        self._known: dict[str, tuple[float, T]] = {}

    def __call__(self, name: str) -> T:
        """Return it, at most some seconds old."""
        now = time.monotonic()
        known = self._known.get(name)
        if known is None or now - known[0] > REFRESH_SECONDS:
            known = now, self._find(name)
            self._known[name] = known
        return known[1]

    def fresh(self, name: str) -> T | None:
        """Return it if it was looked up lately, and need not be again."""
        known = self._known.get(name)
        return None if known is None or time.monotonic() - known[0] > REFRESH_SECONDS else known[1]

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
