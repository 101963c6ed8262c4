"""Which rows an erasure means: those of the entity's groups, and what asof keeps about them.

That are rows of serving logs, of quarantines and of training sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform
from asof.arrow.frames import Frame, to_table
from asof.arrow.keys import encode_keys
from asof.arrow.layout import declared_schema
from asof.arrow.types import arrow_type
from asof.definitions import Entity, FeatureGroup
from asof.definitions.kept import said_ways
from asof.definitions.quarantine import is_quarantine
from asof.definitions.serving_log import is_log, ways
from asof.definitions.training_set import DERIVED, SPINE, is_training_set
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, pinned_rows
from asof.registry.registered import RegisteredGroup, RegisteredView


@dataclass(frozen=True, slots=True)
class Holding:
    """Rows of one group version that are to go.

    Attributes:
        group: The group version.
        keys: Their keys.
    """

    group: RegisteredGroup
    keys: pa.Table


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be erased.

    Attributes:
        entity: The entity.
        keys: Its keys, each once, none of them null.
    """

    entity: Entity
    keys: pa.Table

    @classmethod
    def of(cls, parts: Parts, entity: str, keys: Frame) -> "Target":
        """Return the target of a call.

        Raises:
            NotFoundError: No group has such an entity, or the keys lack a column. DataError: A key does not fit.
            UsageError: There are no keys.
        """
        groups = {group.definition.entity.name: group.definition for group in parts.registry.groups()}
        if entity not in groups:
            raise NotFoundError.named("entity", entity, groups)
        return cls(groups[entity].entity, _conformed(groups[entity], keys))

    def holdings(self, parts: Parts) -> list[Holding]:
        """Return every version of the entity's groups with the keys as it has them.

        Raises:
            UsageError: A version has other key columns, so nobody can say which of its rows are meant.
            DataError: A key does not fit the types of a version.
        """
        found: list[Holding] = []
        for group in parts.registry.groups():
            entity = group.definition.entity
            if entity.name != self.entity.name:
                continue
            if set(entity.keys) != set(self.entity.keys):
                raise UsageError(
                    f"{group.ref} has keys {list(entity.keys)}, {self.entity.name} has {list(self.entity.keys)} now",
                    todo=f"remove that version first: asof remove {group.ref}",
                )
            if group.definition.external is None and group.source is None:
                found.append(Holding(group, _conformed(group.definition, self.keys)))
        return found

    def answers(self, parts: Parts) -> list[Holding]:
        """Return the rows of serving logs, quarantines and training sets that are about the keys."""
        views = parts.registry.views()
        return [
            Holding(group, self._answers(parts, group, views))
            for group in parts.registry.groups()
            if is_log(group.definition) or is_quarantine(group.definition) or is_training_set(group.definition)
        ]

    def _answers(self, parts: Parts, log: RegisteredGroup, views: list[RegisteredView]) -> pa.Table:
        definition = log.definition
        (item,) = definition.keys
        known = said_ways(definition, self.entity.name)
        for view in views:
            if view.definition.name == definition.tags.get("serving_log"):
                known |= ways(view.definition).get(self.entity.name, set())
        rows, _ = pinned_rows(parts, log)
        wanted = set(encode_keys(self.keys))
        found: list[pa.Table] = []
        for batch in parts.engine.stamped(rows) if known else ():
            columns = _asked(batch, definition)
            hit = np.zeros(batch.num_rows, dtype=bool)
            for way in known:
                if set(way) <= columns.keys():  # else a way of another version of the view
                    hit |= [key in wanted for key in _encoded(self.entity, [columns[name] for name in way])]
            found.append(pa.table({item: _column(batch, item)}).filter(pa.array(hit)))
        schema = pa.schema([declared_schema(definition).field(item)])
        return pa.concat_tables(found).cast(schema) if found else schema.empty_table()

    def about(self, log: FeatureGroup, answers: pa.Table) -> np.ndarray:
        """Return for each row of a log whether it is an answer about the keys, by what the log says itself."""
        wanted = set(encode_keys(self.keys))
        return np.array(
            [bool(wanted.intersection(keys)) for keys in keys_in_log(self.entity, log, answers)], dtype=bool
        )


def keys_in_log(entity: Entity, log: FeatureGroup, answers: pa.Table) -> list[list[bytes]]:
    """Return for each row of a log the encoded keys of an entity that it is about, by what the log says itself."""
    found: list[list[bytes]] = [[] for _ in range(answers.num_rows)]
    (batch,) = answers.combine_chunks().to_batches() or [None]
    columns = {} if batch is None else _asked(batch, log)
    for way in said_ways(log, entity.name):
        for keys, key in zip(found, _encoded(entity, [columns[name] for name in way]), strict=True):
            if key is not None:
                keys.append(key)
    return found


def _encoded(entity: Entity, columns: Sequence[pa.Array]) -> list[bytes | None]:
    """Return the key of each row; None where a part of it is null."""
    whole = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        whole &= ~pc.is_null(column).to_numpy(False).astype(bool)  # noqa: FBT003 - Arrow's own signature
    types = [arrow_type(dtype) for dtype in entity.keys.values()]
    parts = [column.filter(pa.array(whole)).cast(kind) for column, kind in zip(columns, types, strict=True)]
    encoded = iter(encode_keys(pa.table(parts, names=list(entity.keys))) if whole.any() else ())
    return [next(encoded) if each else None for each in whole]


def _asked(answers: pa.RecordBatch, log: FeatureGroup) -> dict[str, pa.Array]:
    """Return the keys of answers, those that came from other answers too."""
    return {
        field.name: part
        for name in ("keys", SPINE, DERIVED)
        if name in log.columns
        for field, part in zip(answers.schema.field(name).type, _column(answers, name).flatten(), strict=True)
    }


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _conformed(group: FeatureGroup, keys: Frame) -> pa.Table:
    table, _ = to_table([keys] if isinstance(keys, dict) else keys, where=f"keys of {group.entity.name}")
    schema = pa.schema([declared_schema(group).field(key) for key in group.keys])
    rows = conform(table, group, columns=schema)
    if not rows.num_rows:
        raise UsageError("which keys?", where=f"entity {group.entity.name}", todo="pass a dict, or a frame of keys")
    return rows.group_by(list(group.keys)).aggregate([]).select(list(group.keys))
