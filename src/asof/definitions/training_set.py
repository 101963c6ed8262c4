"""The group that keeps the rows of a version of a training set.

It is a group like any other, so that history, `forget`, direct reads, tags and compaction know it. A row is a row of
the spine with its answers; its key is its number. Nobody writes to it but who makes the training set, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup
from asof.definitions.kept import ABOUT, about, kept_type
from asof.definitions.names import PATTERN, checked_name, checked_tag
from asof.definitions.types import DType
from asof.errors import UsageError

ROW = "row"
TAG = "training_set"
MADE_WITH = "made_with"
"""Tags of its group: the training set, "departure-2026-11@1", and the view or group that it was made with."""

LONGEST = 57
"""Characters of a training set's name: that of its group has the version too."""

SPINE, ANSWERS, DERIVED, LABEL, SPLIT = "spine", "answers", "derived", "label", "split"
"""Its columns; those that a training set has nothing for are left out."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A column of a training set.

    Attributes:
        name: Its name.
        dtype: Its type.
        field: The field of the struct that keeps it: its name, if that may be one.
    """

    name: str
    dtype: DType
    field: str


def checked_set_name(name: object, what: str = "training set") -> str:
    """Return the name of a training set, or of something else that a group is named after.

    Raises:
        UsageError: No group's name can be made of it.
    """
    text = checked_tag(name, what)
    made = plain_name(text)
    if len(text) <= LONGEST and PATTERN.fullmatch(made) and "__" not in made:
        return text
    todo = f'use lower-case letters, digits and single dashes, a letter first, {LONGEST} at most: "departure-2026-11"'
    raise UsageError(f"{text!r} is no name for a {what}", todo=todo)


def group_name(name: str, version: int) -> str:
    """Return the name of the group that keeps a version of a training set."""
    return checked_name(f"{plain_name(name)}_v{version}", "group")


def kept_columns(columns: Mapping[str, DType]) -> tuple[Kept, ...]:
    """Return columns with the fields that keep them: a field is an identifier, and no two differ by case alone."""
    taken: set[str] = set()
    found: list[Kept] = []
    for at, (name, dtype) in enumerate(columns.items()):
        field = name if name.isascii() and name.isidentifier() and name.lower() not in taken else f"c__{at}"
        taken.add(field.lower())
        found.append(Kept(name, dtype, field))
    return tuple(found)


def training_group(  # noqa: PLR0913 - what a training set is made of
    name: str,
    version: int,
    *,
    view: str,
    spine: Sequence[Kept],
    answers: Sequence[Kept],
    derived: Sequence[Kept] = (),
    label: DType | None = None,
    split: bool = False,
    ways: Iterable[tuple[str, Iterable[str]]] = (),
    owner: str = "",
    project: str = "",
) -> FeatureGroup:
    """Return the group that keeps a version of a training set.

    Args:
        name: The training set.
        version: Its version.
        view: What it is made with, "departure@1".
        spine: The columns of the caller.
        answers: The features.
        derived: Keys that came from other groups' answers.
        label: The type of a label that is looked up.
        split: Whether it is parted.
        ways: Entities that its rows are about, each with the fields of the spine, or of `derived`, that hold its keys.
        owner: Whom to ask.
        project: Whose it is.
    """
    features = [
        Feature(SPINE, _struct(spine), description="the row of the spine", nullable=False),
        Feature(ANSWERS, _struct(answers), description="the features", nullable=False),
    ]
    if derived:
        features.append(Feature(DERIVED, _struct(derived), description="keys that came from answers"))
    if label is not None:
        features.append(Feature(LABEL, kept_type(label), description="the label"))
    if split:
        features.append(Feature(SPLIT, "string", description="the part of the split", nullable=False))
    kept = group_name(name, version)
    return FeatureGroup(
        kept,
        entity=Entity(kept, {ROW: "int64"}, f"a row of the training set {name}@{version}"),
        features=features,
        known="event",
        description=f"rows of the training set {name}@{version} of {view} (written by asof)",
        owner=owner,
        project=project,
        tags={TAG: f"{name}@{version}", MADE_WITH: view, ABOUT: about(ways)},
    )


def is_training_set(group: FeatureGroup) -> bool:
    """Return whether a group has the shape of one that keeps a training set."""
    names = [feature.name for feature in group.features]
    return group.keys == (ROW,) and group.event_time is None and names[:2] == [SPINE, ANSWERS] and TAG in group.tags


def _struct(columns: Sequence[Kept]) -> DType:
    return DType("struct", (), tuple((column.field, kept_type(column.dtype)) for column in columns))


def plain_name(name: str) -> str:
    """Return what of the name of a training set or model becomes part of a group's name."""
    return name.replace("-", "_").replace(".", "_")
