"""Which rows an erasure means: those of the entity's groups, and the answers about them in serving logs."""

from collections.abc import Iterator
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
from asof.definitions.serving_log import KEY, is_log, logged_key
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, pinned_rows
from asof.registry.port import RegisteredGroup, RegisteredView


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

    def holdings(self, parts: Parts) -> Iterator[Holding]:
        """Give every group version that may hold rows of the keys."""
        views = parts.registry.views()
        for group in parts.registry.groups():
            if group.definition.entity.name == self.entity.name:
                yield Holding(group, self.keys)
            elif is_log(group.definition):
                yield Holding(group, self._answers(parts, group, views))

    def _answers(self, parts: Parts, log: RegisteredGroup, views: list[RegisteredView]) -> pa.Table:
        """Return the keys of a log's rows that are answers about this entity's keys."""
        rows, _ = pinned_rows(parts, log)
        ways = set(self._ways(log.definition, views))
        wanted = pa.array(encode_keys(self.keys), pa.binary())
        found: list[pa.Table] = []
        structs = [name for name in ("keys", "derived") if name in log.definition.columns]
        for batch in parts.engine.scan(rows, columns=[KEY, *structs]) if ways else ():
            asked = pa.table(
                {
                    field.name: part
                    for name in structs
                    for field, part in zip(
                        batch.schema.field(name).type,
                        batch.column(batch.schema.get_field_index(name)).flatten(),
                        strict=True,
                    )
                }
            )
            hit = np.zeros(batch.num_rows, dtype=bool)
            for way in ways:
                hit |= self._is_about(asked.select(list(way)), wanted)
            found.append(pa.table({KEY: batch.column(batch.schema.get_field_index(KEY))}).filter(pa.array(hit)))
        schema = pa.schema([declared_schema(log.definition).field(KEY)])
        return pa.concat_tables(found).cast(schema) if found else schema.empty_table()

    def _ways(self, log: FeatureGroup, views: list[RegisteredView]) -> Iterator[tuple[str, ...]]:
        """Give the columns of a log that hold keys of the entity, in the order of its keys."""
        names = log.tags.get("serving_log")
        for view in views:
            if view.definition.name != names:
                continue
            lookups = view.definition.lookups()
            for lookup in lookups:
                if lookup.group.entity.name == self.entity.name:
                    yield tuple(logged_key(source, lookups) for source in lookup.sources)

    def _is_about(self, asked: pa.Table, wanted: pa.Array) -> np.ndarray:
        types = [arrow_type(dtype) for dtype in self.entity.keys.values()]
        whole = np.ones(asked.num_rows, dtype=bool)
        for column in asked.columns:
            whole &= ~pc.is_null(column).to_numpy().astype(bool)
        hit = np.zeros(asked.num_rows, dtype=bool)
        if whole.any():
            given = pa.table(
                [c.filter(pa.array(whole)).cast(t) for c, t in zip(asked.columns, types, strict=True)],
                names=list(self.entity.keys),
            )
            hit[whole] = pc.is_in(pa.array(encode_keys(given), pa.binary()), value_set=wanted).to_numpy(False)  # noqa: FBT003
        return hit


def _conformed(group: FeatureGroup, keys: Frame) -> pa.Table:
    table, _ = to_table([keys] if isinstance(keys, dict) else keys, where=f"keys of {group.entity.name}")
    schema = pa.schema([declared_schema(group).field(key) for key in group.keys])
    rows = conform(table, group, columns=schema)
    if not rows.num_rows:
        raise UsageError("which keys?", where=f"entity {group.entity.name}", todo="pass a dict, or a frame of keys")
    return rows.group_by(list(group.keys)).aggregate([]).select(list(group.keys))
