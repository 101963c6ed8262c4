"""Feature views as groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from asof.clock import MICROSECOND
from asof.definitions.durations import show_duration
from asof.feast.entities import Entities, keys_of
from asof.feast.model import OurFeature, OurGroup, Remarks, Rows
from asof.feast.names import ours
from asof.feast.sources import Source, length_of, readable, source_of
from asof.feast.static import Made, Symbol, Unknown, Value, listed, mapped
from asof.feast.types import WIDER, type_of

KINDS = ("FeatureView", "StreamFeatureView", "BatchFeatureView", "LabelView")

READ = frozenset(
    (
        *("name", "entities", "schema", "features", "source", "batch_source", "stream_source", "ttl", "online", "tags"),
        *("owner", "description", "timestamp_field", "offline", "enabled", "udf", "udf_string", "mode"),
        *("feature_transformation", "aggregations", "version", 0, 1),
    )
)
"""Arguments that are taken over, or say nothing here."""


class Groups:
    """The groups of a repository, by the feature views that they are made of.

    Attributes:
        all: The groups, in the order of the files.
    """

    def __init__(self, made: Sequence[Made], root: Path, remarks: Remarks) -> None:
        """Make them."""
        self._root = root
        self._remarks = remarks
        self._entities = Entities([each for each in made if each.kind == "Entity"], remarks)
        self._of: dict[int, OurGroup] = {}
        self._named: dict[str, OurGroup] = {}
        views = [each for each in made if each.kind in KINDS]
        read = [(each, *self._read(each)) for each in views if self._fits(each)]
        for view, source, fields in read:  # types of keys first: one view may say them for all
            self._entities.learn(view, {field.column: field.dtype for field in fields})
            stored = (source.columns or {}).items()
            self._entities.learn(view, {source.renamed.get(name, name): dtype for name, dtype in stored})
        for view, source, fields in read:
            self._add(view, source, fields)
        self.all = [*self._of.values()]

    def of(self, view: Value) -> OurGroup | None:
        """Return the group of a feature view, or of the name of one."""
        return self._named.get(view) if isinstance(view, str) else self._of.get(id(view))

    def _fits(self, view: Made) -> bool:
        """Return whether a feature view can become a group at all."""
        name = view.get("name", 0) or (view.function.node.name if view.function else None)
        if not isinstance(name, str):
            said = name.text if isinstance(name, Unknown) else str(name)
            self._remarks.add(view.place, f"{view.kind}: its name {said} is not understood", "declare it yourself")
            return False
        if not self._entities.of(view):
            todo = "a group has keys: declare it with one, such as a constant"
            self._remarks.add(view.place, f"{view.kind} {name!r} has no entity, and is left out", todo)
            return False
        return True

    def _read(self, view: Made) -> tuple[Source, list[OurFeature]]:
        name = _name(view)
        given = view.get("source", "batch_source", "stream_source", 1)
        source = source_of(given, view, ours(name), self._root, self._remarks)
        schema = view.get("schema", "features")
        if isinstance(schema, list):
            return source, [found for each in listed(schema) if (found := self._field(each, view, source)) is not None]
        if isinstance(schema, Unknown):
            self._remarks.add(view.place, f"group {ours(name)}: its schema {schema.text} is not understood")
        return source, _inferred(source)

    def _field(self, given: Value, view: Made, source: Source) -> OurFeature | None:
        """Return a feature of a schema, or a key among them."""
        where = f"group {ours(_name(view))}"
        name = given.get("name", 0) if isinstance(given, Made) else None
        if not isinstance(given, Made) or not isinstance(name, str):
            text = given.text if isinstance(given, Unknown) else str(given)
            self._remarks.add(view.place, f"{where}: the field {text} is not understood", "declare it yourself")
            return None
        length = given.get("vector_length")
        dtype = type_of(given.get("dtype", 1), length=length if isinstance(length, int) else 0)
        if dtype is None:
            said = given.get("dtype", 1)
            text = said.last if isinstance(said, Symbol) else getattr(said, "kind", getattr(said, "text", said))
            todo = "have it as text (JSON) or as a struct, and declare that"
            self._remarks.add(given.place, f"{where}: feature {name!r} of type {text} is left out", todo)
            return None
        if given.get("vector_index"):
            todo = "asof keeps vectors, and searches none (docs/from-feast.md)"
            self._remarks.add(given.place, f"{where}: feature {name!r} is not indexed for search", todo)
        column = next((old for old, new in source.renamed.items() if new == name), name)
        dtype = self._as_stored(dtype, column, source, given, where)
        text = given.get("description")
        return OurFeature(
            ours(name), dtype, column, text if isinstance(text, str) else "", texts(given.get("tags", "labels"))
        )

    def _as_stored(self, dtype: str, column: str, source: Source, field: Made, where: str) -> str:
        """Return a type, or the wider one that the file has."""
        if source.columns is None:
            return dtype
        stored = source.columns.get(column)
        if stored is None:
            self._remarks.add(field.place, f"{where}: the file has no column {column!r}", "is it made elsewhere?")
        wider = WIDER.get((dtype, stored or ""))
        if wider is not None:
            what = f"{where}: {column!r} is {dtype} there and {stored} in the file: {wider} is declared"
            self._remarks.add(field.place, what, "Feast cuts such values; declare the type that you want")
        return wider or dtype

    def _add(self, view: Made, source: Source, fields: Sequence[OurFeature]) -> None:
        name = ours(_name(view))
        entity = self._entities.ours(view)
        if name in self._named or entity is None:
            self._remarks.add(
                view.place, f"a second {view.kind} is named {name!r}, and is left out", "rename one of them"
            )
            return
        if name != _name(view):
            self._remarks.add(
                view.place, f"{view.kind} {_name(view)!r} is the group {name!r}", "names are lower-case here"
            )
        time = ours(source.event_time)
        features = self._features(view, fields, {*entity.keys, time})
        if not features:
            todo = "Feast asks its source for them: write schema=, or have the file at hand"
            self._remarks.add(view.place, f"group {name}: no feature of it is known, and it is left out", todo)
            return
        self._tell(view, name)
        ttl = length_of(view, name, self._remarks)
        text, owner = view.get("description"), view.get("owner")
        group = OurGroup(
            name=name,
            place=view.place,
            entity=entity,
            features=features,
            event_time=time,
            rows=self._rows(view, source, features),
            ttl=None if ttl is None else show_duration(ttl // MICROSECOND),
            online=view.given.get("online", True) is not False,
            description=text if isinstance(text, str) else "",
            owner=owner if isinstance(owner, str) else "",
            tags=texts(view.get("tags")),
        )
        self._of[id(view)] = self._named[name] = self._named[_name(view)] = group

    def _features(self, view: Made, fields: Sequence[OurFeature], others: set[str]) -> list[OurFeature]:
        """Return the fields that are features: neither keys nor the event time, each name once."""
        found: dict[str, OurFeature] = {}
        for field in fields:
            if field.name in others:
                continue
            if field.name in found:
                what = f"group {ours(_name(view))}: two fields become {field.name!r}"
                self._remarks.add(view.place, what, "rename one of them")
                continue
            if field.name != field.column and field.column not in ("", field.name) and ours(field.column) == field.name:
                what = f"group {ours(_name(view))}: the column {field.column!r} is the feature {field.name!r}"
                self._remarks.add(view.place, what, "names are lower-case here")
            found[field.name] = field
        return [*found.values()]

    def _rows(self, view: Made, source: Source, features: Sequence[OurFeature]) -> Rows:
        """Return the columns that are read of a file, keys and event time first."""
        back = {new: old for old, new in source.renamed.items()}
        entities = self._entities.of(view)
        typed = self._entities.ours(view)
        keys: Mapping[str, str] = {} if typed is None else typed.keys
        columns: dict[str, str] = {}
        names: dict[str, str] = {}
        for entity in entities:
            for key in keys_of(entity):
                column = back.get(key, key)
                columns[column], names[column] = keys[ours(key)], ours(key)
        columns[source.event_time], names[source.event_time] = "timestamp", ours(source.event_time)
        for feature in features:
            columns[feature.column], names[feature.column] = feature.dtype, feature.name
        renamed = {column: name for column, name in names.items() if column != name}
        return Rows(source.path, source.event_time, columns, renamed, source.written or not readable([*columns]))

    def _tell(self, view: Made, name: str) -> None:
        """Say what of a feature view is not taken over."""
        if view.function is not None or view.get("udf", "feature_transformation", "aggregations") is not None:
            todo = (
                "write rows as it makes them, or say source= and transform= (docs/transformations.md, docs/windows.md)"
            )
            self._remarks.add(view.place, f"group {name}: what makes its rows is not taken over", todo)
        lost = sorted(str(each) for each in view.given if each not in READ)
        if lost:
            self._remarks.add(view.place, f"group {name}: {', '.join(f'{each}=' for each in lost)} is not taken over")
        if view.kind == "LabelView":
            todo = 'a label of a training set is group["x"].after("7d") (docs/training-sets.md)'
            self._remarks.add(view.place, f"group {name}: a label view is a group like any other", todo)


def texts(given: Value) -> Mapping[str, str]:
    """Return tags, those that are texts."""
    return {name: value for name, value in mapped(given).items() if isinstance(value, str)}


def _name(view: Made) -> str:
    """Return what Feast calls a feature view: by default as the function that it decorates."""
    name = view.get("name", 0)
    return name if isinstance(name, str) else view.function.node.name if view.function else ""


def _inferred(source: Source) -> list[OurFeature]:
    """Return the columns of a file as features: a view without a schema has them all."""
    made = ("created", "created_timestamp", source.event_time)
    known = {name: dtype for name, dtype in (source.columns or {}).items() if name not in made}
    return [OurFeature(ours(source.renamed.get(name, name)), dtype, name) for name, dtype in known.items() if dtype]
