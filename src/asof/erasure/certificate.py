"""What an erasure did: kept in the registry, and given to whoever asked for it."""

from dataclasses import dataclass

import msgspec

from asof.clock import show_us
from asof.records import SEMANTICS


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file of history that held erased rows, and the one in its place.

    Attributes:
        before: The file; it is deleted.
        before_sha256: Hash of its bytes.
        after: The file with the other rows; "" if there were none.
        after_sha256: Hash of its bytes.
    """

    before: str
    before_sha256: str
    after: str = ""
    after_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure found, and removed, in one place.

    Attributes:
        place: "history", "journal", "online", ...
        what: Which part of it, such as "weather@1".
        rows: How many rows.
        files: Files that were written anew.
    """

    place: str
    what: str
    rows: int
    files: tuple[Rewritten, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an erasure did, or would do. It holds no key.

    Attributes:
        id: Its number; 0 for a dry run.
        entity: The entity.
        keys: How many keys.
        reason: Why.
        writer: Who asked for it.
        started_at_us: When it began, by the clock of online answers.
        finished_at_us: When it was done: answers up to then may hold what was erased. None for a dry run.
        erased: What was found in each place.
        places: All places that were looked at.
        notes: What a person must know, or do.
        semantics: Version of the rules.
        training_sets: Those that held rows of the keys, by version: what was learnt from them used what was erased.
        models: Those that were fitted on them, with their stages; they are as they were.
    """

    id: int
    entity: str
    keys: int
    reason: str
    writer: str
    started_at_us: int
    finished_at_us: int | None
    erased: tuple[Erased, ...]
    places: tuple[str, ...]
    notes: tuple[str, ...] = ()
    semantics: int = SEMANTICS
    training_sets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows, in all places."""
        return sum(each.rows for each in self.erased)

    def to_json(self) -> str:
        """Return it as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """Return the certificate that `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)

    def __str__(self) -> str:
        """Return it as text."""
        done = self.finished_at_us is not None
        head = f"erasure {self.id}" if done else "dry run: nothing was erased"
        when = f", done at {show_us(self.finished_at_us)}" if self.finished_at_us is not None else ""
        lines = [
            f"{head}: {self.keys:,} keys of {self.entity}, {self.rows:,} rows, asked for by {self.writer}{when}",
            *([f"  reason   {self.reason}"] if self.reason else []),
            *(f"  {each.place:<8} {each.what}: {each.rows:,} rows" + _files(each) for each in self.erased),
            *([f"  training sets that held such rows: {', '.join(self.training_sets)}"] if self.training_sets else []),
            *([f"  models that were fitted on them: {', '.join(self.models)}"] if self.models else []),
            f"  looked at {', '.join(self.places)}",
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _files(erased: Erased) -> str:
    return f", {len(erased.files)} files written anew" if erased.files else ""
