"""Erase rows from history: files that hold them are written anew without them, and deleted."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from asof.engine.port import Rows
from asof.erasure.certificate import Erased, Rewritten
from asof.erasure.target import Holding
from asof.errors import ConflictError
from asof.ingest.rewrite import current_rows, rewritten
from asof.parts import Parts, apart, pinned_rows
from asof.records import COMMIT_COLUMN, DataFile, Stamp
from asof.registry.registered import RegisteredGroup

ATTEMPTS = 10

File = tuple[str, DataFile, Stamp | None]


def count_in_history(parts: Parts, holding: Holding) -> list[Erased]:
    """Return how many rows of a holding lie in files, and how many in the journal."""
    group = holding.group
    rows, _ = pinned_rows(parts, group)
    ref = group.ref
    found = (
        Erased("history", ref, _count(parts, replace(rows, journal=None), holding.keys)),
        Erased("journal", ref, _count(parts, replace(rows, files=()), holding.keys)),
    )
    return [each for each in found if each.rows]


def erase_in_history(parts: Parts, holding: Holding) -> list[Erased]:
    """Erase the rows of a holding from files and journal.

    Raises:
        ConflictError: Other processes kept changing the group's files meanwhile.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _erase(parts, holding)
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _erase(parts: Parts, holding: Holding) -> list[Erased]:
    keys = holding.keys
    group, rows, snapshot = current_rows(parts, holding.group)
    with parts.history.near([file for _, file, _ in rows.files]):  # at once, rather than one after the other
        found_in = [(file, _commits_of(parts, replace(rows, files=(file,), journal=None), keys)) for file in rows.files]
    hits = [(file, len(found)) for file, found in found_in if len(found)]
    in_journal = _hits(parts, replace(rows, files=()), keys)
    sealed = [stamp.number for stamp, _ in snapshot.journal] if in_journal else []
    added: list[DataFile] = []
    renewed: list[Rewritten] = []
    try:
        for file, _ in hits:
            new = _without(parts, group, replace(rows, files=(file,), journal=None), keys, _commits(file))
            added += new
            renewed.append(_rewritten(parts, file[1], new))
        if sealed:
            added += _without(parts, group, replace(rows, files=()), keys, (sealed[0], sealed[-1]))
        if hits or sealed:
            parts.log.replace_files(
                group,
                removed=[file.path for (_, file, _), _ in hits],
                added=added,
                sealed=sealed,
                now_us=parts.now_us(),
                read=snapshot.pin,
                changed=np.unique(np.concatenate([found for _, found in found_in])).tolist() if hits else (),
            )
    except ConflictError:
        parts.history.discard(file.path for file in added)
        raise
    erased = (
        Erased("history", group.ref, sum(hit for (_, file, _), hit in hits if file.family != "cold"), tuple(renewed)),
        Erased("journal", group.ref, in_journal),
    )
    return [each for each in erased if each.rows]


def _without(
    parts: Parts, group: RegisteredGroup, rows: Rows, keys: pa.Table, commits: tuple[int, int]
) -> list[DataFile]:
    """Write rows anew, without those of the keys, each with its commit and arrival."""
    return [
        replace(file, first_commit=commits[0], last_commit=commits[1])
        for kind, part in apart(rows)
        for file in rewritten(parts, group, kind, part, without=keys)
    ]


def _commits(file: File) -> tuple[int, int]:
    _, data, stamp = file
    return (data.first_commit, data.last_commit) if stamp is None else (stamp.number, stamp.number)


def _count(parts: Parts, rows: Rows, keys: pa.Table) -> int:
    """Return how many rows of the keys there are; one that lies in both families counts once."""
    return _hits(parts, replace(rows, files=tuple(f for f in rows.files if f[1].family != "cold")), keys)


def _hits(parts: Parts, rows: Rows, keys: pa.Table) -> int:
    return len(_commits_of(parts, rows, keys))


def _commits_of(parts: Parts, rows: Rows, keys: pa.Table) -> np.ndarray:
    """Return the commit of each row of the keys."""
    none = np.empty(0, np.int64)
    if not keys.num_rows:
        return none
    batches = (batch for _, part in apart(rows) for batch in parts.engine.stamped(part, keys=keys))
    return np.concatenate([none, *(batch.column(COMMIT_COLUMN).to_numpy() for batch in batches)])


def _rewritten(parts: Parts, before: DataFile, after: list[DataFile]) -> Rewritten:
    first = (after[0].path, _sha256(parts, after[0])) if after else ("", "")
    return Rewritten(before.path, _sha256(parts, before), *first)


def _sha256(parts: Parts, data: DataFile) -> str:
    with parts.history.near([data]) as places, Path(places[data.path]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
