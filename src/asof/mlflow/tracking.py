"""Where a store's MLflow is, and what it keeps of models."""

import math
import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlsplit

from asof.client.store import RemoteStore
from asof.errors import ConflictError, UnsupportedError, UsageError
from asof.mlflow.package import asking, package
from asof.models.artefacts import digest_of_folder
from asof.parts import Parts
from asof.store import Store

EXPERIMENT = "asof"
ARTEFACTS = "mlflow"
"""Folder in the store's, in which experiments that are made here keep their files."""

SERVERS = ("http://", "https://", "databricks", "uc:")
"""These say themselves where files go."""

REGISTERED = "registered_model_meta"
"""A file that MLflow adds to a model that is registered, and writes again for each name that it is registered under."""

_HERE = ("", "file")
"""Schemes of places on this machine: their files are read where they lie."""

_SQLITE = "sqlite:///"
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[^/@]+))")


def connect(store: Store, *, experiment: str = EXPERIMENT) -> str:
    """Point MLflow, in this process, to the store's: what `mlflow` says in `asof.toml`.

    Args:
        store: A store in a folder.
        experiment: The experiment of the runs that follow. One that is made keeps its files in the store's folder,
            unless a server says otherwise.

    Returns:
        The URI of tracking and registry.

    Raises:
        UsageError: A run is active elsewhere. MissingDependencyError: MLflow is not installed.
        BackendError: MLflow cannot be reached.
    """
    return Tracking(parts_of(store)).connect(experiment)


def parts_of(store: object) -> Parts:
    """Return the parts of a store in a folder.

    Raises:
        UnsupportedError: It is behind a server. UsageError: It is none.
    """
    found = checked(store)
    if isinstance(found, RemoteStore):
        todo = "open the store's folder; or have the server predict: `asof serve --model delays`"
        raise UnsupportedError("the store is behind a server, which asks its MLflow itself", where="mlflow", todo=todo)
    return found._parts  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no word of users


def checked(store: object) -> Store:
    """Return a store.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(store, Store):
        raise UsageError(f"{type(store).__name__} is no store", where="mlflow", todo="pass what asof.open gave")
    return store


@dataclass(frozen=True, slots=True)
class Version:
    """A version of MLflow's registry.

    Attributes:
        name: Of the registered model.
        number: Of the version.
        tags: Its tags.
    """

    name: str
    number: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """Its name in MLflow, such as "models:/delays/3"."""
        return f"models:/{self.name}/{self.number}"


class Tracking:
    """The MLflow of a store: its tracking server or database, which is its registry too.

    Args:
        parts: The store's parts.
    """

    def __init__(self, parts: Parts) -> None:
        """Find where it is; nothing is asked yet.

        Raises:
            MissingDependencyError: MLflow is not installed.
        """
        self._mlflow = package()
        self._own = parts.mlflow
        self._root = parts.root

    @property
    def uri(self) -> str:
        """What the store says, or MLflow itself if the store says nothing."""
        return self._own or str(self._mlflow.get_tracking_uri())

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - MLflow's
        """Asks it, whatever MLflow is pointed to in this process."""
        with asking("open its database, or find its server", where="mlflow"):
            registry = self._own or self._mlflow.get_registry_uri()
            return self._mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=registry)

    def connect(self, experiment: str = EXPERIMENT) -> str:
        """See the function."""
        mlflow = self._mlflow
        if mlflow.active_run() is not None and not self._here():
            raise UsageError("a run is active in another MLflow", where="mlflow", todo="end it: mlflow.end_run()")
        with asking("make the experiment", where=f"experiment {experiment}"):
            if self._own:
                mlflow.set_tracking_uri(self._own)
                mlflow.set_registry_uri(self._own)
            if self._own and self.client.get_experiment_by_name(experiment) is None:
                place = None if self._own.startswith(SERVERS) else (self._root / ARTEFACTS).as_uri()
                try:
                    self.client.create_experiment(experiment, artifact_location=place)
                except mlflow.MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                        raise
            mlflow.set_experiment(experiment)
        return self.uri

    @contextmanager
    def run(self) -> Generator[str]:
        """Have the block logged to the active run, or to one that is started for it; its id.

        Raises:
            ConflictError: MLflow was told to log elsewhere than the store says.
        """
        mlflow = self._mlflow
        if not self._here():
            if mlflow.active_run() is not None or mlflow.is_tracking_uri_set():
                what = "MLflow logs elsewhere than asof.toml says"
                todo = 'asof.mlflow.connect(store) before the run; or name that place: mlflow = "...", ASOF_MLFLOW'
                raise ConflictError(what, where="mlflow", todo=todo)
            self.connect()
        if (active := mlflow.active_run()) is not None:
            yield active.info.run_id
            return
        with asking("start a run", where="mlflow"):
            begun = mlflow.start_run()
        with begun:
            yield begun.info.run_id

    def version(self, given: str) -> tuple[Version, str]:
        """Return the version of "models:/delays/3" or "models:/delays@champion", and its alias, "" without one.

        Raises:
            UsageError: It is no such URI. NotFoundError: MLflow has none. BackendError: It cannot be asked.
        """
        found = _VERSION.fullmatch(given)
        if found is None:
            todo = 'pass "models:/NAME/VERSION" or "models:/NAME@ALIAS"'
            raise UsageError(f"{given!r} names no version of a model in MLflow", where="mlflow", todo=todo)
        name, number, alias = found["name"], found["version"], found["alias"] or ""
        with asking("find the model", where=given):
            client = self.client
            known = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
        return Version(name, str(known.version), dict(known.tags)), alias

    def metrics(self, run: str) -> dict[str, float]:
        """Return the metrics of a run so far, those that are finite."""
        with asking("read the run", where=f"run {run}"):
            known = self.client.get_run(run).data.metrics
        return {name: float(value) for name, value in known.items() if math.isfinite(value)}

    def tell_run(self, dataset: object, tags: Mapping[str, str], metrics: Mapping[str, float], model: str) -> None:
        """Tell the active run what a model was fitted on, and what was measured of it."""
        with asking("log to the run", where="mlflow"):
            self._mlflow.log_input(dataset, context="training")
            self._mlflow.set_tags(dict(tags))
            if metrics:
                self._mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, model_id=model)

    def register(self, name: str, logged: Any, tags: Mapping[str, str], description: str) -> Version:  # noqa: ANN401 - MLflow's ModelInfo
        """Put a logged model into the registry, with its tags from the first moment on.

        Raises:
            BackendError: MLflow cannot.
        """
        with asking("register the model", where=f"model {name}"):
            try:
                self.client.create_registered_model(name)
            except self._mlflow.MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self.client.create_model_version(
                name, logged.model_uri, logged.run_id, dict(tags), None, description or None, model_id=logged.model_id
            )
        return Version(name, str(made.version), dict(tags))

    @contextmanager
    def files(self, version: Version) -> Generator[Path]:
        """Give a folder of this machine with the files of a version: those in place, or a copy that goes at the end."""
        with ExitStack() as copy:
            with asking("fetch the model", where=version.uri):
                place = self.client.get_model_version_download_uri(version.name, version.number)
                files = self._fetched(place, copy)
            yield files

    @contextmanager
    def logged(self, model: str) -> Generator[Path]:
        """Give a folder of this machine with the files of a model that is logged, by its id; as `files`."""
        with ExitStack() as copy:
            with asking("fetch the model", where=f"models:/{model}"):
                files = self._fetched(self.client.get_logged_model(model).artifact_location, copy)
            yield files

    def _fetched(self, place: str, copy: ExitStack) -> Path:
        """Return the files of a place; a copy of them goes with the stack: MLflow's own would stay for ever."""
        into = None
        if urlsplit(place).scheme not in _HERE:
            into = mkdtemp(prefix="asof-mlflow-")
            copy.callback(_remove, into, os.getpid())
        fetch = self._mlflow.artifacts.download_artifacts
        return Path(fetch(artifact_uri=place, dst_path=into, tracking_uri=self.uri))

    def _here(self) -> bool:
        """Return whether MLflow, in this process, is pointed to the store's."""
        return not self._own or _plain(str(self._mlflow.get_tracking_uri())) == _plain(self._own)


def digest_of(files: Path) -> tuple[str, int]:
    """Return the hash of a model's files, and how many bytes they are."""
    return digest_of_folder(files, without=REGISTERED)


def _remove(folder: str, process: int) -> None:
    """Remove a folder in the process that made it: a forked child that ends leaves it to the parent."""
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


def _plain(uri: str) -> str:
    """Return a URI with the path of an SQLite file as one of the root."""
    if not uri.startswith(_SQLITE):
        return uri.rstrip("/")
    return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).resolve())
