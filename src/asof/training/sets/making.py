"""Make a version of a training set: its rows are answered, labelled and parted batch by batch, and kept as a commit."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version

import msgspec
import numpy as np
import pyarrow as pa

from asof.arrow.types import inferred_type
from asof.clock import to_us
from asof.definitions import FeatureGroup, Label
from asof.definitions.documents import Document, group_document, view_document
from asof.definitions.splits import Split, TimeSplit, checked_split, split_document
from asof.definitions.training_set import SPLIT, checked_set_name, group_name, kept_columns, training_group
from asof.definitions.types import DType
from asof.errors import ConflictError, NotFoundError, UsageError
from asof.ingest.load import Load
from asof.ingest.prepare import Options
from asof.ingest.write import Writer
from asof.parts import Parts, definition
from asof.progress import Progress, showing
from asof.records import SEMANTICS
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.registry.training_sets import KeptSet
from asof.statistics import GroupStatistics
from asof.statistics.packing import pack
from asof.training.sets.asking import Asked, mature_until_us, recipe_of
from asof.training.sets.digest import TableDigest, joined
from asof.training.sets.fitting import fitted_on
from asof.training.sets.kept import rows_kept, statistics_of
from asof.training.sets.labelling import COUNTS
from asof.training.sets.manifest import LabelSaid, Manifest, columns_of
from asof.training.sets.recipe import Recipe, entity_ways, sources_of
from asof.training.sets.removing import clear, remove
from asof.training.sets.repository import code_commit
from asof.training.sets.rows import Shape
from asof.training.sets.spines import Spine, spine_of
from asof.training.sets.splitting import LEFT_OUT, Splitter, resolved

BATCH_ROWS = 1_000_000
"""Rows of a spine that are answered at once, if nobody says how many: each batch reads the history again."""

DAY_US = 86_400_000_000
"""A version that is not finished after so long was broken off: whoever makes the next one clears it away."""

NOT_MATURE, GAP = "label not mature", "gap"
"""Why rows are left out."""


def make(parts: Parts, writer: Writer, asked: Asked, *, progress: Progress | bool = False) -> KeptSet:
    """Make a version of a training set, or return the newest one if that has the same content; see `Store`."""
    checked_set_name(asked.name)
    split = checked_split(asked.split)
    if asked.batch_rows is not None and asked.batch_rows < 1:
        raise UsageError(f"batch_rows={asked.batch_rows!r} is no number of rows", todo="pass 1 or more")
    recipe = recipe_of(parts, asked)
    rows = asked.batch_rows or BATCH_ROWS
    again = isinstance(split, TimeSplit) and bool(split.shares)
    zone, cut, folder = asked.timezone, asked.truncate, parts.root / "tmp"
    with (
        spine_of(asked.spine, time=recipe.time, timezone=zone, truncate=cut, folder=folder, again=again) as spine,
        showing(f"making {asked.name}", progress=progress, unit="rows") as advance,
    ):
        making = Making.of(parts, asked, recipe, spine, split, rows)
        return making.kept(writer, advance)


@dataclass
class Making:
    """One version on its way."""

    parts: Parts
    asked: Asked
    recipe: Recipe
    spine: Spine
    splitter: Splitter | None
    rows: int
    mature_us: int
    shape: Shape
    label: LabelSaid | None
    spine_digest: TableDigest
    digest: TableDigest
    statistics: GroupStatistics = field(default_factory=GroupStatistics)
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    coincide: dict[str, int] = field(default_factory=dict[str, int])
    label_counts: dict[str, int] = field(default_factory=dict[str, int])
    part_rows: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(  # noqa: PLR0917 - what was found out so far
        cls, parts: Parts, asked: Asked, recipe: Recipe, spine: Spine, split: Split | None, rows: int
    ) -> "Making":
        """Look whether everything fits, before anything is kept."""
        empty = spine.schema.empty_table()
        frame = recipe.answered(parts, empty)
        answers = {each.name: inferred_type(each.type) for each in frame.answers.schema}
        derived = {each.name: inferred_type(each.type) for each in frame.derived.schema}
        label = _label_said(parts, asked, recipe, spine, answers)
        if split is not None and SPLIT in (*spine.types, *answers):
            todo = "rename the column, or give the feature an alias"
            raise UsageError(f"there is a column {SPLIT!r} already, which says the part of the split", todo=todo)
        if label is not None and not label.group and label.column in answers:
            raise UsageError(f"the label {label.column!r} is a feature of the view", todo="leave one of them out")
        looked_up = None
        if label is not None and frame.label is not None:
            looked_up = label.column, inferred_type(frame.label.values.type)
        names = () if split is None else split.names
        shape = Shape(kept_columns(spine.types), kept_columns(answers), kept_columns(derived), looked_up, names)
        if label is not None and looked_up is not None:
            label = msgspec.structs.replace(label, dtype=str(looked_up[1]))
        splitter = None if split is None else Splitter(split, tuple(spine.types))
        digests = TableDigest(spine.schema), TableDigest(shape.schema)
        mature_us = 0 if label is None else label.mature_until_us
        return cls(parts, asked, recipe, spine, splitter, rows, mature_us, shape, label, *digests)

    def kept(self, writer: Writer, advance: Progress) -> KeptSet:
        """Make the version, or find the newest one with the same content."""
        parts, name = self.parts, self.asked.name
        for old, unfinished in parts.training_sets.unfinished(before_us=parts.now_us() - DAY_US):
            clear(parts, old, unfinished)
        self._resolve_split()
        before = {erasure.id for erasure in parts.erasures.all() if erasure.certificate}
        number = parts.training_sets.begin(name, writer=parts.writer, now_us=parts.now_us())
        try:
            group = self._registered(number)
            commit = writer.load(
                Load(parts, group, "backfill", Options(writer=parts.writer), self._tables(group.definition, advance))
            )
            manifest = self._manifest(commit.number)
            manifest = msgspec.structs.replace(manifest, transforms=self._learned(group, commit.number))
            digest = joined(manifest.columns)
            same = _same(parts, name, digest, manifest)
            if same is not None:
                clear(parts, name, number)
                return same
            reads = tuple(sorted({ref for each in self.recipe.groups.values() for ref in each.refs}))
            kept = KeptSet(
                name, number, manifest.view, group.ref, reads, digest, parts.now_us(), parts.writer,
                manifest.to_json(), pack(self.statistics),
            )  # fmt: skip
            parts.training_sets.finish(kept)
        except BaseException:  # an interrupt too: making takes minutes
            clear(parts, name, number)
            raise
        self._refuse_erased(kept, before)
        return kept

    def _registered(self, number: int) -> RegisteredGroup:
        parts, shape = self.parts, self.shape
        name = group_name(self.asked.name, number)
        if any(group.definition.name == name for group in parts.registry.groups()):
            todo = "choose another name, or rename the group"
            what = f"the rows of {self.asked.name}@{number} would be the group {name!r}, which is something else"
            raise ConflictError(what, todo=todo)
        about = definition(parts.registry, self.recipe.question.ref).definition
        labelled = self.recipe.labeller
        entity = "" if labelled is None else labelled.group.definition.entity.name
        made = training_group(
            self.asked.name,
            number,
            view=self.recipe.question.ref,
            spine=shape.spine,
            answers=shape.answers,
            derived=shape.derived,
            label=None if shape.label is None else shape.label[1],
            split=bool(shape.parts),
            ways=shape.fields(entity_ways(self.recipe.question.view, self.label, entity)),
            owner=about.owner,
            project=about.project,
        )
        parts.registry.apply([made], now_us=parts.now_us(), writer=parts.writer)
        return parts.registry.group(f"{name}@1")

    def _resolve_split(self) -> None:
        """Find the cuts of shares of time: the times are read once before."""
        split = None if self.splitter is None else self.splitter.split
        if not isinstance(split, TimeSplit):
            return
        if not self.recipe.time:
            raise UsageError("a TimeSplit needs times", where="split=", todo='pass time="column of the spine"')
        if split.shares and self.splitter is not None:
            times = [self._mature(self.spine.times_us(part)) for part in self.spine.parts(self.rows)]
            self.splitter = replace(self.splitter, split=resolved(split, np.concatenate(times)))

    def _mature(self, times_us: np.ndarray) -> np.ndarray:
        horizon = None if self.label is None or not self.label.group else self.label.horizon_us
        return times_us if horizon is None else times_us[times_us <= self.mature_us - horizon]

    def _tables(self, group: FeatureGroup, advance: Progress) -> Iterator[pa.Table]:
        """Return the rows as the group keeps them, batch by batch."""
        number = done = 0
        column = None if self.label is None else self.label.column
        for part in self.spine.parts(self.rows):
            self.spine_digest.update(part)
            shown, derived = self._answered(part)
            self.digest.update(shown)
            self.statistics = self.statistics.merge(statistics_of(self.shape, column, self.recipe.time, shown))
            yield self.shape.kept(group, shown, derived, number)
            number += shown.num_rows
            done += part.num_rows
            advance(done, max(done, self.spine.total))

    def _answered(self, part: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return the rows of a part that stay, as callers see them, and keys that came from answers."""
        part, numbers = self._staying(part)
        found = self.recipe.answered(self.parts, part)
        for name, statuses in found.report.counts.items():
            known = self.counts.setdefault(name, {})
            for status, count in statuses.items():
                known[status] = known.get(status, 0) + count
        for name, count in found.report.coincide.items():
            self.coincide[name] = self.coincide.get(name, 0) + count
        for name, count in ({} if found.label is None else found.label.counts).items():
            self.label_counts[name] = self.label_counts.get(name, 0) + count
        label = None if found.label is None else found.label.values
        for at, name in enumerate(self.shape.parts):
            inside = 0 if numbers is None else int((numbers == at).sum())
            self.part_rows[name] = self.part_rows.get(name, 0) + inside
        return self.shape.shown(part, found.answers, label, numbers), found.derived

    def _staying(self, part: pa.Table) -> tuple[pa.Table, np.ndarray | None]:
        """Leave out rows whose label is not mature, and those in a gap; return the number of the part of each other."""
        times_us = self.spine.times_us(part) if self.recipe.time else None
        if self.label is not None and self.label.group:
            then = np.full(part.num_rows, self.recipe.moment_us or 0) if times_us is None else times_us
            mature = then <= self.mature_us - self.label.horizon_us
            self._count(NOT_MATURE, ~mature)
            part = part.filter(pa.array(mature))
            times_us = None if times_us is None else times_us[mature]
        if self.splitter is None:
            return part, None
        numbers = self.splitter.parts(part, times_us)
        stays = numbers != LEFT_OUT
        if isinstance(self.splitter.split, TimeSplit):
            self._count(GAP, ~stays)
        return part.filter(pa.array(stays)), numbers[stays]

    def _count(self, why: str, out: np.ndarray) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + int(out.sum())

    def _manifest(self, commit: int) -> Manifest:
        recipe, shape, label = self.recipe, self.shape, self.label
        if label is not None:
            counts = self.label_counts if label.group else _of_column(self.statistics, label.column)
            label = msgspec.structs.replace(label, counts=counts)
        known = to_us(recipe.known) if isinstance(recipe.known, datetime) else recipe.known
        split = None if self.splitter is None else self.splitter.split
        return Manifest(
            view=recipe.question.ref,
            documents=_documents(self.parts, recipe),
            time=recipe.time,
            moment_us=recipe.moment_us,
            known=known,
            pins=dict(recipe.pins),
            commit=commit,
            spine=columns_of(shape.spine),
            answers=columns_of(shape.answers),
            derived=columns_of(shape.derived),
            spine_hash=self.spine_digest.hexdigest(),
            given=self.spine_digest.rows,
            rows=self.digest.rows,
            left_out=self.left_out,
            split=split_document(split),
            parts=self.part_rows,
            label=label,
            ways=self._ways(),
            columns=self.digest.columns(),
            counts=self.counts,
            coincide=self.coincide,
            batch_rows=self.rows,
            semantics=SEMANTICS,
            asof=version("asof"),
            code_commit=code_commit() if self.asked.code is None else self.asked.code,
        )

    def _learned(self, group: RegisteredGroup, commit: int) -> Document | None:
        """Return what the view's transforms learn of the training part, the first one of the split."""
        view = self.recipe.question.view
        if not view.transforms:
            return None
        part = self.shape.parts[0] if self.shape.parts else None
        return fitted_on(view, lambda: rows_kept(self.parts, group.ref, commit, self.shape, self.rows), part).document()

    def _ways(self) -> dict[str, list[list[str]]]:
        """Return the entities that the rows are about, as far as the spine has their keys."""
        labelled = self.recipe.labeller
        entity = "" if labelled is None else labelled.group.definition.entity.name
        found = entity_ways(self.recipe.question.view, self.label, entity)
        within = {
            name: [list(way) for way in sorted(ways) if set(way) <= set(self.spine.types)]
            for name, ways in found.items()
        }
        return {name: ways for name, ways in within.items() if ways}

    def _refuse_erased(self, kept: KeptSet, before: set[int]) -> None:
        """Take the version back if keys were erased since it was begun: it may hold what was erased."""
        if {erasure.id for erasure in self.parts.erasures.all()} <= before:
            return
        remove(self.parts, kept.ref)
        what = f"keys were erased while {kept.ref} was being made"
        raise ConflictError(what, where=f"training set {kept.name}", todo="make it again")


def _label_said(
    parts: Parts, asked: Asked, recipe: Recipe, spine: Spine, answers: dict[str, DType]
) -> LabelSaid | None:
    if isinstance(asked.label, str):
        if asked.label not in spine.types:
            raise NotFoundError.named("spine column", asked.label, spine.types, where="label=")
        return LabelSaid(column=asked.label, dtype=str(spine.types[asked.label]))
    if asked.label is None or recipe.labeller is None:
        return None
    label, taken = recipe.labeller.label, {*spine.types, *answers, SPLIT}
    feature = label.ref.feature.name
    column = asked.label.name or (feature if feature not in taken else f"{feature}_after_{_short(label)}")
    if column in taken:
        todo = 'give the label another name: .after("12h").alias("late")'
        raise UsageError(f"the label would be a second column {column!r}", where="label=", todo=todo)
    return LabelSaid(
        column=column,
        group=recipe.labeller.group.ref,
        feature=feature,
        on=sources_of(label.ref),
        horizon_us=label.horizon_us,
        mature_until_us=mature_until_us(parts, recipe),
    )


def _short(label: Label) -> str:
    return str(label).rpartition(" ")[2]


def _of_column(statistics: GroupStatistics, name: str) -> dict[str, int]:
    """Return how many rows of a label that came with the spine have a value."""
    found = statistics.columns.get(name)
    nulls = 0 if found is None else found.nulls
    return {COUNTS[0]: statistics.rows - nulls, COUNTS[1]: nulls}


def _documents(parts: Parts, recipe: Recipe) -> dict[str, Document]:
    """Return the definitions of what is read, by their names."""
    found: dict[str, Document] = {}
    asked = definition(parts.registry, recipe.question.ref)
    if isinstance(asked, RegisteredView):
        pins = {name: group.version for name, group in asked.groups.items()}
        found[asked.ref] = view_document(asked.definition, pins)
    for group in recipe.groups.values():
        for each in (group, group.parent):
            if each is not None:
                pins = {} if each.parent is None else {each.parent.definition.name: each.parent.version}
                found[each.ref] = group_document(each.definition, pins)
    return found


def _same(parts: Parts, name: str, digest: str, manifest: Manifest) -> KeptSet | None:
    """Return the newest version of a name if it has the same content and was made with the same question."""
    with suppress(NotFoundError):
        kept = parts.training_sets.get(name)
        known = Manifest.from_json(kept.manifest)
        if kept.digest == digest and not known.erased and _question(known) == _question(manifest):
            return kept
    return None


def _question(manifest: Manifest) -> tuple[object, ...]:
    label = manifest.label
    asked = None if label is None else (label.column, label.group, label.feature, label.on, label.horizon_us)
    return manifest.view, manifest.split, manifest.known, asked
