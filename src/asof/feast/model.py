"""What was read of a repository of Feast, in our words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asof.feast.static import Place


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """Something that a person should look at.

    Attributes:
        place: Where it stands in the repository.
        what: What it is.
        todo: What to do about it.
    """

    place: Place
    what: str
    todo: str = ""


class Remarks(list[Remark]):
    """The remarks on one repository."""

    def add(self, place: Place, what: str, todo: str = "") -> None:
        """Remark something, once."""
        remark = Remark(place, what, todo)
        if remark not in self:
            self.append(remark)


@dataclass(frozen=True, slots=True)
class OurEntity:
    """An entity: one of Feast's, or several that a feature view has together."""

    name: str
    keys: Mapping[str, str]
    description: str = ""


@dataclass(frozen=True, slots=True)
class OurFeature:
    """A feature, with the column of the source that holds it."""

    name: str
    dtype: str
    column: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a group come from.

    Attributes:
        file: A file or folder that can be read in place; None if they lie elsewhere.
        event_time: Its column of event times.
        columns: Its columns with their types, keys and event time among them.
        renamed: Columns that have another name in the group.
        written: Whether rows also arrive by push or stream, so that the file is history only.
    """

    file: Path | None
    event_time: str
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    written: bool = False


@dataclass(frozen=True, slots=True)
class OurGroup:
    """A group, of a feature view."""

    name: str
    place: Place
    entity: OurEntity
    features: Sequence[OurFeature]
    event_time: str
    rows: Rows
    ttl: str | None = None
    online: bool = True
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Input:
    """What a function is given: a feature of a group, or what a request brings."""

    name: str
    dtype: str
    group: OurGroup | None = None


@dataclass(frozen=True, slots=True)
class OurFunction:
    """An on-demand feature.

    Attributes:
        name: The feature.
        function: The function's name in the file that is written.
        dtype: Its type.
        inputs: What it is given, by the names of its arguments.
        body: Its lines; () if they must be written by hand.
        origin: The lines of Feast's function.
    """

    name: str
    function: str
    dtype: str
    inputs: Mapping[str, Input]
    body: Sequence[str]
    origin: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A feature as a view has it.

    Attributes:
        of: The group that has it, or the function that makes it.
        name: Its name there.
        alias: Its name in the view; "" for its own.
        keys: Keys of the group, with the names under which they are asked for.
    """

    of: OurGroup | OurFunction
    name: str
    alias: str = ""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class OurView:
    """A view, of a feature service or an on-demand feature view."""

    name: str
    place: Place
    features: Sequence[Shown]
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    log: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a repository says.

    Attributes:
        root: Its folder.
        project: Its name.
        settings: What `asof.toml` would say.
        groups: Its feature views.
        functions: The features of its on-demand feature views.
        views: Its feature services and on-demand feature views.
        remarks: What has no counterpart, or is to be looked at.
    """

    root: Path
    project: str
    settings: Mapping[str, str]
    groups: Sequence[OurGroup]
    functions: Sequence[OurFunction]
    views: Sequence[OurView]
    remarks: Sequence[Remark]
