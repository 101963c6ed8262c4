"""What `store.quality.explain` returns: the rows of a key, and why one of them answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from asof.clock import show_us, to_us
from asof.records import Commit, Status

Reason = Literal["", "older", "not yet available", "in the future", "retracted", "not in the pins"]
"""Why a row did not answer, "" for the one that did. Of several reasons the last in this order is told."""

JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Version:
    """One stored row of a key.

    Attributes:
        event_time: When it was true; None in a static group.
        available_at: Since when it could have been used; None: always.
        commit: The commit that stored it.
        file: The data file that holds it, relative to the history's root; "journal" for a pushed row not yet in files.
        retired: Whether it is a retirement.
        values: The features that were asked for, as they are stored: also where the answer says EXPIRED.
        retracted_by: The commit that retracted its commit, whether or not that counted at T.
        reason: Why it did not answer.
        because: The same, with what it compares.
    """

    event_time: datetime | None
    available_at: datetime | None
    commit: Commit
    file: str
    retired: bool
    values: Mapping[str, Any]
    retracted_by: Commit | None = None
    reason: Reason = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """One look-up of a view, explained.

    Attributes:
        label: What was looked up, as in a report: "weather on dest".
        group: The group version.
        keys: The key.
        sources: Where each key came from: a spine column, or "arrivals.tailnum" for another group's answer.
        known: The knowledge mode.
        pin: The last commit that counts.
        values: The answer, by output name; the value of whatever is not PRESENT is None. A feature that only serves as
            a key has its group's name in front.
        statuses: Its statuses.
        because: Why the answer has its status.
        answer: The row that answered; None if it is MISSING.
        expires_at: When the answering row expires, or did; None without ttl.
        others: The other rows of the key, the nearest to T first.
        counts: How many other rows there are for each reason, those that `others` leaves out included.
    """

    label: str
    group: str
    keys: Mapping[str, Any]
    sources: Mapping[str, str]
    known: Literal["served", "event"] | datetime
    pin: int
    values: Mapping[str, Any]
    statuses: Mapping[str, Status]
    because: str
    answer: Version | None
    expires_at: datetime | None
    others: tuple[Version, ...]
    counts: Mapping[Reason, int]

    def sentence(self, at: datetime) -> str:
        """Return the answer in one sentence."""
        names = listed(list(self.values))
        was = "was" if len(self.values) == 1 else "were"
        head = f"{names} of {listed([shown(key) for key in self.keys.values()])} at {moment(at)} {was}"
        statuses = set(self.statuses.values())
        if self.answer is None or not statuses <= {"PRESENT", "NULL"}:
            return f"{head} {listed(sorted(statuses))}: {self.because}"
        values = listed([shown(value) for value in self.values.values()])
        return f"{head} {values}, from {about(self.answer.commit)}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a view answered what it answered.

    Attributes:
        view: The view's version.
        keys: The keys that were asked for.
        at: T.
        lookups: Each look-up, those that others take their keys from first.
    """

    view: str
    keys: Mapping[str, Any]
    at: datetime
    lookups: tuple[Explained, ...]

    def __str__(self) -> str:
        """Return it as text."""
        lines: list[str] = []
        for found in self.lookups:
            lines.append(found.sentence(self.at))
            if found.answer is not None:
                lines += [f"  answered: {_line(found.answer)}", f"      {found.because}"]
            for row in found.others:
                lines += [f"  {row.reason}: {_line(row)}", f"      {row.because}"]
            left = sum(found.counts.values()) - len(found.others)
            lines += [f"  and {left:,} more"] if left else []
        return "\n".join(lines)


def about(commit: Commit) -> str:
    """Return a commit with its kind, time and writer."""
    writer = f" by {commit.writer}" if commit.writer else ""
    meta = "".join(f", {name}={value}" for name, value in commit.meta.items())
    return f"commit {commit.id} ({commit.kind} at {moment(commit.committed_at)}{writer}{meta})"


def moment(at: datetime) -> str:
    """Return a time as text."""
    return show_us(to_us(at))


def shown(value: object) -> str:
    """Return a value as text."""
    return "null" if value is None else str(value)


def listed(texts: Sequence[str]) -> str:
    """Return texts as people list them: "a, b and c"."""
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def _line(row: Version) -> str:
    event = "" if row.event_time is None else f"{moment(row.event_time)}  "
    values = "retired" if row.retired else ", ".join(f"{name} {shown(value)}" for name, value in row.values.items())
    return f"{event}{values}  {row.commit.id}  {row.file}"
