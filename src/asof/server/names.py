"""What the server knows of groups and views between two looks at the registry: how their values are read from JSON."""

from collections.abc import Mapping

from asof.arrow.json_values import Convert, readers
from asof.parts import question_of
from asof.registry.registered import RegisteredView
from asof.serving.cached import Cached
from asof.store import Store


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
        return readers(question_of(name, self.found).view.spine_keys)

    def _records(self, name: str) -> Mapping[str, Convert]:
        found = self.found(name)
        return {} if isinstance(found, RegisteredView) else readers(found.definition.types)  # the store refuses
