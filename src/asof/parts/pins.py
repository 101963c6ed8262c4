"""Pins: up to which commits a read sees the groups. Source: SEMANTICS section 1."""

from collections.abc import Iterable, Mapping

from asof.errors import NotFoundError, UsageError
from asof.parts.open import Parts
from asof.records import Tag
from asof.registry.registered import RegisteredGroup

Pins = Mapping[str, int]
"""Group, or group version ("weather@1"), to the last commit that counts."""

TODO = "pass the commits of an earlier frame, or the name of a tag"


def given_pins(parts: Parts, commits: Pins | str | None) -> Pins | Tag | None:
    """Return the pins that a caller gave, or the tag that he named.

    Raises:
        NotFoundError: Unknown tag. UsageError: It is neither.
    """
    if isinstance(commits, str):
        return parts.tags.get(commits)
    if commits is not None and not isinstance(commits, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{type(commits).__name__} is no pins", where="commits=", todo=TODO)
    return commits


def refuse_unknown(parts: Parts, pins: Pins, read: Iterable[RegisteredGroup]) -> None:
    """Refuse pins of what is no group: pins of a larger view serve a smaller one, a typing error serves nobody.

    Args:
        parts: The store's parts.
        pins: The pins.
        read: The groups that are read.

    Raises:
        NotFoundError: There is one.
    """
    asked = [each for group in read for each in (group, group.stored)]
    known = {name for group in asked for name in (group.ref, group.definition.name)}
    if pins.keys() <= known:
        return
    known |= {name for group in parts.registry.groups() for name in (group.ref, group.definition.name)}
    for name in pins.keys() - known:
        raise NotFoundError.named("group", name, known, where="commits=")


def pin_of(given: Pins | Tag | None, group: RegisteredGroup) -> int | None:
    """Return the pin of a group, or else of the group that it is made of; None for all commits.

    Raises:
        UsageError: There are pins and none for this group, or it is no commit number.
    """
    if given is None:
        return None
    if isinstance(given, Tag) and group.definition.external is not None:
        raise UsageError(
            f"no pin for group {group.ref}: its rows are outside of the store, and no tag pins them",
            where="commits=",
            todo="pass the commits of an earlier frame",
        )
    pins = given.pins if isinstance(given, Tag) else given
    names = [group.ref, group.definition.name, group.stored.ref, group.stored.definition.name]
    pin = next((pins[name] for name in names if name in pins), None)
    if pin is None and isinstance(given, Tag):
        raise UsageError(
            f"no pin for group {group.ref}: it was not there when the tag {given.name!r} was made",
            where="commits=",
            todo="pass a later tag, or the commits of an earlier frame",
        )
    if pin is None and group.definition.external is not None:
        todo = "read without commits=; only Delta tables keep what they held"
        raise UsageError(
            f"no pin for group {group.ref}, whose rows are outside of the store", where="commits=", todo=todo
        )
    if pin is None:
        raise UsageError(f"no pin for group {group.ref}", where="commits=", todo=TODO)
    if not isinstance(pin, int) or isinstance(pin, bool) or pin < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{pin!r} is no commit number of group {group.ref}", where="commits=", todo=TODO)
    return pin
