"""Real stores that stay for all examples of a run: each example makes groups of its own, and removes them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

import asof
import asof.store
from asof.ingest import merge
from asof.parts import open_parts
from asof.testing.crashes import PORTS, Crashing, Killed
from asof.testing.played import Clock, Played, Store, names
from asof.testing.strategies import BASE_US, History

# Every online store, every plan of the engine and every kind of registry at least once: they meet in no line of code.
NUMBERS = count(1)
SLOW = ("memory as-of", "memory hash", "memory whole", "memory numbered", "memory deep")
"""Left out of `make test-fast`, which has the conformance suite for plans."""

ARRANGEMENTS = {
    "lmdb": ("lmdb:online/", "duckdb", "sqlite"),
    "memory as-of": ("memory:", "duckdb:as-of", "sqlite"),
    "memory hash": ("memory:", "duckdb:hash", "sqlite"),
    "memory whole": ("memory:", "duckdb:whole", "sqlite"),
    "memory numbered": ("memory:", "duckdb:numbered", "sqlite"),
    "memory deep": ("memory:", "duckdb:deep", "sqlite"),
    "redis": ("redis_server", "duckdb", "mariadb_server"),
    "postgresql": ("postgres_server", "duckdb", "postgres_server"),
}


@pytest.fixture(autouse=True, scope="module")
def merging_all_the_time() -> Iterator[None]:
    """Let the background merge files as soon as there are two: no law may notice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "FILES", 2)
        yield


class Bench:
    """A store with a clock that tests set.

    Attributes:
        store: The store.
        clock: Its clock.
        name: Gives a name that no group has had.
        crashing: Kills the store at a step; None for a store that lives.
    """

    def __init__(self, folder: Path, online: str, engine: str, registry: str, crashing: Crashing | None = None) -> None:
        folder.mkdir(parents=True)
        settings = {"online": online, "engine": engine, "registry": registry}
        lines = [f'{part} = "{url}"\n' for part, url in settings.items()]
        (folder / "asof.toml").write_text(f"format = 1\n{''.join(lines)}")
        self.folder = folder
        self.clock = Clock(BASE_US)
        self.name = names()
        self.crashing = crashing
        self.store: Store = self.open()

    def open(self) -> Store:
        if self.crashing is None:
            return asof.open(self.folder, clock=self.clock)
        parts = open_parts(self.folder, create=False, clock=self.clock)
        watched = {port: self.crashing.before(port, getattr(parts, port)) for port in PORTS}
        store = asof.store.Store(replace(parts, **watched))
        try:
            store._writer.recover()
        except Killed:
            self._bury(store)
            raise
        return store

    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    def crash(self, opening: str = "never") -> None:
        """Leave the store as a killed process does, and open it; `opening` is a step at which that dies too."""
        dead, self.store = self.store, None
        self.crashing.arm(opening)
        with suppress(Killed):
            self.store = self.open()
        self.crashing.arm(None)
        self.store = self.store or self.open()
        self._bury(dead)

    def _bury(self, dead: Store) -> None:
        """Give back what a dead process would not hold; nothing of it writes any more."""
        dead._writer.upkeep._closing.set()
        thread = dead._writer.upkeep._thread
        if thread is not None:
            thread.join()
        dead._parts.close()
        dead._closed = True

    def empty(self) -> None:
        """Remove everything."""
        self.crashing.arm(None)
        for item in (*self.store.catalog.views(), *self.store.catalog.groups()):
            self.store.catalog.remove(item.ref)

    @contextmanager
    def groups(self, *histories: History, online: bool = True) -> Iterator[list[Played]]:
        """Register a group for each history; they are removed at the end."""
        played = [Played(self.store, self.clock, history, self.name(), online=online) for history in histories]
        try:
            yield played
        finally:
            for item in played:
                self.store.catalog.remove(item.name)

    @contextmanager
    def played(self, *histories: History) -> Iterator[list[Played]]:
        """Play histories, one after the other, each in a group of its own."""
        with self.groups(*histories) as groups:
            for group in groups:
                group.play()
            yield groups


def urls(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Return the URLs of an arrangement, whose servers are started."""
    online, engine, registry = ARRANGEMENTS[request.param]
    if online.endswith("_server"):
        online = request.getfixturevalue(online).url
    if registry == "sqlite":
        return online, engine, "sqlite:///registry.db"
    return online, engine, request.getfixturevalue(registry).registry_url(f"laws_{next(NUMBERS)}")


PARAMS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ARRANGEMENTS]


@pytest.fixture(scope="session", params=PARAMS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Give a store that lives."""
    bench = Bench(tmp_path_factory.mktemp("laws") / "store", *urls(request))
    yield bench
    bench.store.close()


@pytest.fixture(params=PARAMS)
def crashable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give a store that can be killed."""
    bench = Bench(tmp_path / "store", *urls(request), Crashing())
    yield bench
    bench.store.close()
