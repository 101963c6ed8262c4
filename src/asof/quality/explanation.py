"""What `store.quality.explain` returns: the rows of a key, and why one of them answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from asof import notebook
from asof.clock import show_us, to_us
from asof.definitions.durations import show_duration
from asof.engine.port import Known, Uncounted
from asof.records import Commit, Status

Reason = Literal["", "older", "not yet available", "in the future", "retracted", "not in the pins"]
"""Why a row did not answer, "" for the one that did. Of several reasons the last in this order is told."""

EventReason = Literal[Uncounted, "not in the pins"]
"""Why a row is no event of a window; see `asof.engine.port.Uncounted`."""

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
class StoredEvent:
    """One stored row of a group of events.

    Attributes:
        keys: Its key, which with its time is what the event is told from others by.
        event_time: When it happened.
        available_at: Since when it could have been used; None: always.
        commit: The commit that stored it.
        value: Of the aggregate's column; None if it has none.
        retracted_by: The commit that retracted its commit, whether or not that counted at T.
        reason: Why it does not count.
        because: The same, with what it compares.
    """

    keys: Mapping[str, Any]
    event_time: datetime
    available_at: datetime | None
    commit: Commit
    value: Any
    retracted_by: Commit | None = None
    reason: EventReason = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class ExplainedWindow:
    """A feature that is made of the events of a window, explained.

    Attributes:
        feature: Its output name.
        told: How it is made, in words.
        after: The window's start; an event at it does not count. None: it has none.
        until: The window's end; an event at it counts.
        value: The answer.
        status: Its status.
        because: Why it has its status.
        count: How many events count.
        events: The first and the last of them, in the order of time: up to `limit` of each.
        others: Other rows of the entity, the nearest to T first.
        counts: How many other rows there are for each reason, those that `others` leaves out included.
    """

    feature: str
    told: str
    after: datetime | None
    until: datetime
    value: Any
    status: Status
    because: str
    count: int
    events: tuple[StoredEvent, ...]
    others: tuple[StoredEvent, ...]
    counts: Mapping[EventReason, int]

    def sentence(self, keys: Mapping[str, Any], at: datetime) -> str:
        """Return the answer in one sentence."""
        value = self.status if self.status == "MISSING" else shown(self.value)
        head = f"{self.feature} of {listed([shown(key) for key in keys.values()])} at {moment(at)} was {value}"
        return f"{head}: {self.because}"

    def lines(self) -> list[str]:
        """Return the rows as text."""
        lines = [f"  counts: {_event_line(each)}" for each in self.events]
        between = self.count - len(self.events)
        if between:
            lines.insert(len(self.events) // 2, f"  and {between:,} more that count")
        for each in self.others:
            lines += [f"  {each.reason}: {_event_line(each)}", f"      {each.because}"]
        left = sum(self.counts.values()) - len(self.others)
        return [*lines, f"  and {left:,} more that do not count"] if left else lines


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
        made_of: The group version whose rows are its events; "" of a group that has rows of its own.
        windows: In place of a row that answered, the window of each feature of a group that is made of events.
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
    made_of: str = ""
    windows: tuple[ExplainedWindow, ...] = ()

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

    def _repr_html_(self) -> str:
        return notebook.text(self)

    def __str__(self) -> str:
        """Return it as text."""
        lines: list[str] = []
        for found in self.lookups:
            for window in found.windows:
                lines += [window.sentence(found.keys, self.at), *window.lines()]
            if found.windows:
                continue
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


def unpinned(commit: int, pin: int) -> str:
    """Return why a row is not in the pins."""
    return f"its commit is {commit}, the pin is {pin}"


def retracted_by(retract: Commit, *, always: bool) -> str:
    """Return by what a row is retracted, and why."""
    reach = ", at every time" if always else ""
    reason = f": {retract.reason}" if retract.reason else ""
    return f"by {about(retract)}{reach}{reason}"


def future(event_us: int, t_us: int) -> str:
    """Return how far a row is in the future."""
    return f"it was true {later(event_us, t_us)} after T"


def unavailable(available_us: int, known: Known, t_us: int) -> str:
    """Return since when a row is known."""
    until_us, until = (known, "K") if isinstance(known, int) else (t_us, "T")
    return f"known since {show_us(available_us)}, {later(available_us, until_us)} after {until}"


def later(late_us: int, early_us: int) -> str:
    """Return how much later a time is."""
    return show_duration(late_us - early_us)


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


def _event_line(row: StoredEvent) -> str:
    keys = ", ".join(f"{name} {shown(value)}" for name, value in row.keys.items())
    value = "" if row.value is None else f"  {row.value}"
    return f"{moment(row.event_time)}  {keys}{value}  {row.commit.id}"
