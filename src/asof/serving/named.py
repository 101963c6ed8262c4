"""Features by their names alone: the store finds the groups that have them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, overload

from asof.arrow.frames import Frame
from asof.definitions import FeatureGroup, FeatureRef, FeatureView, OnDemand
from asof.definitions.quarantine import is_quarantine
from asof.definitions.references import COLON, COMMA, joined
from asof.definitions.serving_log import is_log
from asof.definitions.training_set import is_training_set
from asof.errors import NotFoundError, UsageError
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.serving.cached import Cached
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Requests
from asof.training.frame import HistoricalFrame

Names = str | Sequence[str]
"""A view or group, or features: "temp", or "weather:temp" where several groups have one."""


class Named:
    """Returns the references of features. Definitions are looked up again after some seconds.

    Args:
        groups: Returns the versions of the groups that the caller may read, by name and version.
        views: The same of views.
    """

    def __init__(self, groups: Callable[[], list[RegisteredGroup]], views: Callable[[], list[RegisteredView]]) -> None:
        """Know no names yet."""
        self._groups = groups
        self._views = views
        self._known = Cached(self._found)

    def __call__(self, names: Names) -> str:
        """Return the name of a view or group as it is, and names of features as references ("weather:temp").

        Raises:
            UsageError: They are no names, or several groups have a feature. NotFoundError: None has.
        """
        return names if isinstance(names, str) else self._known(COMMA.join(_checked(names)))

    def forget(self) -> None:
        """Look everything up again: definitions changed."""
        self._known.forget()

    def _found(self, names: str) -> str:
        wanted = names.split(COMMA)
        if all(COLON in name for name in wanted):
            return names
        groups = {each.definition.name: each.definition for each in self._groups()}  # the last is the newest
        views = {each.definition.name: each.definition for each in self._views()}
        users = [group for group in groups.values() if not _is_own(group)]
        return joined(name if COLON in name else _reference(name, users, list(views.values())) for name in wanted)


class FeaturesOf:
    """The verb of a store."""

    online: Callable[..., Any]
    historical: Callable[..., HistoricalFrame]

    @overload
    def get_features(
        self, features: Sequence[str], keys: Mapping[str, Any], *, request: Mapping[str, Any] | None = None
    ) -> Vector: ...
    @overload
    def get_features(
        self, features: Sequence[str], keys: Sequence[Mapping[str, Any]], *, request: Requests = None
    ) -> Vectors: ...
    @overload
    def get_features(
        self,
        features: Sequence[str],
        keys: Frame,
        *,
        time: str | datetime,
        known: str | datetime | None = None,
        full_names: bool = False,
    ) -> HistoricalFrame: ...
    def get_features(
        self,
        features: Sequence[str],
        keys: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        full_names: bool = False,
        request: Requests = None,
    ) -> Vector | Vectors | HistoricalFrame:
        """Return features by their names, with no view: the store finds the groups that have them.

        With `time` it is `historical` of these features, else `online`, which both take such a list in place of a
        view. Groups of several entities are asked by the key columns of all of them.

        Args:
            features: "temp"; "weather:temp" where several groups have one; "departure:dest_temp" for what a view has
                under a name of its own, "weather@1:temp" for a version other than the newest.
            keys: With `time` a spine, as for `historical`; else a dict of key columns, or a list of them.
            time: The spine's column of times, or one aware datetime for all rows.
            known: As in `historical`.
            full_names: As in `historical`.
            request: As in `online`.

        Raises:
            UsageError: Several groups have a feature: the message names them.
            NotFoundError: None has: with names that come close.
            As `online` and `historical`.
        """
        if isinstance(features, str):
            raise UsageError(f"{features!r} is no list of features", todo=f"pass [{features!r}]")
        if time is None:
            if known is not None or full_names:
                todo = "pass time= for history; the newest values have neither"
                raise UsageError("known= and full_names= are of history", todo=todo)
            return self.online(features, keys, request=request)
        if request is not None:
            todo = "have what a request brings as columns of the spine"
            raise UsageError("request= is of the newest values", todo=todo)
        return self.historical(features, keys, time=time, known=known, full_names=full_names)


def _checked(names: Sequence[object]) -> list[str]:
    """Return names of features.

    Raises:
        UsageError: They are none.
    """
    if not isinstance(names, Sequence) or isinstance(names, bytes) or not names:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        todo = 'pass the name of a view, or a list such as ["temp", "seats"]'
        raise UsageError(f"{type(names).__name__} is no name of a view, and no list of features", todo=todo)
    found: list[str] = []
    for name in names:
        if not isinstance(name, str) or not name or COMMA in name:
            raise UsageError(f"{name!r} is no name of a feature", todo='pass "temp", or "weather:temp"')
        if name in found:
            raise UsageError(f"{name!r} is asked for twice", todo="ask for it once")
        found.append(name)
    return found


def _reference(name: str, groups: Sequence[FeatureGroup], views: Sequence[FeatureView]) -> str:
    """Return the reference of a name: of the one group that has it, else of a view that made it or gave it."""
    found = [f"{group.name}{COLON}{name}" for group in groups for each in group.features if each.name == name]
    if not found:
        own: list[FeatureRef | OnDemand] = []
        for view in views:
            made = _own(view).get(name)
            if made is not None and made not in own:  # views that share one mean the same
                own.append(made)
                found.append(f"{view.name}{COLON}{name}")
    if len(found) > 1:
        every = " or ".join(map(repr, found))
        data = {"name": name, "candidates": found}
        raise UsageError(f"{len(found)} features are named {name!r}", todo=f"say which: {every}", data=data)
    if not found:
        known = {each.name for group in groups for each in group.features}
        raise NotFoundError.named("feature", name, known.union(*map(_own, views)))
    return found[0]


def _own(view: FeatureView) -> dict[str, FeatureRef | OnDemand]:
    """Return what no group has under that name: on-demand features of a view, and those that it named."""
    every = zip(view.output_names(), view.features, strict=True)
    return {name: each for name, each in every if isinstance(each, OnDemand) or each.name}


def _is_own(group: FeatureGroup) -> bool:
    """Return whether asof made a group for itself."""
    return is_log(group) or is_quarantine(group) or is_training_set(group)
