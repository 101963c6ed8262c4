"""`store.training_set`: make one, or open one."""

from collections.abc import Callable
from datetime import datetime

from asof.arrow.frames import Frame
from asof.definitions import Label
from asof.definitions.references import are_references
from asof.definitions.splits import Split
from asof.errors import UsageError
from asof.ingest.write import Writer
from asof.parts import Parts, Pins
from asof.progress import Progress
from asof.training.sets.asking import Asked
from asof.training.sets.kept import KeptHere
from asof.training.sets.making import make
from asof.training.sets.training_set import TrainingSet


class TrainingSetsOf:
    """The verb of a store."""

    _parts: Parts
    _writer: Writer

    def training_set(  # noqa: PLR0913 - pinned
        self,
        name: str,
        view: str | None = None,
        spine: Frame | None = None,
        *,
        time: str | datetime | None = None,
        split: Split | None = None,
        label: str | Label | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        batch_rows: int | None = None,
        code_commit: str | None = None,
        progress: Progress | bool = False,
    ) -> TrainingSet:
        """Make a training set, which stays as it was made; or open one, if there is no view.

        Its rows, in the spine's order, are what `historical` answers at pins taken now, with the label and the part of
        the split. They are kept as rows of a group of their own. The same content again makes no other version.

        Args:
            name: Lower-case letters, digits and dashes. To open: the newest version, or "departure-2026-11@1".
            view: Name of a view, or of a group.
            spine: Keys and times, and whatever else: as for `historical`; or the path of a Parquet file, a dataset, a
                reader, whose rows need not fit memory.
            time: The spine's column of times, or one aware datetime for all rows.
            split: `TimeSplit`, `RandomSplit` or `GroupSplit`.
            label: A column of the spine; or `group["feature"].after("12h")`: rows whose label is not mature yet are
                left out, and counted.
            known: Knowledge mode, as for `historical`; of the label too, at the end of its horizon.
            commits: Pins, or the name of a tag.
            timezone: Zone of naive times.
            truncate: Cut times to whole microseconds.
            batch_rows: Rows of the spine that are answered at once, 1,000,000 by default; each batch reads the history.
            code_commit: Commit of the code that asks; default: what is checked out where this process stands.
            progress: True for a bar, or a callable that is told (done, total) of the spine's rows.

        Raises:
            NotFoundError: Unknown training set, view, column or tag. UsageError, DataError: As `historical`.
            ConflictError: The group that would keep the rows is something else, or keys were erased meanwhile.
            UnsupportedError: Rows outside of the store, which nothing pins.
        """
        if not to_make(view, spine):
            return opened(lambda: self._parts, name)
        asked = Asked(
            name, str(view), spine, time, split, label, known, commits, timezone, truncate, batch_rows, code_commit,
        )  # fmt: skip
        return TrainingSet(make(self._parts, self._writer, asked, progress=progress), KeptHere(lambda: self._parts))


def opened(parts: Callable[[], Parts], name: str) -> TrainingSet:
    """Open a training set: the newest version, or the one of "name@2".

    Raises:
        NotFoundError: With names that come close. UsageError: It is no name.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{type(name).__name__} is no name of a training set", todo="pass its name as text")
    return TrainingSet(parts().training_sets.get(name), KeptHere(parts))


def to_make(view: str | None, spine: Frame | None) -> bool:
    """Return whether a training set is to be made; else it is to be opened.

    Raises:
        UsageError: Only one of the two is given, or the view is no name.
    """
    if (view is None) != (spine is None):
        raise UsageError("a training set is made of a view and a spine", todo="pass both; or neither, to open one")
    if view is not None and not isinstance(view, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{type(view).__name__} is no name of a view", todo="pass its name as text")
    if are_references(view):
        todo = "declare a FeatureView of these features, and apply it: it says later what the set is made of"
        raise UsageError(f"{view!r} is no name of a view", todo=todo)
    return view is not None
