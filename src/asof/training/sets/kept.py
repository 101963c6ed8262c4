"""Training sets that a store keeps: their rows, and the same rows made again from history."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from asof.errors import AsofError, ConflictError
from asof.parts import Parts
from asof.records import SEMANTICS
from asof.registry.training_sets import KeptSet
from asof.statistics import GroupStatistics, merged_all, of_rows
from asof.training.historical import equal_values
from asof.training.read import read_rows
from asof.training.sets.digest import TableDigest
from asof.training.sets.manifest import Manifest
from asof.training.sets.recipe import Recipe, with_known
from asof.training.sets.rows import Shape
from asof.training.sets.splitting import Splitter
from asof.training.sets.training_set import Rows


class KeptHere:
    """Reads training sets of a store in a folder; see `Makes`.

    Args:
        parts: Gives the store's parts: in a forked child those that are opened there.
    """

    def __init__(self, parts: Callable[[], Parts]) -> None:
        """Ask for the parts later."""
        self._asked = parts

    @property
    def parts(self) -> Parts:
        """The parts of the store."""
        return self._asked()

    def rows(self, kept: KeptSet, rows: int) -> Iterator[pa.Table]:
        """See `Makes.rows`."""
        manifest = Manifest.from_json(kept.manifest)
        return rows_kept(self.parts, kept.group, manifest.commit, Shape.of(manifest), rows)

    def rebuilt(self, kept: KeptSet) -> Rows:
        """See `Makes.rebuilt`."""
        manifest = Manifest.from_json(kept.manifest)
        where = f"training set {kept.ref}"
        if manifest.erased:
            count = sum(manifest.erased.values())
            numbers = ", ".join(manifest.erased)
            what = f"erased: {count:,} of {manifest.rows:,} rows of {kept.ref} are gone by erasure {numbers}"
            raise ConflictError(what, where=where, todo="make a new version", data={"erased": dict(manifest.erased)})
        if manifest.semantics != SEMANTICS:
            what = f"{kept.ref} was made under version {manifest.semantics} of the rules, this is {SEMANTICS}"
            raise ConflictError(what, where=where, todo=f"make it with asof {manifest.asof}")
        try:
            self._compare(kept, manifest)
        except ConflictError:
            raise
        except AsofError as error:
            what = f"{kept.ref} cannot be made again: {error.what}"
            raise ConflictError(what, where=where, todo=error.todo) from error
        return partial(self._again, kept)

    def late(self, kept: KeptSet) -> Mapping[str, int]:
        """See `Makes.late`."""
        manifest = Manifest.from_json(kept.manifest)
        shape, recipe = Shape.of(manifest), with_known(Recipe.of(self.parts, manifest), "served")
        counts = {each.name: 0 for each in shape.answers}
        for table in self.rows(kept, manifest.batch_rows):
            found = recipe.answered(self.parts, shape.asked(table)).answers
            for name in counts:
                known = table.column(name)
                counts[name] += int((~equal_values(known, found.column(name).cast(known.type))).sum())
        return counts

    def _again(self, kept: KeptSet, rows: int) -> Iterator[pa.Table]:
        """Answer the rows of the spine that are kept again, at the pins."""
        manifest = Manifest.from_json(kept.manifest)
        shape, recipe, split = Shape.of(manifest), Recipe.of(self.parts, manifest), manifest.parted
        splitter = None if split is None else Splitter(split, tuple(each.name for each in shape.spine))
        for table in self.rows(kept, manifest.batch_rows):
            spine = shape.asked(table)
            found = recipe.answered(self.parts, spine)
            times = spine.column(manifest.time).cast(pa.int64()).to_numpy() if manifest.time else None
            numbers = None if splitter is None else splitter.parts(spine, times)
            shown = shape.shown(spine, found.answers, None if found.label is None else found.label.values, numbers)
            for at in range(0, shown.num_rows, rows):
                yield shown.slice(at, rows)

    def _compare(self, kept: KeptSet, manifest: Manifest) -> None:
        """Refuse rows that are not those that were made, with the columns and the first row.

        Raises:
            ConflictError: They are not.
        """
        digest = TableDigest(Shape.of(manifest).schema)
        for table in self._again(kept, manifest.batch_rows):
            digest.update(table)
        found = digest.columns()
        names = [name for name, known in manifest.columns.items() if found.get(name) != known]
        if digest.rows == manifest.rows and not names:
            return
        what = f"{kept.ref} is not the same when it is made again: "
        if digest.rows != manifest.rows:
            what += f"{digest.rows:,} rows of {manifest.rows:,} are kept"
        else:
            what += f"column {', '.join(names)}" + self._first(kept, manifest, names)
        raise ConflictError(what, where=f"training set {kept.ref}", data={"columns": names})

    def _first(self, kept: KeptSet, manifest: Manifest, names: list[str]) -> str:
        """Return the first row in which columns differ from what is kept, as text."""
        before = 0
        pairs = zip(self.rows(kept, manifest.batch_rows), self._again(kept, manifest.batch_rows), strict=False)
        for known, found in pairs:
            same = np.ones(known.num_rows, dtype=bool)
            for name in names:
                same &= equal_values(known.column(name), found.column(name))
            if not same.all():
                at = int(np.flatnonzero(~same)[0])
                name = next(n for n in names if not equal_values(known.column(n), found.column(n))[at])
                one, other = known.column(name)[at].as_py(), found.column(name)[at].as_py()
                return f"; first in row {before + at}, {name}: {one!r} was kept, {other!r} is found"
            before += known.num_rows
        return ""


def rows_kept(parts: Parts, group: str, commit: int, shape: Shape, rows: int) -> Iterator[pa.Table]:
    """Read the rows that a group keeps of a training set, as callers see them, in tables of at most so many."""
    frame = read_rows(
        parts, group, start_us=None, end_us=None, columns=None, known=None,
        commits={group: commit}, latest=False, clocks=False, batch_rows=rows,
    )  # fmt: skip
    return (shape.seen(batch) for batch in frame.batches(rows) if batch.num_rows)


def statistics_of(shape: Shape, label: str | None, time: str, shown: pa.Table) -> GroupStatistics:
    """Return the statistics of features and label of some rows."""
    names = [each.name for each in shape.answers]
    names += [label] if label is not None else []
    return of_rows(shown, features=names, keys=(), event_time=time or None)


def counted(parts: Parts, kept: KeptSet) -> GroupStatistics:
    """Return the statistics of the rows that are kept."""
    manifest = Manifest.from_json(kept.manifest)
    shape, label = Shape.of(manifest), None if manifest.label is None else manifest.label.column
    tables = KeptHere(lambda: parts).rows(kept, manifest.batch_rows)
    return merged_all(statistics_of(shape, label, manifest.time, table) for table in tables)
