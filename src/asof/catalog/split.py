"""Split a group: store the features that hardly ever change apart from those that do."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.parts import Parts, tables_of
from asof.records import Commit

RECENT = 100
"""Commits among which a load is looked for that tells what a split would save."""


@dataclass(frozen=True, slots=True)
class Split:
    """What a split did, and what it would have saved in the last load that was compared with its predecessors.

    Attributes:
        group: The group version, "weather@1".
        hot: Features of the hot family.
        cold: Features of the cold family.
        tables: The Delta tables of the two families, folders of the history.
        last: The last commit whose rows were compared with their predecessors; None if there is none.
    """

    group: str
    hot: tuple[str, ...]
    cold: tuple[str, ...]
    tables: tuple[str, ...]
    last: Commit | None = None

    @property
    def rows(self) -> int:
        """How many of the rows that were compared in that load had changed: their cold features were stored again."""
        return 0 if self.last is None else self.last.compared - self.last.unchanged

    @property
    def cold_rows(self) -> int:
        """In how many of them at most a cold feature had changed: of the others it would not have been stored again."""
        changed = 0 if self.last is None else sum(self.last.changed.get(name, 0) for name in self.cold)
        return min(self.rows, changed)

    def __str__(self) -> str:
        """Return it as text."""
        lines = [f"{self.group} is split: hot {', '.join(self.hot)}; cold {', '.join(self.cold)}"]
        if self.last is not None and self.rows:
            lines.append(
                f"in {self.last.id}, {self.rows:,} of {self.last.compared:,} rows compared had changed, at most"
                f" {self.cold_rows:,} of them in cold features: the others store hot features only from now on"
            )
        lines.append(f"other engines find what is loaded from now on in the Delta tables {' and '.join(self.tables)}")
        return "\n".join(lines)


def split(parts: Parts, name: str, cold: Sequence[str]) -> Split:
    """Split a group; see `Catalog.split`."""
    group = parts.registry.split(name, cold, now_us=parts.now_us(), writer=parts.writer)
    compared = (commit for commit in reversed(parts.log.commits(group, limit=RECENT)) if commit.compared)
    hot = tuple(feature for feature in group.layout if feature not in group.cold)
    _, *tables = tables_of(group)
    return Split(group.ref, hot, group.cold, tuple(table.name for table in tables), next(compared, None))
