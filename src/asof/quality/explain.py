"""Why an answer is what it is: the row that answered, where it came from, and why the other rows of its key did not.

The answer is the engine's. The reasons are told from the stored rows, by the rules of SEMANTICS section 2.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import to_table
from asof.arrow.types import TIMESTAMP
from asof.clock import from_us, show_us, to_us
from asof.definitions import Feature, Lookup
from asof.definitions.durations import show_duration
from asof.definitions.view import HIDDEN
from asof.engine.families import FAMILIES, is_split, of_family
from asof.engine.port import EVENT_COLUMN, EXPIRED, MISSING, RETIRED, STATUS_COLUMN, Rows
from asof.errors import NotFoundError, UnsupportedError, UsageError
from asof.parts import Parts, Pins, Question, pinned_rows, resolve
from asof.quality.explanation import (
    JOURNAL,
    Explained,
    Explanation,
    Reason,
    Version,
    about,
    future,
    later,
    listed,
    retracted_by,
    unavailable,
    unpinned,
)
from asof.quality.windowed import Windowed
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN, Commit, Status
from asof.registry.registered import RegisteredGroup
from asof.training.answered import Answered
from asof.training.historical import HistoricalReader, check_horizon, check_windows, known_mode

LIMIT = 5


def explain(  # noqa: PLR0913 - the words of `Quality.explain`
    parts: Parts,
    view: str,
    keys: Mapping[str, Any],
    *,
    at: datetime | None = None,
    feature: str | None = None,
    known: str | datetime | None = None,
    commits: Pins | str | None = None,
    limit: int = LIMIT,
) -> Explanation:
    """Explain the answer for one key set; see `Quality.explain`."""
    question = resolve(parts, view)
    lookups = question.view.lookups()
    _check_keys(question, keys)
    wanted = _wanted(question, lookups, feature)
    for number in wanted:
        group = lookups[number].group
        if group.external is not None:
            todo = f"look at its rows: store.read({group.name!r}, clocks=True)"
            raise UnsupportedError("external rows are not explained", where=f"group {group.name}", todo=todo)
    reader = HistoricalReader(parts)
    pinned = reader.pin(question, commits)
    t_us = _clock_us(parts, question, pinned) if at is None else to_us(at, what="at")
    times = pa.chunked_array([pa.array([t_us], pa.int64()).cast(TIMESTAMP)])
    mode = None if known is None else known_mode(known)
    check_horizon(pinned, times, mode)
    check_windows([lookups[number] for number in wanted], pinned, times)
    spine, _ = to_table([dict(keys)], where="keys")
    answered = reader.answer(question, lookups, spine, times, pinned, mode)
    explained: list[Explained] = []
    for number, names in wanted.items():
        asked = _Asked(
            parts=parts,
            group=question.groups[answered[number].lookup.group.name],
            answered=answered[number],
            key=reader.keys(answered[number].lookup, spine, answered),
            rows=pinned[answered[number].lookup.group.name][0],
            t_us=t_us,
            names=names,
        )
        tell = asked.explained if lookups[number].group.source is None else asked.windowed
        explained.append(tell(answered, whole=commits is None, limit=limit))
    return Explanation(question.ref, dict(keys), from_us(t_us), tuple(explained))


def _check_keys(question: Question, keys: Mapping[str, Any]) -> None:
    wanted = question.view.spine_keys
    for name in wanted:
        if name not in keys:
            raise UsageError(f"key {name!r} is missing", where=question.ref, todo=f"pass {', '.join(wanted)}")
    for name in keys:
        if name not in wanted:
            raise NotFoundError.named("key", name, wanted, where=question.ref)


def _wanted(question: Question, lookups: Sequence[Lookup], feature: str | None) -> dict[int, dict[str, str]]:
    """Return the look-ups to explain, sources first, each with its features by the names to show."""
    names = question.view.output_names()
    if feature is not None and feature not in names:
        raise NotFoundError.named("feature", feature, names, where=question.ref)
    asked = None if feature is None else {feature, *_parts_of(question, feature)}
    found: dict[int, dict[str, str]] = {}
    for number, lookup in enumerate(lookups):
        outputs = lookup.shown if asked is None else [pair for pair in lookup.outputs if pair[1] in asked]
        named = {_told(lookup, each, name): each.name for each, name in outputs}
        if named:
            found[number] = named
    todo = list(found)
    while todo:
        for source in lookups[todo.pop()].sources:
            if not isinstance(source, str):
                number, name = source
                own = found.setdefault(number, {})
                if name not in own.values():
                    own[f"{lookups[number].group.name}.{name}"] = name
                todo.append(number)
    return dict(sorted(found.items()))


def _parts_of(question: Question, feature: str) -> set[str]:
    """Return the columns that a feature is made of on demand; none for one that is stored."""
    made = {each.name: each.inputs for each in question.view.derivations()}
    waiting, found = [feature], set[str]()
    while waiting:
        parts = made.get(waiting.pop(), ())
        found |= {*parts}
        waiting += parts
    return found


def _told(lookup: Lookup, feature: Feature, name: str) -> str:
    return f"{lookup.group.name}.{feature.name}" if name.startswith(HIDDEN) else name


def _clock_us(parts: Parts, question: Question, pinned: Mapping[str, tuple[Rows, int | None]]) -> int:
    """Return the T of an online answer from the pinned commits."""
    snapshots = (parts.log.snapshot(group.stored, pin=pinned[name][0].pin) for name, group in question.groups.items())
    return max([parts.now_us(), *(snapshot.committed_at_us for snapshot in snapshots if snapshot.pin)])


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row of the key as the engine gives it; times in microseconds, None where there is none."""

    event_us: int | None
    commit: int
    available_us: int | None
    retired: bool
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One look-up that was answered and is to be explained."""

    parts: Parts
    group: RegisteredGroup
    answered: Answered
    key: pa.Table
    rows: Rows
    t_us: int
    names: Mapping[str, str]

    def explained(self, answered: Sequence[Answered], *, whole: bool, limit: int) -> Explained:
        """Explain it; `whole` if the pins leave nothing out."""
        every = self.rows if whole else pinned_rows(self.parts, self.group)[0]
        stored = self._stored(every, self.names)
        commits = self._commits(stored)
        retracts = {commit.target: commit for commit in commits.values() if commit.target is not None}
        found = self.answered.found
        number = found.column(COMMIT_COLUMN)[0].as_py()
        event_us = None if self.rows.event_time is None else found.column(EVENT_COLUMN)[0].as_py()
        first = [row for row in stored if (row.event_us, row.commit) == (event_us, number)]
        rest = sorted((row for row in stored if row not in first), key=self._distance)
        reasons: list[tuple[_Stored, Reason, str]] = [(row, *self._reason(row, first, retracts)) for row in rest]
        told: list[tuple[_Stored, Reason, str]] = [(row, "", "") for row in first]
        told += reasons[: max(limit, 0)]
        files = self._files(every, [row for row, _, _ in told])
        versions = [
            Version(
                event_time=None if row.event_us is None else from_us(row.event_us),
                available_at=None if row.available_us is None else from_us(row.available_us),
                commit=commits[row.commit],
                file=files[row.event_us, row.commit],
                retired=row.retired,
                values=row.values,
                retracted_by=retracts.get(row.commit),
                reason=reason,
                because=because,
            )
            for row, reason, because in told
        ]
        answer = versions[0] if first else None
        counts: Counter[Reason] = Counter(reason for _, reason, _ in reasons)
        because = self._because(answer, counts, answered)
        return self._named(answer, versions[len(first) :], counts, because, answered)

    def windowed(self, answered: Sequence[Answered], *, whole: bool, limit: int) -> Explained:
        """Explain a look-up of a group that is made of events; see `explained`."""
        source = self.group.stored
        windows = Windowed(
            parts=self.parts,
            source=source,
            answered=self.answered,
            key=self.key,
            rows=self.rows,
            every=None if whole else pinned_rows(self.parts, source)[0],
            t_us=self.t_us,
            limit=limit,
            missing=lambda: self._missing({}, answered),
        )
        because = f"made of the events of {source.ref}"
        named = self._named(None, (), {}, because, answered)
        return replace(named, made_of=source.ref, windows=windows.explained(self.names))

    def _named(
        self,
        answer: Version | None,
        others: Sequence[Version],
        counts: Mapping[Reason, int],
        because: str,
        answered: Sequence[Answered],
    ) -> Explained:
        known = self.answered.known
        if answer is not None:
            hidden = f"; {_hidden(answer)}" if answer.retracted_by else ""
            answer = replace(answer, because=because + hidden)
        return Explained(
            label=self.answered.label,
            group=self.group.ref,
            keys={name: self.key.column(name)[0].as_py() for name in self.key.column_names},
            sources={
                key: source if isinstance(source, str) else f"{answered[source[0]].label}.{source[1]}"
                for key, source in zip(self.key.column_names, self.answered.lookup.sources, strict=True)
            },
            known=from_us(known) if isinstance(known, int) else known,
            pin=self.rows.pin,
            values={name: self.answered.found.column(feature)[0].as_py() for name, feature in self.names.items()},
            statuses={name: _status(self.answered.found, feature) for name, feature in self.names.items()},
            because=because if answer is None else answer.because,
            answer=answer,
            expires_at=self._expires_at(answer),
            others=tuple(others),
            counts=dict(counts),
        )

    def _expires_at(self, answer: Version | None) -> datetime | None:
        ttl_us = self.answered.lookup.group.ttl_us
        if answer is None or answer.event_time is None or answer.retired or ttl_us is None:
            return None
        return from_us(to_us(answer.event_time) + ttl_us)

    def _stored(self, rows: Rows, names: Mapping[str, str]) -> list[_Stored]:
        """Return all rows of the key, in version order, with some features."""
        if any(column.null_count for column in self.key.columns):
            return []
        table = self.parts.engine.stamped(rows, keys=self.key).read_all()
        events = [None] * table.num_rows if rows.event_time is None else _us(table.column(rows.event_time))
        values = {name: table.column(feature).to_pylist() for name, feature in names.items()}
        return [
            _Stored(event, commit, available, retired, {name: column[at] for name, column in values.items()})
            for at, (event, commit, available, retired) in enumerate(
                zip(
                    events,
                    table.column(COMMIT_COLUMN).to_pylist(),
                    _us(table.column(AVAILABLE_COLUMN)),
                    table.column(RETIRED_COLUMN).to_pylist(),
                    strict=True,
                )
            )
        ]

    def _commits(self, stored: Iterable[_Stored]) -> dict[int, Commit]:
        """Return the commits of rows by number, and all later ones: the retracts are among them."""
        least = min((row.commit for row in stored), default=None)
        if least is None:
            return {}
        return {commit.number: commit for commit in self.parts.log.commits(self.group, after=least - 1)}

    def _distance(self, row: _Stored) -> tuple[int, int]:
        return (0 if row.event_us is None else abs(row.event_us - self.t_us), -row.commit)

    def _reason(self, row: _Stored, first: Sequence[_Stored], retracts: Mapping[int, Commit]) -> tuple[Reason, str]:
        """Return why a row did not answer."""
        known = self.answered.known
        until_us = known if isinstance(known, int) else self.t_us
        if row.commit > self.rows.pin:
            return "not in the pins", unpinned(row.commit, self.rows.pin)
        if row.commit in self.rows.retracted:
            since = self.rows.retracted[row.commit]
            if known == "event" or since is None or since <= until_us:
                return "retracted", retracted_by(retracts[row.commit], always=since is None)
        if row.event_us is not None and row.event_us > self.t_us:
            return "in the future", future(row.event_us, self.t_us)
        if known != "event" and row.available_us is not None and row.available_us > until_us:
            return "not yet available", unavailable(row.available_us, known, self.t_us)
        newer = first[0]
        if row.event_us == newer.event_us:
            return "older", f"commit {newer.commit} has a later row" + (
                "" if row.event_us is None else " for the same event time"
            )
        return "older", f"{later(cast('int', newer.event_us), cast('int', row.event_us))} before the row that answered"

    def _because(self, answer: Version | None, counts: Mapping[Reason, int], answered: Sequence[Answered]) -> str:
        """Return why the answer has its status."""
        status = self.answered.found.column(STATUS_COLUMN)[0].as_py()
        if answer is None or status == MISSING:
            return self._missing(counts, answered)
        event = "" if answer.event_time is None else f" of {show_us(to_us(answer.event_time))}"
        if status == RETIRED:
            return f"{about(answer.commit)} retired the key" + (f" as{event}" if event else "")
        if status == EXPIRED:
            ttl = show_duration(self.answered.lookup.group.ttl_us or 0)
            ended = show_us(to_us(cast("datetime", self._expires_at(answer))))
            return f"the newest row that counts is{event}, and its ttl of {ttl} ended at {ended}"
        since = "always" if answer.available_at is None else f"since {show_us(to_us(answer.available_at))}"
        return f"the newest row that counts, known {since}"

    def _missing(self, counts: Mapping[Reason, int], answered: Sequence[Answered]) -> str:
        for key, source in zip(self.key.column_names, self.answered.lookup.sources, strict=True):
            if self.key.column(key)[0].as_py() is not None:
                continue
            if isinstance(source, str):
                return f"the key {key} is null: {source} was given as null"
            number, feature = source
            status = _status(answered[number].found, feature)
            return f"the key {key} is null: it comes from {answered[number].label}.{feature}, which is {status}"
        if not counts:
            return "history has no row of this key"
        told = listed([f"{count:,} {reason}" for reason, count in counts.items()])
        return f"no row of this key counts: {told}"

    def _files(self, rows: Rows, wanted: Sequence[_Stored]) -> dict[tuple[int | None, int], str]:
        """Return the file of each row, or those of both families."""
        if not is_split(rows):
            return self._files_of(rows, wanted)
        hot, cold = (self._files_of(of_family(rows, family), wanted) for family in FAMILIES)
        return {place: file if cold[place] == file else f"{file}, {cold[place]}" for place, file in hot.items()}

    def _files_of(self, rows: Rows, wanted: Sequence[_Stored]) -> dict[tuple[int | None, int], str]:
        """Return the file of each row; only files that may hold several of a commit's rows are looked into."""
        journal: set[int] = set()
        if rows.journal is not None:
            journal = set(pc.unique(rows.journal.column(COMMIT_COLUMN)).to_pylist())
        held: dict[str, set[tuple[int | None, int]]] = {}
        found: dict[tuple[int | None, int], str] = {}
        for row in wanted:
            place = (row.event_us, row.commit)
            if row.commit in journal:
                found[place] = JOURNAL
                continue
            files = [item for item in rows.files if _may_hold(item[1].first_commit, item[1].last_commit, row.commit)]
            if row.event_us is not None:
                files = [f for f in files if _may_hold(f[1].min_event_us, f[1].max_event_us, row.event_us)]
            if len(files) == 1:
                found[place] = files[0][1].path
                continue
            for item in files:
                path = item[1].path
                if path not in held:
                    only = replace(rows, files=(item,), journal=None, sources=rows.sources or rows)
                    held[path] = {(other.event_us, other.commit) for other in self._stored(only, {})}
                if place in held[path]:
                    found[place] = path
                    break
        return found


def _may_hold(least: int, greatest: int, value: int) -> bool:
    return least <= value <= greatest


def _status(found: pa.Table, feature: str) -> Status:
    row = found.column(STATUS_COLUMN)[0].as_py()
    if row == MISSING:
        return "MISSING"
    if row == RETIRED:
        return "RETIRED"
    if row == EXPIRED:
        return "EXPIRED"
    return "NULL" if found.column(feature)[0].as_py() is None else "PRESENT"


def _hidden(answer: Version) -> str:
    return f"retracted later, {retracted_by(cast('Commit', answer.retracted_by), always=False)}"


def _us(column: pa.ChunkedArray) -> list[int | None]:
    return column.cast(pa.int64()).to_pylist()
