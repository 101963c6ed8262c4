"""What is registered: versions of groups and views, as every part of a store knows them."""

from collections.abc import Mapping
from dataclasses import dataclass

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.group import Known
from asof.definitions.training_set import TAG, is_training_set
from asof.errors import UsageError


@dataclass(frozen=True, slots=True)
class RegisteredGroup:
    """A version of a group.

    Attributes:
        id: Number of the version, unique in the registry.
        version: Number of the version among those of its name, from 1.
        definition: What was declared.
        known: The default knowledge mode, fixed when the group was created.
        created_at_us: When it was created.
        layout: Features in the order in which they were added: the order of values in encoded rows, so that rows
            from before an amendment stay readable.
        cold: The features of the cold family, if it is split.
        source: The group of events that it is made of, if it has no rows of its own.
        origin: The group that its rows are made from, if a transformation makes them.
    """

    id: int
    version: int
    definition: FeatureGroup
    known: Known
    created_at_us: int
    layout: tuple[str, ...]
    cold: tuple[str, ...] = ()
    source: "RegisteredGroup | None" = None
    origin: "RegisteredGroup | None" = None

    @property
    def ref(self) -> str:
        """The version's name, such as "weather@1"."""
        return f"{self.definition.name}@{self.version}"

    @property
    def stored(self) -> "RegisteredGroup":
        """The group whose rows answer for it: its source, or itself."""
        return self.source or self

    @property
    def refs(self) -> tuple[str, ...]:
        """The names of the version, and of its source if it has one."""
        return (self.ref,) if self.source is None else (self.ref, self.source.ref)

    @property
    def written(self) -> "RegisteredGroup":
        """The group itself, which must have rows of its own.

        Raises:
            UsageError: It has none.
        """
        if self.source is not None:
            raise UsageError(
                f"{self.ref} has no rows: it is made of the events of {self.source.ref}",
                where=f"group {self.definition.name}",
                todo=f"name the group {self.source.definition.name!r}",
            )
        return self

    @property
    def writable(self) -> "RegisteredGroup":
        """The group itself, which users must be allowed to write to.

        Raises:
            UsageError: It has no rows, a transformation makes them, or they are taken from outside of the store.
        """
        outside = self.definition.taken_from
        if outside is not None:
            raise UsageError(
                f"the rows of {self.ref} are taken from {outside}, and not written",
                where=f"group {self.definition.name}",
                todo=f"change them there, then materialize {self.definition.name!r}",
            )
        return self.retractable

    @property
    def retractable(self) -> "RegisteredGroup":
        """The group itself, of which users must be allowed to retract commits.

        Raises:
            UsageError: It has no rows, a transformation makes them from those of a group, or it keeps a training set.
        """
        if is_training_set(self.definition):
            raise UsageError(
                f"{self.ref} keeps the rows of the training set {self.definition.tags[TAG]}, which stay as they are",
                where=f"group {self.definition.name}",
                todo="make another version: store.training_set",
            )
        if self.origin is not None:
            name, source = self.definition.name, self.origin.definition.name
            raise UsageError(
                f"the rows of {self.ref} are made from those of {self.origin.ref}, and not written",
                where=f"group {name}",
                todo=f"change the group {source!r}, then materialize {name!r}",
            )
        return self.written

    @property
    def parent(self) -> "RegisteredGroup | None":
        """The group that this one is made of: by aggregates, or by a transformation."""
        return self.source or self.origin


@dataclass(frozen=True, slots=True)
class RegisteredView:
    """A version of a view, with the group versions that it is pinned to."""

    id: int
    version: int
    definition: FeatureView
    groups: Mapping[str, RegisteredGroup]
    created_at_us: int

    @property
    def ref(self) -> str:
        """The version's name, such as "departure@1"."""
        return f"{self.definition.name}@{self.version}"
