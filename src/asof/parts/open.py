"""Open a store's parts by the URLs of its `asof.toml`: the one module that knows adapters by name.

An adapter is an entry point; its group is `asof.history`, `asof.online`, `asof.engine`, `asof.registry` or
`asof.models`, its name the URL's scheme.
"""

import getpass
import os
import socket
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from asof.acting import acting
from asof.clock import Clock, system_clock, system_us, to_us
from asof.engine.beyond import OutsideEngine
from asof.engine.families import FamilyEngine
from asof.engine.near import NearEngine
from asof.engine.port import Engine
from asof.errors import NotFoundError, PermanentError, UsageError
from asof.offline.port import History
from asof.online.last_rows import LastRows
from asof.online.limited import OPTION, LimitedOnlineStore
from asof.online.port import OnlineStore
from asof.online.remote import without_option
from asof.registry.models import Models
from asof.registry.monitors import Monitors
from asof.registry.port import CommitLog, Deeds, Erasures, Keys, Metadata, Registry, Tags
from asof.registry.reports import Reports
from asof.registry.statistics import Statistics
from asof.registry.streams import Streams
from asof.registry.training_sets import TrainingSets

FORMAT = 1
"""Format of a store's folder; a greater one was written by a newer asof."""

FILE = "asof.toml"
DEFAULTS = {
    "registry": "sqlite:///registry.db",
    "history": "history/",
    "online": "lmdb:online/",
    "engine": "duckdb",
}
OTHERS = {"mlflow": "sqlite:///mlflow.db"}
"""Settings that name what is no part, with what they are unless said; "" for what the other program says itself."""

CHOICES = {"compaction": ("auto", "off")}
"""Settings that name no part, with what they may be, the default first."""

TEXT = f"""# A feature store of asof. Each part is named by a URL; relative paths lie in this folder.
# The variables ASOF_REGISTRY, ASOF_HISTORY, ASOF_ONLINE and ASOF_ENGINE override; keep secrets there, never here.
format = {FORMAT}
{"".join(f'{part} = "{url}"{chr(10)}' for part, url in DEFAULTS.items())}\
compaction = "auto"  # small files are merged in the background; "off": only by `asof compact`
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store is made of.

    Attributes:
        root: The store's folder.
        clock: The store's clock.
        registry: Definitions.
        log: Commits.
        tags: Names for the commits of the whole store.
        erasures: What was erased.
        history: Data files.
        online: Newest values.
        engine: Computes over history.
        keys: Who may ask a server for what.
        deeds: Who changed what, besides commits.
        streams: How far streams were read, and what of them was not stored.
        reports: What checks said of writes.
        statistics: Those of commits.
        monitors: What monitors found.
        training_sets: Their manifests.
        models: Their records.
        process: Who runs this process, "user@host" or what ASOF_WRITER says.
        compaction: Whether small files are merged in the background: "auto" or "off".
        mlflow: Where MLflow keeps models, as its tracking URI; "" for what MLflow itself says.
        last_rows: What was read online last, for views that answer from it where the online store is slow.
    """

    root: Path
    clock: Clock
    registry: Registry
    log: CommitLog
    tags: Tags
    erasures: Erasures
    history: History
    online: OnlineStore
    engine: Engine
    keys: Keys
    deeds: Deeds
    streams: Streams
    reports: Reports
    statistics: Statistics
    monitors: Monitors
    training_sets: TrainingSets
    models: Models
    process: str = ""
    compaction: str = "auto"
    mlflow: str = ""
    last_rows: LastRows = field(default_factory=LastRows)

    @property
    def writer(self) -> str:
        """Who writes: the caller of a server, or who runs this process; kept with each change."""
        return acting() or self.process

    def now_us(self) -> int:
        """Return the time by the store's clock."""
        if self.clock is system_clock:  # the usual case, on the path of every online read
            return system_us()
        return to_us(self.clock(), what="the clock's time")

    def close(self) -> None:
        """Close every part, the online store first: its last commits are on disk before the rest goes."""
        self.online.close()
        self.engine.close()
        self.history.close()
        self.log.close()


@dataclass(frozen=True, slots=True)
class Durable:
    """What of a store is the truth; the rest can be made again from it.

    Attributes:
        root: The store's folder.
        metadata: The registry.
        history: Data files.
    """

    root: Path
    metadata: Metadata
    history: History

    def close(self) -> None:
        """Close both."""
        self.history.close()
        self.metadata.log.close()


def open_durable(folder: Path, *, create: bool) -> Durable:
    """Open the registry and the history of the store in a folder, and nothing else.

    Args:
        folder: The store's folder.
        create: Make a store if the folder is empty or absent.

    Raises:
        As `open_parts`.
    """
    return _durable(*_settled(folder, create=create))


def open_registry(url: str) -> Metadata:
    """Open a registry by its URL."""
    metadata: Metadata = _adapter("registry", url)(url)
    return metadata


def open_history(url: str, *, root: Path) -> History:
    """Open a history by its URL; a relative one is a folder below `root`."""
    history: History = _adapter("history", url)(url, root=str(root))
    return history


def open_parts(folder: Path, *, create: bool, clock: Clock, repair: bool = False) -> Parts:
    """Open the parts of the store in a folder.

    Args:
        folder: The store's folder.
        create: Make a store if the folder is empty or absent.
        clock: The store's clock.
        repair: Put an empty online store in the place of a damaged one.

    Raises:
        NotFoundError: No store there.
        UsageError: Other files there, a store that a newer asof wrote, or settings that nobody understands.
        PermanentError: The folder cannot be read or written.
    """
    folder, settings = _settled(folder, create=create)
    root = str(folder)
    durable = _durable(folder, settings)
    metadata, history = durable.metadata, durable.history
    with ExitStack() as opened:  # what is open is closed again if a later part fails
        opened.callback(durable.close)
        engine = open_engine(settings["engine"], root=root)
        opened.callback(engine.close)
        online = open_online(settings["online"], root=root, repair=repair)
        opened.pop_all()
    return Parts(
        root=folder,
        clock=clock,
        registry=metadata.registry,
        log=metadata.log,
        tags=metadata.tags,
        erasures=metadata.erasures,
        history=history,
        online=online,
        engine=OutsideEngine(FamilyEngine(NearEngine(engine, history.near) if history.remote else engine), engine),
        keys=metadata.keys,
        deeds=metadata.deeds,
        streams=metadata.streams,
        reports=metadata.reports,
        statistics=metadata.statistics,
        monitors=metadata.monitors,
        training_sets=metadata.training_sets,
        models=metadata.models,
        process=process(),
        compaction=settings["compaction"],
        mlflow=_in_folder(settings["mlflow"], folder),
    )


def open_engine(url: str = DEFAULTS["engine"], *, root: str = "") -> Engine:
    """Open an engine by its URL; what does not fit memory it puts below a folder."""
    engine: Engine = _adapter("engine", url)(url, root=root)
    return engine


def open_models(loader: str) -> Callable[..., object]:
    """Return what loads the models that another registry keeps, such as "mlflow": it is given parts and a model.

    Raises:
        NotFoundError: Nothing installed does.
    """
    found: Callable[..., object] = _adapter("models", loader)
    return found


def open_online(url: str, *, root: str = "", repair: bool = False) -> OnlineStore:
    """Open an online store by its URL, such as "memory:"; with max_writes_per_second=NUMBER it is paced."""
    plain, limit = without_option(url, OPTION)
    if not limit:
        store: OnlineStore = _adapter("online", url)(url, root=root, repair=repair)
        return store
    return LimitedOnlineStore(_adapter("online", plain)(plain, root=root, repair=repair), limit)


def _settled(folder: Path, *, create: bool) -> tuple[Path, dict[str, str]]:
    """Return a store's folder, wherever the process will stand when the background writes, and its settings."""
    try:
        settings = _settings(folder, create=create)
    except OSError as error:
        raise PermanentError(
            f"the folder cannot be used: {error.strerror}", where=str(folder), todo="check its permissions"
        ) from error
    return folder.absolute(), settings


def _durable(folder: Path, settings: Mapping[str, str]) -> Durable:
    metadata = open_registry(_in_folder(settings["registry"], folder))
    try:
        return Durable(folder, metadata, open_history(settings["history"], root=folder))
    except BaseException:  # an interrupt too: what is open is closed again
        metadata.log.close()
        raise


def _settings(folder: Path, *, create: bool) -> dict[str, str]:
    file = folder / FILE
    if not file.exists():
        if not create:
            raise NotFoundError(f"there is no store in {str(folder)!r}", todo=f"`asof init --bare {folder}` makes one")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{str(folder)!r} is a file, no folder")
        # Another process may be making the same store: its unfinished file does not count, and it may be done by now.
        others = folder.exists() and any(not entry.name.startswith(f".{FILE}.") for entry in folder.iterdir())
        if others and not file.exists():
            raise UsageError(
                f"{str(folder)!r} is not a store, and not empty",
                todo=f"choose an empty folder; a store has a file {FILE}",
            )
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{FILE}.{os.getpid()}"
        with unfinished.open("w") as begun:
            begun.write(TEXT)
            begun.flush()
            os.fsync(begun.fileno())  # else a power cut may leave it empty
        unfinished.replace(file)
    try:
        given = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings cannot be read: {error}", where=str(file)) from error
    version = given.pop("format", None)
    if not isinstance(version, int):
        raise UsageError("the settings have no format number", where=str(file), todo=f"add: format = {FORMAT}")
    if version > FORMAT:
        raise UsageError(
            f"the store has format {version}, this asof reads up to {FORMAT}",
            where=str(file),
            todo="a newer asof wrote it: upgrade asof",
        )
    settings = DEFAULTS | OTHERS | {name: choices[0] for name, choices in CHOICES.items()}
    for name, value in given.items():
        if name not in settings:
            raise NotFoundError.named("setting", name, settings, where=str(file))
        settings[name] = str(value)
    for name in settings:
        settings[name] = os.environ.get(f"ASOF_{name.upper()}", settings[name])
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            raise UsageError(
                f"{name} = {settings[name]!r} is not known", where=str(file), todo=f"use {' or '.join(choices)}"
            )
    return settings


@cache
def process() -> str:
    """Return who runs this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return os.environ.get("ASOF_WRITER", f"{user}@{socket.gethostname()}")


@cache  # reading the metadata of all installed packages takes longer than opening the part
def _adapter(part: str, url: str) -> Any:  # noqa: ANN401 - a class that only its entry point knows
    scheme = url.partition(":")[0] if ":" in url else "delta" if part == "history" else url
    known = {point.name: point for point in entry_points(group=f"asof.{part}")}
    if scheme not in known:
        raise NotFoundError.named(f"{part} adapter", scheme, known, where=FILE)
    return known[scheme].load()


def _in_folder(url: str, folder: Path) -> str:
    """Return a SQLite URL with its relative path inside the store's folder."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith(prefix + "/"):
        return url
    return f"{prefix}{(folder / url.removeprefix(prefix)).resolve()}"
