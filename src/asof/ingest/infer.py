"""A group's definition, inferred from a frame: the way in for a folder of CSV files."""

from collections.abc import Sequence

from asof.arrow.frames import Frame, to_table
from asof.arrow.types import inferred_type
from asof.definitions import Entity, Feature, FeatureGroup
from asof.definitions.names import checked_name
from asof.errors import DataError, NotFoundError, UsageError
from asof.parts import Parts


def unregistered(
    parts: Parts, name: str, frame: Frame, keys: Sequence[str], event_time: str | None
) -> FeatureGroup | None:
    """Return the group that a frame is of, if it is not registered yet.

    Raises:
        UsageError: It is registered otherwise.
        NotFoundError, DataError: As `infer_group`.
    """
    try:
        known = parts.registry.group(name).definition
    except NotFoundError:
        return infer_group(name, frame, keys, event_time)
    if tuple(keys) != known.keys or event_time != known.event_time:
        raise UsageError(
            f"group {name!r} exists with keys {list(known.keys)} and event_time {known.event_time!r}",
            todo="leave out keys= and event_time=",
        )
    return None


def infer_group(name: str, frame: Frame, keys: Sequence[str], event_time: str | None) -> FeatureGroup:
    """Return an offline group whose columns and types are those of a frame; every feature may be null.

    Args:
        name: Name of the group, and of its entity.
        frame: The rows.
        keys: Key columns.
        event_time: Event time column; None makes a static group.

    Raises:
        NotFoundError: A column is not there. UsageError: Columns with names or types that cannot be stored.
        DataError: The event time column holds no times.
    """
    table, _ = to_table(frame, where=f"group {name}")
    types = {field.name: inferred_type(field.type) for field in table.schema}
    for column in (*keys, *((event_time,) if event_time else ())):
        if column not in types:
            raise NotFoundError.named("column", column, types, where=f"group {name}")
    if event_time is not None and types[event_time].name != "timestamp":
        raise DataError(
            f"column {event_time!r} is {types[event_time]}, no time",
            where=f"group {name}",
            todo='convert it, such as pandas.to_datetime(df["time"], utc=True)',
        )
    features = [Feature(checked_name(c, "feature"), t) for c, t in types.items() if c not in (*keys, event_time)]
    if not features:
        raise UsageError("there is no column left for a feature", where=f"group {name}")
    entity = Entity(name, keys={key: types[key] for key in keys})
    return FeatureGroup(name, entity=entity, features=features, event_time=event_time)
