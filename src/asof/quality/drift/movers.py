"""Which commits moved a feature: each is left out, and what is then left of the move is measured."""

from collections.abc import Sequence
from dataclasses import replace

from asof.parts import Parts
from asof.quality.drift.sides import OfCommits, Side, Wanted
from asof.registry.registered import RegisteredGroup
from asof.statistics import ColumnStatistics, FeatureDrift, GroupStatistics, Mover, merged_all
from asof.statistics.measures import Measured, MeasureName, measures

MOST_PIECES = 64
"""Of more commits, neighbours are left out together."""

NAMED = 3
"""Commits that are named for a feature."""


def moved_by(
    parts: Parts, wanted: Sequence[Wanted], baseline: Side, current: OfCommits, found: Sequence[FeatureDrift]
) -> tuple[FeatureDrift, ...]:
    """Return what is said of features, with the commits that moved those that drifted."""
    by_output = {each.output: each for each in wanted}
    told: list[FeatureDrift] = []
    for each in found:
        if each.verdict == "drifted" and each.baseline_rows:
            one = by_output[each.feature]
            movers = _movers(one, _together(current.pieces(one.group)), baseline.column(one), each)
            told.append(replace(each, moved_by=_with_sources(parts, one.group, movers)))
        else:
            told.append(each)
    return tuple(told)


def _together(pieces: Sequence[GroupStatistics]) -> list[GroupStatistics]:
    """Return pieces, neighbours merged so that there are not too many."""
    pieces = [each for each in pieces if each.rows]
    each = -(-len(pieces) // MOST_PIECES) or 1
    return [merged_all(pieces[at : at + each]) for at in range(0, len(pieces), each)]


def _movers(
    wanted: Wanted, pieces: Sequence[GroupStatistics], baseline: ColumnStatistics, found: FeatureDrift
) -> list[Mover]:
    """Return the pieces that moved a feature most.

    Statistics before and after a piece are merged once each: it takes three merges a piece, however many there are.
    """
    columns = [each.columns.get(wanted.feature) or ColumnStatistics("other").with_nulls(each.rows) for each in pieces]
    before, after = _running(columns), _running(columns[::-1])[::-1]
    measure = _measure(found)
    whole = _size(found.measures.get(measure))
    movers: list[Mover] = []
    for at, piece in enumerate(pieces):
        rest = [part for part in (before[at], after[at]) if part is not None]
        without = rest[0].merge(rest[1]) if len(rest) > 1 else rest[0] if rest else None
        movers.append(
            Mover(
                wanted.group.ref,
                piece.first_commit,
                piece.last_commit,
                piece.rows,
                piece.last_committed_us or 0,
                measure,
                whole,
                None if without is None else _size(measures(baseline, without).get(measure)),
                _size(measures(baseline, columns[at]).get(measure)),
            )
        )
    movers = [each for each in movers if each.without is None or each.without < whole]
    return sorted(movers, key=lambda each: (each.without or 0.0, -each.alone))[:NAMED]


def _running(columns: Sequence[ColumnStatistics]) -> list[ColumnStatistics | None]:
    """Return what lies before each column, merged."""
    found: list[ColumnStatistics | None] = [None]
    for each in columns[:-1]:
        last = found[-1]
        found.append(each if last is None else last.merge(each))
    return found


def _measure(found: FeatureDrift) -> MeasureName:
    psi, missing = found.value("psi"), abs(found.value("missing") or 0.0)
    return "missing" if psi is None or missing > psi else "psi"


def _size(found: Measured | None) -> float:
    return 0.0 if found is None else abs(found.value)


def _with_sources(parts: Parts, group: RegisteredGroup, movers: Sequence[Mover]) -> tuple[Mover, ...]:
    """Return movers with who wrote them and what was said of them, where they are one commit."""
    if not movers:
        return ()
    numbers = {each.first for each in movers if each.first == each.last}
    commits = parts.log.commits(group, after=min(each.first for each in movers) - 1)
    known = {commit.number: commit for commit in commits if commit.number in numbers}
    return tuple(
        replace(each, writer=known[each.first].writer, meta=dict(known[each.first].meta))
        if each.first == each.last and each.first in known
        else each
        for each in movers
    )
