"""What a caller wants of a training set, as a question whose pins are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from asof.arrow.frames import Frame
from asof.clock import to_us
from asof.definitions import FeatureGroup, Label
from asof.definitions.splits import Split
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, Pins, resolve
from asof.registry.registered import RegisteredGroup
from asof.training.historical import known_mode, moment_us, now_us
from asof.training.sets.labelling import Labeller
from asof.training.sets.recipe import Recipe, pinned_for


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants; the words of `Store.training_set`.

    Attributes:
        name: The training set's name.
        view: The view, or group.
        spine: The rows.
        time: The spine's column of times, or one for all rows.
        split: How the rows are parted.
        label: A column of the spine, or a label that is looked up.
        known: Knowledge mode.
        commits: Pins, or the name of a tag.
        timezone: Zone of naive times.
        truncate: Cut times to whole microseconds.
        batch_rows: Rows that are answered at once.
        code: Commit of the code of whoever asks; None: of this process.
    """

    name: str
    view: str
    spine: Frame
    time: str | datetime | None = None
    split: Split | None = None
    label: str | Label | None = None
    known: str | datetime | None = None
    commits: Pins | str | None = None
    timezone: str | None = None
    truncate: bool = False
    batch_rows: int | None = None
    code: str | None = None


def recipe_of(parts: Parts, asked: Asked) -> Recipe:
    """Return what is asked of history, at pins taken now."""
    question = resolve(parts, asked.view)
    known = asked.known
    if known is not None:
        known_mode(known)
    labeller = None
    if isinstance(asked.label, Label):
        ref = version_of(asked.label.ref.group, question.groups, parts.registry.groups())
        labeller = Labeller.of(asked.label, parts.registry.group(ref))
    elif asked.label is not None and not isinstance(asked.label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        todo = 'name a column of the spine, or pass group["feature"].after("12h")'
        raise UsageError(f"label={asked.label!r} is no label", todo=todo)
    time = asked.time if isinstance(asked.time, str) else ""
    recipe = Recipe(question, labeller, {}, time, None, known)
    recipe = replace(recipe, pins=pinned_for(parts, recipe.groups, asked.commits))
    return recipe if isinstance(asked.time, str) else replace(recipe, moment_us=moment_us(parts, question, asked.time))


def version_of(group: FeatureGroup, read: Mapping[str, RegisteredGroup], every: Sequence[RegisteredGroup]) -> str:
    """Return the version of a label's group: the one that the view reads, or else the newest one that is equal.

    Args:
        group: The group as the caller has it; if no version is equal, the newest one is meant.
        read: The groups that the view reads, by their names.
        every: Every version of every group.

    Raises:
        NotFoundError: No such group is registered.
    """
    versions = [each for each in every if each.definition.name == group.name]
    equal = [each for each in versions if each.definition == group]
    if group.name in read and read[group.name].definition == group:
        return read[group.name].ref
    if not versions:
        raise NotFoundError.named("group", group.name, {each.definition.name for each in every}, where="label=")
    return (equal or versions)[-1].ref


def mature_until_us(parts: Parts, recipe: Recipe) -> int:
    """Return up to when everything is known that the pins of a label can know.

    That is the time of making; but with pins only until the next commit of the label's group was made, and of what was
    known at K only until K.
    """
    assert recipe.labeller is not None  # noqa: S101 - asked for a label only
    group = recipe.labeller.group.stored
    limits = [now_us(parts, parts.log.heads())]
    if group.definition.external is None:
        later = parts.log.commits(group, after=recipe.pins[group.ref])
        limits += [later[0].committed_at_us - 1] if later else []
    if isinstance(recipe.known, datetime):
        limits.append(to_us(recipe.known, what="known"))
    return min(limits)
