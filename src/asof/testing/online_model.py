"""What the suite of the online port tries: rows and changes, and the port in dicts to compare with."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from asof.online.port import Applied, Change, OnlineStore, version_head, version_of

Puts = Mapping[bytes, tuple[int, bytes] | None]
"""Key to (event time, payload), or None to delete it."""


def row_of(event_us: int, commit: int, payload: bytes = b"v") -> bytes:
    """Return a row as the port keeps it."""
    return version_head(event_us, commit) + payload


def change_of(
    commit: int,
    puts: Puts | None = None,
    *,
    group: int = 1,
    after: int | None = None,
    replace: bool = False,
    final: bool = True,
) -> Change:
    """Return a change whose rows have its commit's number; it comes after the number before unless told otherwise."""
    ordered = sorted((puts or {}).items())
    rows = [None if put is None else row_of(put[0], commit, put[1]) for _, put in ordered]
    before = commit - 1 if after is None else after
    return Change(group, before, commit, commit * 10, [key for key, _ in ordered], rows, replace=replace, final=final)


def get(store: OnlineStore, key: bytes, group: int = 1) -> bytes | None:
    """Return one row."""
    with store.snapshot() as snapshot:
        return snapshot.get([(group, key)])[0]


def applied(store: OnlineStore, group: int = 1) -> Applied:
    """Return how far a group is applied."""
    with store.snapshot() as snapshot:
        return snapshot.applied.get(group, Applied())


KEYS: tuple[bytes, ...] = (b"a", b"b", b"c")


class Model:
    """The port in dicts.

    Attributes:
        rows: Rows by group and key.
        applied: How far each group is applied.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[tuple[int, bytes], bytes] = {}
        self.applied: dict[int, Applied] = {}

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`."""
        rows, marks = dict(self.rows), dict(self.applied)
        fits = True
        for change in changes:
            mark = marks.get(change.group_id, Applied())
            if mark.commit >= change.commit and not change.tidies:
                continue
            fits = fits and (mark.commit == change.after or (mark.commit > change.after and not change.replace))
            for key, row in zip(change.keys, change.rows, strict=True):
                place = (change.group_id, key)
                if row is None:
                    rows.pop(place, None)
                elif change.replace or place not in rows or version_of(row) > version_of(rows[place]):
                    rows[place] = row
            done = Applied(change.commit, change.committed_at_us)
            partly = Applied(mark.commit, mark.committed_at_us, applying=True)
            if not change.tidies:
                marks[change.group_id] = done if change.final else partly
        if fits:
            self.rows, self.applied = rows, marks
        return {change.group_id: self.applied.get(change.group_id, Applied()) for change in changes}


@st.composite
def changes_of(draw: st.DrawFn, model: Model) -> Change:
    """Draw a change that fits a model, or nearly does."""
    group = draw(st.sampled_from((1, 2)))
    reached = model.applied.get(group, Applied()).commit
    after = max(0, reached + draw(st.sampled_from((0, 0, 0, 0, 1, -1))))
    commit = after + draw(st.sampled_from((1, 1, 2, 0) if after else (1, 1, 2)))
    replace = commit == after or draw(st.booleans())
    put: st.SearchStrategy[Any] = st.tuples(st.integers(-1, 2), st.sampled_from((b"", b"v", b"w")))
    puts: Puts = draw(st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), put) if replace else put))
    final = commit == after or draw(st.sampled_from((True, True, False)))
    return change_of(commit, puts, group=group, after=after, replace=replace, final=final)
