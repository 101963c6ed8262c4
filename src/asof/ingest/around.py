"""The checks of a write to a store: what they ask of it, and what becomes of rows that break them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.keys import encode_keys
from asof.arrow.layout import declared_schema, stored_rows
from asof.arrow.order import arrange
from asof.checks import Checking, NoStore, try_out
from asof.definitions import FeatureGroup, FeatureView
from asof.errors import UsageError
from asof.ingest.unchanged import compared_with_history
from asof.parts import Parts, pinned_rows
from asof.records import RETIRED_COLUMN, CommitKind
from asof.registry.registered import RegisteredGroup


def check_checks(parts: Parts, definitions: Sequence[FeatureGroup | FeatureView]) -> None:
    """Refuse checks that could not be asked here.

    Raises:
        NotFoundError: A group that a check looks up is neither registered nor among the definitions.
        UsageError: It has other keys, or see `try_out`.
    """
    declared = {each.name: each for each in definitions if isinstance(each, FeatureGroup)}
    for group in declared.values():
        for check in group.checks:
            if check.kind == "in_group":
                other = declared.get(check.group) or parts.registry.group(check.group).definition
                _check_keys(other.name, other.keys, len(check.columns), f"group {group.name}, check '{check}'")
        try_out(group, NoStore())


def checking(parts: Parts, group: RegisteredGroup, kind: CommitKind, *, now_us: int) -> Checking:
    """Return the checks of a group for one write to it; those of whole batches are not asked of pushes."""
    return Checking(group.definition, StoreAround(parts, group), now_us=now_us, whole=kind != "push")


class StoreAround:
    """The store around a group."""

    def __init__(self, parts: Parts, group: RegisteredGroup) -> None:
        """Keep them."""
        self._parts = parts
        self._group = group

    def sql(self, statement: str, tables: Mapping[str, pa.Table], *, where: str) -> pa.Table:
        """See `Around.sql`."""
        return self._parts.engine.transform(statement, tables, where=where)

    def known(self, group: str, keys: pa.Table, *, where: str) -> np.ndarray:
        """See `Around.known`."""
        other = self._parts.registry.group(group).written
        names = other.definition.keys
        _check_keys(other.ref, names, keys.num_columns, where)
        schema = pa.schema([declared_schema(other.definition).field(name) for name in names])
        try:
            wanted = keys.rename_columns(list(names)).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            what = f"the columns are no keys of {other.ref}: {' '.join(str(error).split())}"
            raise UsageError(what, where=where) from error
        rows, _ = pinned_rows(self._parts, other)
        found = self._parts.engine.newest(rows, keys=wanted).read_all()
        alive = found.filter(pc.invert(found.column(RETIRED_COLUMN))).select(list(names))
        have = set(encode_keys(alive)) if alive.num_rows else set[bytes]()
        return np.array([key in have for key in encode_keys(wanted)], dtype=bool)

    def changes(self, rows: pa.Table) -> tuple[int, int]:
        """See `Around.changes`."""
        definition = self._group.definition
        last = arrange(rows, definition.keys, definition.event_time, on_conflict="last")
        return compared_with_history(self._parts, self._group, stored_rows(definition, last))


def _check_keys(name: str, keys: Sequence[str], count: int, where: str) -> None:
    if len(keys) != count:
        what = f"{name} has the keys {', '.join(keys)}, and the check names {count} columns"
        raise UsageError(what, where=where, todo="name a column for each of them, in their order")
