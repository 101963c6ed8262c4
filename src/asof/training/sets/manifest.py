"""How a training set was made: what it takes to make it again, and to know it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from asof.clock import from_us
from asof.definitions import Label
from asof.definitions.group import FeatureGroup, FeatureRef, GroupOn
from asof.definitions.splits import Split, split_from
from asof.definitions.training_set import Kept
from asof.definitions.types import parse_type
from asof.errors import PermanentError

Document = dict[str, Any]
"""JSON: the foreign edge where Any is honest."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column, with the field that keeps it; see `asof.definitions.training_set.Kept`."""

    name: str
    dtype: str
    field: str

    @property
    def kept(self) -> Kept:
        """As the group declares it."""
        return Kept(self.name, parse_type(self.dtype), self.field)


class LabelSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A label: a column of the spine, or a feature that is looked up after a row's time.

    Attributes:
        column: Its column in the training set.
        group: The group version that it is from; "" for a column of the spine.
        feature: The feature.
        on: Keys of the group to columns of the spine.
        horizon_us: How long after the row's time.
        mature_until_us: T + horizon is not later in any row.
        dtype: Its type.
        counts: How many rows have a value, an event whose value is null, no event, or a retirement.
    """

    column: str
    group: str = ""
    feature: str = ""
    on: dict[str, str] = {}
    horizon_us: int = 0
    mature_until_us: int = 0
    dtype: str = ""
    counts: dict[str, int] = {}

    def label(self, group: FeatureGroup) -> Label:
        """Return what was asked for, of its group."""
        on = cast("Mapping[str, str | FeatureRef]", self.on)
        ref = GroupOn(group, tuple(on.items()))[self.feature]
        return ref.after(timedelta(microseconds=self.horizon_us)).alias(self.column)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """How a version of a training set was made.

    Attributes:
        view: The view, or group, "departure@1".
        documents: The definitions of the view, and of the groups that were read, by their names.
        time: The spine's column of times; "" if all rows have one.
        moment_us: That one; None if there is a column.
        known: Knowledge mode: "served", "event", a moment in microseconds; None for each group's own.
        pins: The last commit that counts of each group version.
        commit: The commit that holds the rows, of their own group.
        spine: The caller's columns.
        answers: The features.
        derived: Keys that came from other groups' answers.
        spine_hash: Hash of all rows that were given.
        given: How many were given.
        rows: How many are kept.
        left_out: Why others are not: "label not mature", "gap".
        split: The split, with its cuts.
        parts: Rows of each part.
        label: The label, if there is one.
        ways: Entities that the rows are about, each with the columns of the spine that hold its keys.
        columns: The hash of each column's values.
        counts: Answers by status, of each look-up.
        coincide: Rows whose answer is an event of their very time, of each look-up.
        batch_rows: Rows that were answered at once.
        semantics: Version of the rules.
        asof: Version of asof.
        code_commit: Commit of the working directory of whoever asked for it; "" if it is in no repository.
        transforms: What the view's transforms learned of the training part; None if it has none, or if an erasure took
            rows of it: what was learned may hold their values.
        erased: Erasures that took rows of it, by their numbers, with how many.
    """

    view: str
    documents: dict[str, Document]
    time: str = ""
    moment_us: int | None = None
    known: str | int | None = None
    pins: dict[str, int]
    commit: int = 0
    spine: tuple[Column, ...]
    answers: tuple[Column, ...] = ()
    derived: tuple[Column, ...] = ()
    spine_hash: str = ""
    given: int = 0
    rows: int = 0
    left_out: dict[str, int] = {}
    split: Document | None = None
    parts: dict[str, int] = {}
    label: LabelSaid | None = None
    ways: dict[str, list[list[str]]] = {}
    columns: dict[str, str] = {}
    counts: dict[str, dict[str, int]] = {}
    coincide: dict[str, int] = {}
    batch_rows: int
    semantics: int
    asof: str
    code_commit: str = ""
    transforms: Document | None = None
    erased: dict[str, int] = {}

    @property
    def mode(self) -> str | datetime | None:
        """The knowledge mode as `historical` takes it."""
        return from_us(self.known) if isinstance(self.known, int) else self.known

    @property
    def parted(self) -> Split | None:
        """The split."""
        return split_from(self.split)

    def to_json(self) -> str:
        """Return it as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Return the manifest that `to_json` wrote.

        Raises:
            PermanentError: It is damaged, or a newer asof wrote it.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise PermanentError(f"the manifest of a training set cannot be read: {error}") from error


def columns_of(kept: tuple[Kept, ...]) -> tuple[Column, ...]:
    """Return columns as a manifest says them."""
    return tuple(Column(name=each.name, dtype=str(each.dtype), field=each.field) for each in kept)
