"""Definitions in the registry's database."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Connection, delete, func, insert, select, update

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.documents import (
    Document,
    group_document,
    group_from,
    group_identity,
    view_document,
    view_from,
    view_identity,
)
from asof.definitions.quarantine import is_quarantine, quarantine_group, quarantine_name
from asof.definitions.serving_log import is_log, log_group, log_name, predictions_name
from asof.definitions.training_set import is_training_set
from asof.errors import ConflictError, NotFoundError, UsageError
from asof.records import Deed
from asof.registry.plan import Change, Plan, group_change, view_change
from asof.registry.projects import check_projects, refs_in
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.registry.split import checked_cold
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.deeds import keep_commits, record
from asof.registry.sql.generation import generation_of, next_generation
from asof.registry.sql.models import logging_models
from asof.registry.sql.tables import (
    check_report,
    commit_record,
    data_file,
    group_version,
    journal,
    letter,
    statistics_span,
    stream_position,
    tag_pin,
    view_version,
)
from asof.registry.sql.training_sets import refuse_if_trained_on

if TYPE_CHECKING:
    from asof.definitions.group import Known

Definition = FeatureGroup | FeatureView

R = TypeVar("R")

Record = Any
"""A row of SQLAlchemy: its type has one parameter in 2.0 and any number in 2.1, so neither can be written."""


class SqlRegistry:
    """The registry port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database
        self._known: tuple[int, dict[tuple[str, str], Any]] = (-1, {})

    @repeated
    def plan(self, definitions: Sequence[Definition]) -> Plan:
        """See `Registry.plan`."""
        with self._database.read() as connection:
            return Plan(tuple(step.change for step in _Steps(connection).of(definitions)))

    @repeated
    def apply(self, definitions: Sequence[Definition], *, now_us: int, writer: str = "") -> Plan:
        """See `Registry.apply`."""
        with self._database.write() as connection:
            steps = _Steps(connection).of(definitions)
            for step in steps:
                step.do(connection, now_us)
            changed = [step.change for step in steps if step.change.action != "unchanged"]
            if changed:
                next_generation(connection)
                record(connection, *(_deed_of(change, now_us, writer) for change in changed))
            return Plan(tuple(step.change for step in steps))

    @repeated
    def generation(self) -> int:
        """See `Registry.generation`."""
        with self._database.read() as connection:
            return generation_of(connection)

    @repeated
    def group(self, name: str) -> RegisteredGroup:
        """See `Registry.group`. Every write asks for it."""
        return self._once("group", name, _load_group)

    @repeated
    def view(self, name: str) -> RegisteredView:
        """See `Registry.view`. Every process that serves it asks for it all the time."""
        return self._once("view", name, _load_view)

    def _once(self, kind: str, name: str, load: Callable[[Connection, str], R]) -> R:
        """Read a definition once for each generation of all of them."""
        with self._database.read() as connection:
            generation = generation_of(connection)
            known = self._known[1] if self._known[0] == generation else {}
            found = known.get((kind, name)) if isinstance(name, str) else None  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            if found is None:
                found = load(connection, name)
                self._known = (generation, {**known, (kind, name): found})
            return found

    @repeated
    def groups(self) -> list[RegisteredGroup]:
        """See `Registry.groups`."""
        with self._database.read() as connection:
            return _all_groups(connection)

    @repeated
    def made(self) -> list[RegisteredGroup]:
        """See `Registry.made`."""
        return self._once(
            "made", "", lambda connection, _: [g for g in _all_groups(connection) if g.source is not None]
        )

    @repeated
    def views(self) -> list[RegisteredView]:
        """See `Registry.views`."""
        with self._database.read() as connection:
            rows = connection.execute(select(view_version).order_by(view_version.c.name, view_version.c.version)).all()
            loaded: dict[str, RegisteredGroup] = {}
            return [_view_of(connection, row, loaded) for row in rows]

    @repeated
    def split(self, name: str, cold: Sequence[str], *, now_us: int = 0, writer: str = "") -> RegisteredGroup:
        """See `Registry.split`."""
        with self._database.write() as connection:
            group = _load_group(connection, name)
            wanted = checked_cold(group, cold)
            if group.cold != wanted:
                mine = update(group_version).where(group_version.c.id == group.id)
                connection.execute(mine.values(cold=json.dumps(wanted)))
                next_generation(connection)
                record(connection, Deed(now_us, writer, "split", group.ref, note=f"cold: {', '.join(wanted)}"))
            return _load_group(connection, group.ref)

    @repeated
    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[RegisteredGroup]:
        """See `Registry.remove`."""
        base, version = _split(name, "group or view")
        with self._database.write() as connection:
            groups = connection.execute(select(group_version).where(group_version.c.name == base)).all()
            views = connection.execute(select(view_version).where(view_version.c.name == base)).all()
            found = [r for r in (*groups, *views) if not version or str(r.version) == version]
            if not found:
                known = connection.execute(select(group_version.c.name).union(select(view_version.c.name))).scalars()
                raise NotFoundError.named("group or view", name, known)
            next_generation(connection)
            gone = [_group_of(connection, r, {}) for r in found if r in groups]
            _refuse_if_used(connection, gone)
            refuse_if_trained_on(connection, [f"{row.name}@{row.version}" for row in found])
            for row in found:
                table = group_version if row in groups else view_version
                connection.execute(delete(table).where(table.c.id == row.id))
            for group in gone:
                keep_commits(connection, group.id, group.ref)
            record(connection, *(Deed(now_us, writer, "remove", f"{row.name}@{row.version}") for row in found))
            for group in gone:
                for table in OF_GROUP:
                    connection.execute(delete(table).where(table.c.group_id == group.id))
            return gone


OF_GROUP = (commit_record, journal, data_file, tag_pin, stream_position, letter, check_report, statistics_span)
"""What goes with a group."""


def _deed_of(change: Change, now_us: int, writer: str) -> Deed:
    note = "; ".join((f"{change.kind}: {change.action}", *(change.details if change.action != "create" else ())))
    return Deed(now_us, writer, "apply", f"{change.name}@{change.version}", note=note)


def _refuse_if_used(connection: Connection, gone: Sequence[RegisteredGroup]) -> None:
    refs = {group.ref for group in gone}
    views = connection.execute(select(view_version).order_by(view_version.c.name, view_version.c.version)).all()
    groups = connection.execute(select(group_version).order_by(group_version.c.name, group_version.c.version)).all()
    used = {f"view {row.name}@{row.version}": refs & refs_in(json.loads(row.body)["features"]) for row in views}
    for row in groups:
        ref = f"{row.name}@{row.version}"
        body = json.loads(row.body)
        used[f"group {ref}"] = set() if ref in refs else refs & {body.get("source"), body.get("origin")}
    readers = [reader for reader, read in used.items() if read]
    if readers:
        kind, _, first = readers[0].partition(" ")
        raise ConflictError(
            "; ".join(f"{reader} reads {', '.join(sorted(used[reader]))}" for reader in readers),
            todo=f"remove the {kind} first: asof remove {first.partition('@')[0]}",
            data={"dependants": [reader.partition(" ")[2] for reader in readers]},
        )
    for what, kept, todo, dependant in _written_to(connection, views, groups):
        if dependant not in refs and _newest_ref(connection, kept) in refs:
            raise ConflictError(f"{what} {kept}", todo=todo, data={"dependants": [dependant]})


def _written_to(
    connection: Connection, views: Sequence[Record], groups: Sequence[Record]
) -> Iterator[tuple[str, str, str, str]]:
    """Return what asof itself still writes to: (who does, group, what to do first, who depends on it)."""
    for row in {group.name: group for group in groups}.values():  # the newest of each name
        if json.loads(row.body)["on_violation"] == "quarantine":
            ref = f"{row.name}@{row.version}"
            todo = f"apply the group with another on_violation= first, or remove it: asof remove {row.name}"
            yield f"group {ref} keeps rows that break checks in", quarantine_name(row.name), todo, ref
    for row in {view.name: view for view in views}.values():  # the newest of each name
        if json.loads(row.body).get("log"):
            ref = f"{row.name}@{row.version}"
            todo = f"apply the view with log=0 first, or remove it: asof remove {row.name}"
            yield f"view {ref} logs its answers in", log_name(row.name), todo, ref
    for ref in logging_models(connection):
        todo = f"archive the model first: asof model stage STORE {ref} archived"
        yield f"model {ref} logs its predictions in", predictions_name(ref.partition("@")[0]), todo, ref


def _newest_ref(connection: Connection, name: str) -> str:
    """Return the newest version of a group, "weather@3"; "" if there is none."""
    versions = select(func.max(group_version.c.version)).where(group_version.c.name == name)
    newest = connection.execute(versions).scalar()
    return "" if newest is None else f"{name}@{newest}"


def _is_own(group: FeatureGroup) -> bool:
    """Return whether it is a group that asof itself writes to."""
    return is_log(group) or is_quarantine(group) or is_training_set(group)


class _Step:
    """One change, with what is needed to do it."""

    def __init__(self, change: Change, document: Document, old: Record | None, known: str = "") -> None:
        self.change = change
        self.document = document
        self.old = old
        self.known = known

    def do(self, connection: Connection, now_us: int) -> None:
        if self.change.action == "unchanged":
            return
        is_group = self.change.kind == "group"
        table = group_version if is_group else view_version
        values: dict[str, Any] = {
            "identity": group_identity(self.document) if is_group else view_identity(self.document),
            "body": json.dumps(self.document),
        }
        if is_group:
            values["known"] = self.known
            values["layout"] = json.dumps(self.layout())
        if self.change.action == "amend" and self.old is not None:
            connection.execute(update(table).where(table.c.id == self.old.id).values(**values))
            return
        values |= {"name": self.change.name, "version": self.change.version, "created_at_us": now_us}
        connection.execute(insert(table).values(**values))

    def layout(self) -> list[str]:
        """Return the features in the order in which they were added to this version."""
        before: list[str] = (
            json.loads(self.old.layout) if self.change.action == "amend" and self.old is not None else []
        )
        return before + [f["name"] for f in self.document["features"] if f["name"] not in before]


class _Steps:
    """Compares declared definitions with the registered ones, groups first since views pin them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.versions: dict[str, int] = {}
        self.declared: dict[str, FeatureGroup] = {}
        self.entities: dict[str, tuple[dict[str, str], str]] | None = None

    def of(self, definitions: Sequence[Definition]) -> list[_Step]:
        groups = [d for d in definitions if isinstance(d, FeatureGroup)]
        steps: list[_Step] = []
        for group in sorted(groups, key=lambda each: each.depth):
            steps.append(self.group(group))
            if group.on_violation == "quarantine":
                steps.append(self.own(quarantine_group(group), f"the quarantine of group {group.name!r}"))
        for view in definitions:
            if isinstance(view, FeatureView):
                steps.append(self.view(view))
                if view.log:
                    steps.append(self.own(log_group(view), f"the log of view {view.name!r}"))
        if any(step.change.action != "unchanged" for step in steps):
            self.check_projects(steps)
        return steps

    def check_projects(self, steps: Sequence[_Step]) -> None:
        """Refuse views that read what their projects may not; see `asof.registry.projects`."""
        refs = {step: f"{step.change.name}@{step.change.version}" for step in steps}
        found: list[dict[str, Document]] = []
        for table, kind in ((view_version, "view"), (group_version, "group")):
            rows = self.connection.execute(select(table.c.name, table.c.version, table.c.body))
            declared = {ref: step.document for step, ref in refs.items() if step.change.kind == kind}
            found.append({f"{row.name}@{row.version}": json.loads(row.body) for row in rows} | declared)
        check_projects(found[0], found[1], declared=frozenset(refs.values()))

    def own(self, group: FeatureGroup, what: str) -> _Step:
        """Return what registers a group that asof itself writes to."""
        old = self.newest(group_version, group.name)
        if self.declared.get(group.name, group) != group or (old is not None and not self.is_own(old)):
            raise ConflictError(
                f"{what} would be the group {group.name!r}, which is something else",
                todo=f"rename one of them, or the group {group.name!r}; or do without it",
            )
        return self.group(group)

    def newest(self, table: Any, name: str) -> Record | None:  # noqa: ANN401 - SQLAlchemy's Table, either of two
        query = select(table).where(table.c.name == name).order_by(table.c.version.desc()).limit(1)
        return self.connection.execute(query).first()

    def group(self, group: FeatureGroup) -> _Step:
        if self.declared.setdefault(group.name, group) != group:
            raise UsageError(f"group {group.name!r} is declared twice, differently")
        if self.newest(view_version, group.name) is not None:
            raise ConflictError(f"{group.name!r} is already the name of a view", todo="choose another name")
        old = self.newest(group_version, group.name)
        if old is not None and self.is_own(old) and not _is_own(group):
            kept = group_from(json.loads(old.body))
            what = "a serving log" if is_log(kept) else "a quarantine" if is_quarantine(kept) else "a training set"
            raise ConflictError(f"{group.name!r} is already the name of {what}", todo="choose another name")
        document = self.document(group)
        self.check_entity(group)
        known = group.known or (old.known if old is not None else "served" if group.online else "event")
        change = group_change(
            document, json.loads(old.body) if old is not None else None, getattr(old, "version", 0), known
        )
        self.versions[group.name] = change.version
        return _Step(change, document, old, known)

    def check_entity(self, group: FeatureGroup) -> None:
        """Refuse an entity of the same name with other keys: a name means one thing."""
        if self.entities is None:
            rows = self.connection.execute(select(group_version).order_by(group_version.c.version)).all()
            self.entities = {}
            for row in rows:
                entity = json.loads(row.body)["entity"]
                self.entities[entity["name"]] = (entity["keys"], row.name)
        entity = group.entity
        keys = {key: str(dtype) for key, dtype in entity.keys.items()}
        known, owner = self.entities.setdefault(entity.name, (keys, group.name))
        if known != keys and owner != group.name:
            raise UsageError(
                f"entity {entity.name!r} has keys {keys}, in group {owner!r} it has {known}",
                where=f"group {group.name}",
                todo="use the same keys, or another name for the entity",
            )

    def is_own(self, row: Record) -> bool:
        document = json.loads(row.body)
        made = document.get("source") or document.get("origin")
        return made is None and _is_own(group_from(document))

    def document(self, group: FeatureGroup) -> Document:
        """Return a group as a document, which pins its source."""
        parent = group.parent
        pins = {} if parent is None else {parent.name: self.pin(parent, f"group {group.name!r}")}
        return group_document(group, pins)

    def view(self, view: FeatureView) -> _Step:
        if view.name in self.declared or self.newest(group_version, view.name) is not None:
            raise ConflictError(f"{view.name!r} is already the name of a group", todo="choose another name")
        pins = {group.name: self.pin(group, f"view {view.name!r}") for group in view.groups}
        document = view_document(view, pins)
        old = self.newest(view_version, view.name)
        change = view_change(document, json.loads(old.body) if old is not None else None, getattr(old, "version", 0))
        return _Step(change, document, old)

    def pin(self, group: FeatureGroup, reader: str) -> int:
        """Return the version that a reader means: the one declared beside it, else the registered equal one."""
        if group.name in self.versions:
            if self.declared[group.name] != group:
                raise UsageError(f"{reader} reads a {group.name!r} that differs from the one declared beside it")
            return self.versions[group.name]
        identity = group_identity(self.document(group))
        query = select(group_version).where(group_version.c.name == group.name).order_by(group_version.c.version.desc())
        rows = self.connection.execute(query).all()
        for row in rows:
            if row.identity == identity:
                return int(row.version)
        raise NotFoundError(
            f"{reader} reads group {group.name!r}, which is "
            + ("registered with other contents" if rows else "not registered"),
            todo=f"apply the group together with the {reader.partition(' ')[0]}",
        )


def _split(name: str, kind: str) -> tuple[str, str]:
    """Return the name and the version of "weather@2"; of "weather" the version is "".

    Raises:
        UsageError: It is no text, or names no version after the @: that must not mean all of them.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{type(name).__name__} is no name of a {kind}", todo="pass its name as text")
    base, at, version = name.partition("@")
    if at and not version:
        raise UsageError(f"{name!r} names no version", todo=f"write {base!r}, or {base + '@1'!r}")
    return base, version


def _find(connection: Connection, table: Any, kind: str, name: str) -> Record:  # noqa: ANN401 - either of two Tables
    base, version = _split(name, kind)
    query = select(table).where(table.c.name == base).order_by(table.c.version.desc())
    rows = connection.execute(query).all()
    for row in rows:
        if not version or str(row.version) == version:
            return row
    known = {f"{r.name}@{r.version}" for r in rows} if rows else set(connection.execute(select(table.c.name)).scalars())
    raise NotFoundError.named(kind, name, known)


def _load_group(connection: Connection, name: str) -> RegisteredGroup:
    return _group_of(connection, _find(connection, group_version, "group", name), {})


def _all_groups(connection: Connection) -> list[RegisteredGroup]:
    query = select(group_version).order_by(group_version.c.name, group_version.c.version)
    loaded: dict[str, RegisteredGroup] = {}
    return [_group_of(connection, row, loaded) for row in connection.execute(query).all()]


def _group_of(connection: Connection, row: Record, loaded: dict[str, RegisteredGroup]) -> RegisteredGroup:
    """Return a group; sources are read once, and kept by their refs in `loaded`."""
    document = json.loads(row.body)
    source, origin = document.get("source"), document.get("origin")
    parent = source or origin
    if parent is not None and parent not in loaded:
        loaded[parent] = _group_of(connection, _find(connection, group_version, "group", parent), loaded)
    return RegisteredGroup(
        row.id,
        row.version,
        group_from(document, lambda ref: loaded[ref].definition),
        cast("Known", row.known),
        row.created_at_us,
        tuple(json.loads(row.layout)),
        tuple(json.loads(row.cold)),
        None if source is None else loaded[source],
        None if origin is None else loaded[origin],
    )


def _load_view(connection: Connection, name: str) -> RegisteredView:
    return _view_of(connection, _find(connection, view_version, "view", name), {})


def _view_of(connection: Connection, row: Record, loaded: dict[str, RegisteredGroup]) -> RegisteredView:
    """Return a view; groups are read once, and kept by their refs in `loaded`."""
    groups: dict[str, RegisteredGroup] = {}

    def load(ref: str) -> FeatureGroup:
        if ref not in loaded:
            loaded[ref] = _load_group(connection, ref)
        registered = loaded[ref]
        return groups.setdefault(registered.definition.name, registered).definition

    definition = view_from(json.loads(row.body), load)
    return RegisteredView(row.id, row.version, definition, groups, row.created_at_us)
