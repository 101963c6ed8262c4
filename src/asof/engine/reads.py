"""A read of stored rows as data: it is answered where its files are, here or on another machine."""

from dataclasses import dataclass

import pyarrow as pa

from asof.engine.families import families_of, is_split, of_family
from asof.engine.planning import between
from asof.engine.port import Engine, Known, Rows
from asof.records import DataFile


@dataclass(frozen=True, slots=True)
class StoredRead:
    """What `Engine.scan` is asked.

    Attributes:
        rows: The history.
        columns: The columns wanted.
        after_us: Exclusive lower bound.
        until_us: Inclusive upper bound.
        known: Knowledge mode.
        latest: Only the newest row of each key.
        clocks: Add `__commit` and `__available_at`.
        first: With `latest`, only so many rows.
    """

    rows: Rows
    columns: tuple[str, ...]
    after_us: int | None = None
    until_us: int | None = None
    known: Known = "event"
    latest: bool = False
    clocks: bool = False
    first: int | None = None

    def answered(self, engine: Engine) -> pa.RecordBatchReader:
        """Have an engine answer it."""
        return engine.scan(
            self.rows,
            columns=self.columns,
            after_us=self.after_us,
            until_us=self.until_us,
            known=self.known,
            latest=self.latest,
            clocks=self.clocks,
            first=self.first,
        )

    def files(self) -> list[DataFile]:
        """Return the files that `FamilyEngine` and `NearEngine` bring near to answer it."""
        rows, needed = self.rows, dict[str, DataFile]()
        features = [name for name in self.columns if name in rows.layout]
        parts = [of_family(rows, each) for each in families_of(rows, features)] if is_split(rows) else [rows]
        for part in parts:
            near = between(part, self.after_us, self.until_us)
            sources = () if near.sources is None else near.sources.files
            needed |= {file.path: file for _, file, _ in (*near.files, *sources)}
        return list(needed.values())
