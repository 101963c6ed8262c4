"""Models in the registry's database."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from asof.errors import ConflictError, NotFoundError
from asof.records import Deed
from asof.registry.models import ARCHIVED, KeptModel
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.deeds import record
from asof.registry.sql.tables import deed, model, training_set

_C = model.c

_COLUMNS = (
    "name", "version", "stage", "training_set", "training_digest", "view", "artefact", "digest", "created_at_us",
    "writer", "facts",
)  # fmt: skip

ALONE = ("staging", "production")
"""Stages that have one version of a name at most."""


class SqlModels:
    """The port of models over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, kept: KeptModel) -> KeptModel:
        """See `Models.add`."""
        with self._database.write() as connection:
            _refuse_without(connection, kept)
            kept = replace(kept, version=_last(connection, kept.name) + 1)
            others = _moved(connection, kept) if kept.stage in ALONE else []
            connection.execute(insert(model).values({name: getattr(kept, name) for name in _COLUMNS}))
            note = "; ".join([f"of {kept.training_set}, {kept.stage}", *(f"{each.ref} archived" for each in others)])
            record(connection, Deed(kept.created_at_us, kept.writer, "model", kept.ref, note=note))
            return kept

    @repeated
    def get(self, name: str) -> KeptModel:
        """See `Models.get`."""
        with self._database.read() as connection:
            found = _found(connection, name, stages=True)
            return ([each for each in found if each.live] or found)[-1]

    @repeated
    def all(self) -> list[KeptModel]:
        """See `Models.all`."""
        with self._database.read() as connection:
            return [_kept(row) for row in connection.execute(_ordered()).all()]

    def move(self, name: str, stage: str, *, now_us: int = 0, writer: str = "") -> list[KeptModel]:
        """See `Models.move`."""
        with self._database.write() as connection:
            (*_, kept) = _found(connection, name)
            if kept.stage == stage:
                return []
            if not kept.live:
                _refuse_without(connection, kept)
            moved = replace(kept, stage=stage)
            others = _moved(connection, moved) if stage in ALONE else []
            connection.execute(update(model).where(*_of(moved)).values(stage=stage))
            changed = [*others, moved]
            record(connection, *(Deed(now_us, writer, "model", each.ref, note=each.stage) for each in changed))
            return changed

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[KeptModel]:
        """See `Models.remove`."""
        with self._database.write() as connection:
            gone = _found(connection, name)
            served = [each.ref for each in gone if each.stage == "production"]
            if served:
                todo = f"archive it first: asof model stage STORE {served[0]} archived"
                raise ConflictError(f"{served[0]} is in production", where=f"model {served[0]}", todo=todo)
            for each in gone:
                connection.execute(delete(model).where(*_of(each)))
            record(connection, *(Deed(now_us, writer, "remove", each.ref, note="model") for each in gone))
            return gone


def refuse_if_fitted_on(connection: Connection, refs: Sequence[str]) -> None:
    """Refuse to remove training sets that live models were fitted on.

    Raises:
        ConflictError: One was.
    """
    users = [
        each for each in map(_kept, connection.execute(_ordered()).all()) if each.live and each.training_set in refs
    ]
    if users:
        used = "; ".join(f"{each.training_set} by {each.ref} ({each.stage})" for each in users)
        raise ConflictError(
            f"live models were fitted on it: {used}",
            todo=f"archive the model first: asof model stage STORE {users[0].ref} archived",
            data={"dependants": [each.ref for each in users]},
        )


def logging_models(connection: Connection) -> list[str]:
    """Return the live versions of models that log their predictions."""
    kept = map(_kept, connection.execute(_ordered()).all())
    return [each.ref for each in kept if each.live and json.loads(each.facts).get("log")]


def _moved(connection: Connection, kept: KeptModel) -> list[KeptModel]:
    """Archive the versions that are in the stage of another version of the same name."""
    before = connection.execute(_ordered().where(_C.name == kept.name, _C.stage == kept.stage)).all()
    others = [replace(_kept(row), stage=ARCHIVED) for row in before if row.version != kept.version]
    for each in others:
        connection.execute(update(model).where(*_of(each)).values(stage=ARCHIVED))
    return others


def _refuse_without(connection: Connection, kept: KeptModel) -> None:
    """Refuse a live model whose training set is not the one that it was fitted on.

    Raises:
        ConflictError: It was removed, or made anew.
    """
    name, _, version = kept.training_set.partition("@")
    mine = select(training_set.c.digest).where(training_set.c.name == name, training_set.c.version == int(version))
    digest = connection.execute(mine).scalar()
    if digest != kept.training_digest:
        what = "was removed" if digest is None else "is another one than the model was fitted on"
        todo = "fit the model on a training set that is there"
        raise ConflictError(f"{kept.training_set} {what}", where=f"model {kept.name}", todo=todo)


def _of(kept: KeptModel) -> tuple[Any, Any]:
    return _C.name == kept.name, _C.version == kept.version


def _ordered() -> Select[Any]:
    return select(model).order_by(_C.name, _C.version)


def _last(connection: Connection, name: str) -> int:
    """Return the last number that a version of a name had, also of one that was removed; 0 if there was none.

    Logs of predictions name versions: a number is never given again.
    """
    named = deed.c.about.startswith(f"{name}@", autoescape=True)
    every = connection.execute(select(deed.c.about).where(deed.c.what == "model", named)).scalars()
    return max((int(about.rpartition("@")[2]) for about in every), default=0)


def _found(connection: Connection, name: str, *, stages: bool = False) -> list[KeptModel]:
    """Return the versions of a name, the one of "name@2", or with stages those of "name@production".

    Raises:
        NotFoundError: There is none.
    """
    base, at, which = name.partition("@")
    every = [_kept(row) for row in connection.execute(_ordered().where(_C.name == base)).all()]
    found = [each for each in every if not at or which == str(each.version) or (stages and which == each.stage)]
    if not found:
        known = [each.ref for each in every] + [f"{each.name}@{each.stage}" for each in every if stages]
        if not every:
            known = [str(other) for other in connection.execute(select(_C.name)).scalars()]
        raise NotFoundError.named("model", name, known)
    return found


def _kept(row: Any) -> KeptModel:  # noqa: ANN401 - a row of SQLAlchemy
    return KeptModel(*(getattr(row, name) for name in _COLUMNS))
