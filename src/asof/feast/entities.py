"""Feast's entities in ours, which say the types of their keys."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asof.definitions.types import KEY_TYPES
from asof.feast.model import OurEntity, Remarks
from asof.feast.names import free, ours
from asof.feast.static import Made, Unknown, Value, listed
from asof.feast.types import type_of

ASSUMED = "string"


class Entities:
    """The entities of a repository, by Feast's names."""

    def __init__(self, made: Sequence[Made], remarks: Remarks) -> None:
        """Keep them."""
        self._remarks = remarks
        self._made: dict[str, Made] = {}
        self._types: dict[str, str] = {}
        self._given: dict[str, OurEntity] = {}
        for each in made:
            name = each.get("name", 0)
            if isinstance(name, str):
                self._made.setdefault(name, each)
            else:
                remarks.add(each.place, "Entity: its name is not understood", "declare it yourself")

    def of(self, view: Made) -> list[Made]:
        """Return the entities of a feature view, those that can be found."""
        given = view.get("entities")
        found: list[Made] = []
        for each in listed(given) or ([] if given in (None, []) else [given]):
            entity = self._made.get(each) if isinstance(each, str) else each
            if isinstance(entity, Made) and entity.kind == "Entity" and entity not in found:
                found.append(entity)
            elif not isinstance(entity, Made):
                text = each.text if isinstance(each, Unknown) else str(getattr(each, "name", each))
                what = f"{view.kind} {view.get('name', 0)}: its entity {text!r} is not found"
                self._remarks.add(view.place, what, "declare it yourself")
        return found

    def learn(self, view: Made, types: Mapping[str, str]) -> None:
        """Take the types of keys from what a view or file says of them."""
        for entity in self.of(view):
            for key in keys_of(entity):
                if types.get(key) in KEY_TYPES:
                    self._types.setdefault(key, types[key])

    def ours(self, view: Made) -> OurEntity | None:
        """Return the entity of a feature view; None if it has none."""
        every = self.of(view)
        if not every:
            return None
        keys: dict[str, str] = {}
        for entity in every:
            for key in keys_of(entity):
                keys[ours(key)] = self._type(entity, key)
        names = [ours(str(entity.get("name", 0))) for entity in every]
        text = every[0].get("description") if len(every) == 1 else None
        made = OurEntity(ours("_".join(names)), keys, text if isinstance(text, str) else "")
        same = next((each for each in self._given.values() if self._is_same(each, made)), None)
        if same is not None:
            return same
        name = free(made.name, self._given, "entity")
        if name != made.name:
            what = f"the entity {made.name!r} is {name!r} for {view.kind} {view.get('name', 0)}: another has its name"
            self._remarks.add(view.place, what, "entities of one name have the same keys here")
        self._given[name] = replace(made, name=name)
        return self._given[name]

    @staticmethod
    def _is_same(one: OurEntity, other: OurEntity) -> bool:
        """Return whether two are one entity: by its name, or the one that it was given, and its keys."""
        return one.keys == other.keys and (one.name == other.name or one.name.startswith(f"{other.name}_entity"))

    def _type(self, entity: Made, key: str) -> str:
        given: Value = entity.get("value_type")
        said = type_of(given) if given is not None else None
        dtype = said or self._types.get(key)
        if dtype in KEY_TYPES:
            return str(dtype)
        what = f"the type of key {key!r} is not said" if dtype is None else f"key {key!r} is {dtype}, which is no key"
        self._remarks.add(entity.place, what, f"{ASSUMED} is assumed: change it if that is wrong")
        return ASSUMED


def keys_of(entity: Made) -> list[str]:
    """Return the join keys of an entity, by default its name."""
    keys: Value = entity.get("join_keys", "join_key", 1)
    found = [keys] if isinstance(keys, str) else [key for key in listed(keys) if isinstance(key, str)]
    return found or [str(entity.get("name", 0))]
