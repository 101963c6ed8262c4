"""Training sets as datasets of MLflow: the entry point `mlflow.dataset_source`, by which it finds them again."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from weakref import finalize

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types import ColSpec, Schema

import asof
from asof.errors import ConflictError, UsageError
from asof.mlflow.flavors import column_types
from asof.training.sets.training_set import TrainingSet

DIGEST = 36
"""So many characters of a digest MLflow's tables hold; the whole one stands in the source."""

_URI = re.compile(r"(?P<store>asof(\+tls)?://[^#]+|asof:(?!//)[^#]+)#(?P<ref>[^#@]+@\d+)")


class TrainingSetSource(DatasetSource):
    """A training set of a store, "asof:/data/store#departure-2026-11@1" or "asof://host:port#departure-2026-11@1".

    Args:
        uri: Where it is.
        digest: Its digest; "" if nobody said it.

    Raises:
        UsageError: It is no such URI.
    """

    def __init__(self, uri: str, digest: str = "") -> None:
        """Keep both."""
        found = _URI.fullmatch(uri)
        if found is None:
            raise UsageError(f"{uri!r} is no training set", todo='write "asof:FOLDER#NAME@VERSION"')
        self.uri = uri
        self.digest = digest
        place = found["store"]
        self.store = place if "://" in place else unquote(place.removeprefix("asof:"))
        self.ref = found["ref"]

    @staticmethod
    def _get_source_type() -> str:
        return "asof"

    @staticmethod
    def _can_resolve(raw_source: object) -> bool:
        return isinstance(raw_source, str) and _URI.fullmatch(raw_source) is not None

    @classmethod
    def _resolve(cls, raw_source: str) -> "TrainingSetSource":
        return cls(raw_source)

    def load(self) -> TrainingSet:
        """Open the training set; its store is closed when nobody holds it any more.

        Raises:
            NotFoundError: There is no such store, or no such training set any more.
            ConflictError: It is another one now.
        """
        store = asof.open(self.store, create=False)
        try:
            made = store.training_set(self.ref)
        except BaseException:
            store.close()
            raise
        finalize(made, store.close)
        if self.digest not in {"", made.digest}:
            raise ConflictError(f"{self.ref} is another training set than was logged", where=self.uri)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return what MLflow keeps of it."""
        return {"uri": self.uri, "digest": self.digest}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> "TrainingSetSource":
        """Return what `to_dict` gave."""
        return cls(source_dict["uri"], source_dict.get("digest", ""))


def source_of(root: Path, made: TrainingSet) -> TrainingSetSource:
    """Return the source of a training set of the store in a folder."""
    return TrainingSetSource(f"asof:{quote(str(root))}#{made.ref}", made.digest)


def dataset_of(root: Path, made: TrainingSet) -> MetaDataset:
    """Return a training set as a dataset of MLflow: its name, digest and features, and no row of it."""
    types = {column.name: column.kept.dtype for column in made.manifest.answers}
    schema = Schema([ColSpec(kind, name, required=False) for name, kind in column_types(types)])
    return MetaDataset(source_of(root, made), name=made.ref, digest=made.digest[:DIGEST], schema=schema)
