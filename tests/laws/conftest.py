"""One real store for all examples of a run: each example makes groups of its own, and removes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import asof
from asof.testing.played import Clock, Played, Store, names
from asof.testing.strategies import BASE_US, History

FOLDER_TEXT = 'format = 1\nonline = "{online}"\n'
ONLINE = {"lmdb": "lmdb:online/", "memory": "memory:"}


class Bench:
    """A store with a clock that tests set.

    Attributes:
        store: The store.
        clock: Its clock.
        name: Gives a name that no group has had.
    """

    def __init__(self, folder: Path, online: str) -> None:
        folder.mkdir(parents=True)
        (folder / "asof.toml").write_text(FOLDER_TEXT.format(online=ONLINE[online]))
        self.folder = folder
        self.online = online
        self.clock = Clock(BASE_US)
        self.name = names()
        self.store: Store = self.open()

    def open(self) -> Store:
        return asof.open(self.folder, clock=self.clock)

    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

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


@pytest.fixture(scope="session")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Give one store, for what has nothing to do with the online store."""
    bench = Bench(tmp_path_factory.mktemp("laws") / "store", "memory")
    yield bench
    bench.store.close()


@pytest.fixture(scope="session", params=ONLINE)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("laws") / "store", request.param)
    yield bench
    bench.store.close()
