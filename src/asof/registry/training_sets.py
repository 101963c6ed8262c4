"""What a registry must do with training sets: their manifests. Their rows are those of groups."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptSet:
    """A version of a training set.

    Attributes:
        name: Its name.
        version: Number of the version among those of its name, from 1.
        view: The view, or group, that it was made with, "departure@1".
        group: The group that keeps its rows, "departure_2026_11_v1@1".
        reads: All group versions that its values are from.
        digest: Hash of its values.
        created_at_us: When it was made.
        writer: Who made it.
        manifest: How it was made, as JSON.
        statistics: Those of its columns, packed; None while rows of it are being erased.
    """

    name: str
    version: int
    view: str
    group: str
    reads: tuple[str, ...]
    digest: str
    created_at_us: int
    writer: str
    manifest: str
    statistics: bytes | None = None

    @property
    def ref(self) -> str:
        """The version's name, such as "departure-2026-11@1"."""
        return f"{self.name}@{self.version}"


class TrainingSets(Protocol):
    """The versions of training sets. Atomic, and safe to call from several threads and processes."""

    def begin(self, name: str, *, writer: str, now_us: int) -> int:
        """Take the next number for a version that is going to be made; whoever asks next gets another one."""
        ...

    def finish(self, kept: KeptSet) -> None:
        """Keep a version whose number was taken, and whose rows are there; a deed of its writer.

        Raises:
            ConflictError: The number was given back meanwhile, or something that it reads was removed.
        """
        ...

    def abandon(self, name: str, version: int) -> None:
        """Give back the number of a version that was not finished; of another one nothing changes."""
        ...

    def unfinished(self, *, before_us: int) -> list[tuple[str, int]]:
        """Return the names and numbers that were taken before a time and neither finished nor given back."""
        ...

    def get(self, name: str) -> KeptSet:
        """Return the newest finished version of a name, or the one of "name@2".

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def all(self) -> list[KeptSet]:
        """Return all finished versions, by name and number."""
        ...

    def amend(self, kept: KeptSet) -> None:
        """Put another manifest and other statistics in the place of a version's; one that is gone stays so."""
        ...

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[KeptSet]:
        """Forget a version ("name@2") or all ("name"), and return them; a deed of the writer.

        Raises:
            NotFoundError: With names that come close. ConflictError: A live model was fitted on one of them.
        """
        ...
