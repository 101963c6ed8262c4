"""What a registry must do with models: keep the record of each version. What predicts lies elsewhere."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Stage = Literal["none", "staging", "production", "archived"]
"""A version is live until it is archived. `staging` and `production` have one version of a name at most."""

STAGES: tuple[Stage, ...] = get_args(Stage)
ARCHIVED: Stage = "archived"


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A version of a model.

    Attributes:
        name: Its name.
        version: Number of the version among those of its name, from 1; 0 before it is kept.
        stage: One of `STAGES`.
        training_set: The version that it was fitted on, "departure-2026-11@1".
        training_digest: The digest of that.
        view: The view, or group, that it reads, "departure@1".
        artefact: Where what predicts lies: "models/<digest>" in the store's folder, or "models:/delays/3" of MLflow.
        digest: Hash of its files, whoever keeps them.
        created_at_us: When it was kept.
        writer: Who kept it.
        facts: How it is loaded and called, and what else was said of it, as JSON.
    """

    name: str
    version: int
    stage: str
    training_set: str
    training_digest: str
    view: str
    artefact: str
    digest: str
    created_at_us: int
    writer: str
    facts: str

    @property
    def ref(self) -> str:
        """The version's name, such as "delays@3"."""
        return f"{self.name}@{self.version}"

    @property
    def live(self) -> bool:
        """Whether something may predict with it: it is not archived."""
        return self.stage != ARCHIVED


class Models(Protocol):
    """The versions of models. Atomic, and safe to call from several threads and processes."""

    def add(self, kept: KeptModel) -> KeptModel:
        """Keep a version under the next number, which no other ever had, and return it; a deed of its writer.

        In a stage that has one version, it takes the place of the one before, which is archived.

        Raises:
            ConflictError: Its training set was removed, or is another one now.
        """
        ...

    def get(self, name: str) -> KeptModel:
        """Return the newest live version of a name, the one of "name@2", or that of a stage, "name@production".

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def all(self) -> list[KeptModel]:
        """Return all versions, by name and number."""
        ...

    def move(self, name: str, stage: str, *, now_us: int = 0, writer: str = "") -> list[KeptModel]:
        """Put a version ("name@2") into a stage, and return the versions whose stage changed; a deed of the writer.

        The version that was in `staging` or `production` before it is archived. Repeating it changes nothing.

        Raises:
            NotFoundError: With names that come close.
            ConflictError: The version was archived, and its training set is gone.
        """
        ...

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[KeptModel]:
        """Forget a version ("name@2") or all ("name"), and return them; a deed of the writer.

        Raises:
            NotFoundError: With names that come close. ConflictError: One of them is in production.
        """
        ...
