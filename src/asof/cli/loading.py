"""How `asof import csv` looks at files and loads them: each file for itself, wholly or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asof
from asof.arrow.order import OnConflict
from asof.cli.screen import Advance
from asof.clock import system_clock, to_us
from asof.definitions import FeatureGroup
from asof.errors import AsofError, NotFoundError
from asof.ingest.csv_folder import Proposal, Wish, propose, rows

if TYPE_CHECKING:
    from asof.records import Commit
    from asof.store import Store

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file: a commit, or a problem."""

    commit: "Commit | None" = None
    problem: str = ""


def groups_of(store: str) -> dict[str, FeatureGroup] | None:
    """Return the newest groups of a store by name; None if there is no store."""
    try:
        with asof.open(store, create=False) as opened:
            return {group.definition.name: group.definition for group in opened.catalog.groups()}
    except NotFoundError:
        return None


def look_at(
    files: Sequence[Path],
    wishes: Mapping[str, Wish],
    known: Mapping[str, FeatureGroup],
    on_conflict: OnConflict,
    advance: Advance,
) -> list[Proposal]:
    """Return what each file would become in a store that has the `known` groups."""
    now_us = to_us(system_clock())
    found: list[Proposal] = []
    for at, file in enumerate(files):
        advance(at, len(files))
        proposal = propose(file, wishes.get(file.name, Wish()), known, now_us=now_us, on_conflict=on_conflict)
        other = next((p.file.name for p in found if p.group and p.name == proposal.name), None)
        if proposal.group and other:
            proposal = Proposal(file, proposal.name, problem=f"{other} has this name too -> --name {file.name}=OTHER")
        found.append(proposal)
    return found


def load(proposals: Sequence[Proposal], store: str, on_conflict: OnConflict, advance: Advance) -> dict[str, Loaded]:
    """Load the files that have no problem; return what became of each, by its name."""
    found: dict[str, Loaded] = {}
    ready = [proposal for proposal in proposals if proposal.group is not None]
    total = sum(proposal.rows for proposal in ready)
    done = 0
    with asof.open(store) as opened:
        for proposal in ready:
            advance(done, total)
            try:
                found[proposal.file.name] = Loaded(_load(opened, proposal, on_conflict))
            except AsofError as error:
                found[proposal.file.name] = Loaded(problem=str(error))
            done += proposal.rows
        advance(total, total)
    return found


def _load(store: "Store", proposal: Proposal, on_conflict: OnConflict) -> "Commit":
    """Load one file; if that fails, or is interrupted, a group made for it goes again."""
    assert proposal.group is not None  # noqa: S101 - the caller asked
    table = rows(proposal)
    made = [] if proposal.exists else [f"{c.name}@{c.version}" for c in store.apply(proposal.group)]
    committed = False
    try:
        commit = store.backfill(
            proposal.name,
            table,
            on_conflict=on_conflict,
            meta={"file": proposal.file.name},
            idempotency_key=f"import csv {proposal.file.name} {_digest(proposal.file)}",
        )
        committed = True
    finally:
        if not committed:
            for name in made:
                store.catalog.remove(name)
    return commit


def _digest(file: Path) -> str:
    import hashlib

    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()[:16]
