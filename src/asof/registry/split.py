"""Which features of a group may become its cold family."""

from collections.abc import Sequence

from asof.errors import ConflictError, NotFoundError, UsageError
from asof.registry.registered import RegisteredGroup


def checked_cold(group: RegisteredGroup, cold: Sequence[str]) -> tuple[str, ...]:
    """Return the features of a cold family in the order of the layout.

    Raises:
        NotFoundError: Unknown feature. UsageError: They make no family, or the group does not skip unchanged rows.
        ConflictError: The group is split already, with other features.
    """
    definition, where = group.definition, f"group {group.ref}"
    if isinstance(cold, str) or not all(isinstance(name, str) for name in cold):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{cold!r} is no list of features", where=where, todo='pass cold=["a", "b"]')
    if not cold:
        raise UsageError("which features are cold?", where=where, todo="name those that hardly ever change")
    for name in cold:
        if name in definition.keys or name == definition.event_time:
            raise UsageError(f"{name!r} is no feature: keys and event time lie in both families", where=where)
        if name not in group.layout:
            raise NotFoundError.named("feature", name, group.layout, where=where)
    wanted = tuple(name for name in group.layout if name in cold)
    if wanted == group.layout:
        raise UsageError(
            "all features would be cold", where=where, todo="leave out those that change more often than the others"
        )
    if group.cold and group.cold != wanted:
        raise ConflictError(
            f"it is split already, and its cold features are {', '.join(group.cold)}",
            where=where,
            todo="a split stays as it is; a new version of the group begins without one",
        )
    if definition.on_unchanged != "skip":
        raise UsageError(
            "its rows are not compared with what is stored, so a split would save nothing",
            where=where,
            todo='apply it with on_unchanged="skip" first',
        )
    return wanted
