"""The places of a store that hold rows, or may: the one list, in which whatever keeps rows must register.

A test writes through every way in, and fails if a file of the store belongs to none of them, or to two.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Protocol

from asof.arrow.keys import encode_keys
from asof.checks import without_values
from asof.engine.spill import sweep
from asof.erasure.certificate import Erased
from asof.erasure.history import ATTEMPTS, count_in_history, erase_in_history
from asof.erasure.target import Holding
from asof.erasure.training_sets import count_again
from asof.errors import ConflictError
from asof.ingest.feed import OnlineFeed
from asof.ingest.statistics import drop_all, make_missing
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts, rewriting
from asof.parts.trees import SHAPE_KEY
from asof.registry.monitor_runs import without_segments


class Place(Protocol):
    """A place that holds rows, or may.

    Attributes:
        name: Its name.
        files: Patterns of its files in a store's folder, as `Path.full_match` reads them.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]]

    def count(self, holdings: Sequence[Holding]) -> list[Erased]:
        """Return what `erase` would erase, and change nothing."""
        ...

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """Erase the rows, and leave none of their bytes in the place's files; repeating it is harmless."""
        ...


@dataclass
class _PlaceOf:
    """A place of one store; it holds nothing that is known by key, unless it says so."""

    parts: Parts
    feed: OnlineFeed
    upkeep: Upkeep

    def count(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.count`."""
        del holdings
        return []

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        return []


class HistoryPlace(_PlaceOf):
    """Data files and journal, and files that were replaced or never published."""

    name: ClassVar[str] = "history"
    files: ClassVar[tuple[str, ...]] = ("history/**",)

    def count(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.count`."""
        return [each for holding in holdings for each in count_in_history(self.parts, holding)]

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        found: list[Erased] = []
        with rewriting(self.parts.root):  # who merges files would leave their rows behind for a moment
            for holding in holdings:
                erased = erase_in_history(self.parts, holding)
                if erased:
                    self.upkeep.mirror(holding.group)
                found += erased
            self.upkeep.discard_replaced([holding.group for holding in holdings])  # at once, whoever reads them
        return found


class StatisticsPlace(_PlaceOf):
    """Least and greatest values, frequent ones, those that sketches keep.

    The spans whose commits had rows of the keys went with them, in the same step. Where retention dropped rows before,
    nobody can tell whose they were: there all of them go. What is left of history is counted anew.
    """

    name: ClassVar[str] = "statistics"
    files: ClassVar[tuple[str, ...]] = ()  # in the registry's database

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        for group in (holding.group for holding in holdings):
            if self.parts.log.snapshot(group).horizon_us is not None:
                repeated(lambda g=group: drop_all(self.parts, g))
            with suppress(ConflictError):  # others keep writing: the rest is made by `statistics(rebuild=True)`
                make_missing(self.parts, group)
        return []


class TrainingSetsPlace(_PlaceOf):
    """What manifests of training sets say of values: statistics, which went before the first row did.

    Their rows are those of groups, like others. What is left of them is counted anew.
    """

    name: ClassVar[str] = "training sets"
    files: ClassVar[tuple[str, ...]] = ()  # in the registry's database

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        count_again(self.parts)
        return []


class CachePlace(_PlaceOf):
    """This machine's copies of files that lie elsewhere.

    Those of files that were written anew went with them; here go those of files that other machines replaced before.
    """

    name: ClassVar[str] = "cache"
    files: ClassVar[tuple[str, ...]] = ()  # in a folder of the user's, see `asof.offline.cache`

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        self.upkeep.let_go_of_copies()
        return []


class OnlinePlace(_PlaceOf):
    """The newest values."""

    name: ClassVar[str] = "online"
    files: ClassVar[tuple[str, ...]] = ("online/**",)

    def count(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.count`."""
        found: list[Erased] = []
        for holding in holdings:
            with self.parts.online.snapshot() as snapshot:
                rows = snapshot.get([(holding.group.id, key) for key in _encoded(holding)])
            found.append(Erased("online", holding.group.ref, len(rows) - rows.count(None)))
        return [each for each in found if each.rows]

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`. Commits that are published and not applied yet are applied first: else they came back."""
        found: list[Erased] = []
        for holding in holdings:
            if not holding.keys.num_rows:
                continue
            if holding.group.definition.online:
                self.feed.catch_up(holding.group)
            rows = self.parts.online.erase(holding.group.id, _encoded(holding))
            found.append(Erased("online", holding.group.ref, rows))
            for made in self.feed.made_of({holding.group.id}):
                self.parts.online.clear(made.id)
                self.parts.online.erase(made.id, [SHAPE_KEY])  # it leaves no bytes of what was cleared either
                self.feed.rebuild(made)
        return [each for each in found if each.rows]


class LastRowsPlace(_PlaceOf):
    """The rows that this process read last; all of them go. Other processes do so when they look up a view again."""

    name: ClassVar[str] = "last rows"
    files: ClassVar[tuple[str, ...]] = ()  # in memory

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        self.parts.last_rows.forget()
        return []


class SpillPlace(_PlaceOf):
    """What queries that did not fit memory left on disk; a living process's own goes when its query ends."""

    name: ClassVar[str] = "spill"
    files: ClassVar[tuple[str, ...]] = ("tmp/**",)

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        sweep(self.parts.root / "tmp")
        return []


class QuarantinePlace(_PlaceOf):
    """What of streams was not stored: nobody can tell whose it is, so all of it goes that could be the entity's.

    So does what reports of checks say of single rows. Rows that checks put aside are those of a group, like others.
    """

    name: ClassVar[str] = "quarantine"
    files: ClassVar[tuple[str, ...]] = ()  # in the registry's database

    def count(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.count`."""
        found = [
            Erased("quarantine", each.group.ref, self.parts.streams.count_letters(each.group)) for each in holdings
        ]
        return [each for each in found if each.rows]

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`. That there was a message, and where in the stream, stays known."""
        for each in holdings:
            self.parts.reports.redact(each.group, without_values)
        found = [
            Erased("quarantine", each.group.ref, self.parts.streams.blank_letters(each.group)) for each in holdings
        ]
        return [each for each in found if each.rows]


class MonitorsPlace(_PlaceOf):
    """What monitors found by segment: the segments are named by values of rows, and nobody can tell whose they are."""

    name: ClassVar[str] = "monitors"
    files: ClassVar[tuple[str, ...]] = ()  # in the registry's database

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`. What was found stays known, under numbers in the place of names."""
        del holdings
        self.parts.monitors.redact(without_segments)
        return []


class SettingsPlace(_PlaceOf):
    """The names of the parts, and monitors: no rows."""

    name: ClassVar[str] = "settings"
    files: ClassVar[tuple[str, ...]] = ("asof.toml", "monitors.toml")


class RegistryPlace(_PlaceOf):
    """The registry's database. The journal's rows go with history; the bytes that they leave, at the very end."""

    name: ClassVar[str] = "registry"
    files: ClassVar[tuple[str, ...]] = ("registry.db*",)

    def erase(self, holdings: Sequence[Holding]) -> list[Erased]:
        """See `Place.erase`."""
        del holdings
        self.parts.erasures.scrub()
        return []


PLACES = (
    HistoryPlace,
    StatisticsPlace,
    TrainingSetsPlace,
    CachePlace,
    OnlinePlace,
    LastRowsPlace,
    QuarantinePlace,
    MonitorsPlace,
    SpillPlace,
    SettingsPlace,
    RegistryPlace,
)
"""In the order of erasing: history first, since others copy from it; the registry last, since it names the keys."""


def repeated(work: Callable[[], None]) -> None:
    """Do what fails when others are first, until none is."""
    for _ in range(ATTEMPTS - 1):
        with suppress(ConflictError):
            return work()
    return work()


def _encoded(holding: Holding) -> list[bytes]:
    return encode_keys(holding.keys) if holding.keys.num_rows else []
