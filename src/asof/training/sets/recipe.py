"""How the rows of a training set are answered: when it is made, and again whenever somebody asks whether it can be."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from asof.clock import from_us
from asof.definitions import FeatureView
from asof.definitions.group import FeatureRef
from asof.definitions.serving_log import derived_keys, ways
from asof.errors import UnsupportedError
from asof.parts import Parts, Pins, Question, given_pins, pin_of, pinned_together, refuse_unknown, resolve, seen_pins
from asof.registry.registered import RegisteredGroup
from asof.training.historical import HistoricalReader, known_mode
from asof.training.report import Report
from asof.training.sets.labelling import Labelled, Labeller
from asof.training.sets.manifest import LabelSaid, Manifest


@dataclass(frozen=True, slots=True)
class Answered:
    """Some rows of a training set.

    Attributes:
        answers: The features, in their order.
        derived: Keys that came from other groups' answers.
        label: The labels; None if they are not looked up.
        report: How the features came out.
    """

    answers: pa.Table
    derived: pa.Table
    label: Labelled | None
    report: Report


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is asked of history, at pins that stay.

    Attributes:
        question: The view, or group.
        labeller: What looks the label up, if it is not a column of the spine.
        pins: The last commit that counts of each group version.
        time: The spine's column of times; "" if all rows have one.
        moment_us: That one; None if there is a column.
        known: Knowledge mode, as `historical` takes it.
        names: The features that are wanted: a group may have more since; none for all of them.
    """

    question: Question
    labeller: Labeller | None
    pins: Mapping[str, int]
    time: str
    moment_us: int | None
    known: str | datetime | None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Parts, manifest: Manifest) -> "Recipe":
        """Return the recipe of a training set that was made.

        Raises:
            NotFoundError: Something that it reads is gone.
        """
        label = manifest.label
        labeller = None
        if label is not None and label.group:
            group = parts.registry.group(label.group)
            labeller = Labeller.of(label.label(group.definition), group)
        question = resolve(parts, manifest.view)
        names = tuple(column.name for column in manifest.answers)
        return cls(question, labeller, manifest.pins, manifest.time, manifest.moment_us, manifest.mode, names)

    @property
    def groups(self) -> dict[str, RegisteredGroup]:
        """The group versions that are read, by their names; none of them has rows of its own if it is made."""
        labels = () if self.labeller is None else (self.labeller.group,)
        return {group.ref: group for group in (*self.question.groups.values(), *labels)}

    def answered(self, parts: Parts, spine: pa.Table) -> Answered:
        """Answer some rows.

        Raises:
            As `Store.historical`. ConflictError: Retention dropped rows that the pins could see.
        """
        reader = HistoricalReader(parts)
        time = self.time or (None if self.moment_us is None else from_us(self.moment_us))
        known = self.known
        frame = reader.read(self.question.ref, spine, time=time, known=known, commits=self.pins)
        table = frame.to_arrow()
        answers = table.select(self.names or table.column_names[spine.num_columns :])
        times = self._times(spine)
        label = None
        if self.labeller is not None:
            group = self.labeller.group
            ((rows, _),) = pinned_together(parts, [(group, pin_of(self.pins, group))])
            mode = None if known is None else known_mode(known)
            label = self.labeller.labels(parts, spine, times, rows, mode)
        return Answered(answers, self._derived(parts, spine, times), label, frame.report)

    def _times(self, spine: pa.Table) -> pa.ChunkedArray:
        if self.time:
            return spine.column(self.time)
        moment = pa.repeat(pa.scalar(self.moment_us or 0, pa.int64()), spine.num_rows)
        return pa.chunked_array([moment.cast(pa.timestamp("us", "UTC"))])

    def _derived(self, parts: Parts, spine: pa.Table, times: pa.ChunkedArray) -> pa.Table:
        """Return keys that come from other groups' answers: `forget` finds by them whom a row is about."""
        found = derived_keys(self.question.view)
        if not found:
            return pa.table({})
        sources = {name: source for name, (source, _) in found.items() if isinstance(source, tuple)}
        last = max(at for at, _ in sources.values())
        reader, lookups = HistoricalReader(parts), self.question.view.lookups()[: last + 1]
        pinned = reader.pin(self.question, self.pins)
        mode = None if self.known is None else known_mode(self.known)
        answered = reader.answer(self.question, lookups, spine, times, pinned, mode)
        return pa.table({name: answered[at].found.column(feature) for name, (at, feature) in sources.items()})


def pinned_for(parts: Parts, groups: Mapping[str, RegisteredGroup], commits: Pins | str | None) -> dict[str, int]:
    """Return the pins of all groups that a training set reads, taken at once.

    Raises:
        UnsupportedError: The rows of one are outside of the store, where nothing pins them.
        NotFoundError: Pins of what is no group.
    """
    pins = given_pins(parts, commits)
    if isinstance(pins, Mapping):
        refuse_unknown(parts, pins, groups.values())
    wanted = [(group, pin_of(pins, group)) for group in groups.values()]
    found = pinned_together(parts, wanted)
    seen = seen_pins({ref: rows for group, (rows, _) in zip(groups.values(), found, strict=True) for ref in group.refs})
    for group in groups.values():
        if group.ref not in seen:
            raise UnsupportedError(
                f"the rows of {group.ref} are outside of the store, and nothing pins them",
                where=f"group {group.definition.name}",
                todo="load them into a group of the store, or read them with historical",
            )
    return seen


def entity_ways(view: FeatureView, label: LabelSaid | None, entity: str) -> dict[str, set[tuple[str, ...]]]:
    """Return for each entity the columns that hold its keys, those of the label's too.

    Args:
        view: The view.
        label: The label.
        entity: Name of the label's entity; "" if the label is no feature.
    """
    found = ways(view)
    if label is not None and entity:
        found.setdefault(entity, set()).add(tuple(label.on.values()))
    return found


def sources_of(ref: FeatureRef) -> dict[str, str]:
    """Return the spine's column of each key of a label."""
    given = dict(ref.on)
    return {key: str(given.get(key, key)) for key in ref.group.keys}


def with_known(recipe: Recipe, known: str) -> Recipe:
    """Return the same question under another knowledge mode."""
    return replace(recipe, known=known)
