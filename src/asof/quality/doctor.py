"""The health of a store: every data file is read, every online row is compared with history."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from asof import notebook
from asof.engine.families import FAMILIES
from asof.errors import AsofError
from asof.ingest.feed import OnlineFeed, encode_online
from asof.ingest.grow import Grower
from asof.ingest.upkeep import Merged, Upkeep
from asof.online.port import HEAD_BYTES, Applied
from asof.parts import Parts, pinned_rows
from asof.progress import Progress, unheard
from asof.records import DataFile
from asof.registry.registered import RegisteredGroup

BATCH_KEYS = 10_000
PATIENCE_SECONDS = 1.0
"""How long a writer may take from publishing a commit to applying it online, before we call it lost."""

ATTEMPTS = 100
"""Comparisons of a group that is written to meanwhile."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        where: The part: "history", "online", "external", "debris", "models", "upkeep", "serving log".
        what: What is wrong, with its place.
        repaired: Whether it was repaired.
        todo: What a person can do about it.
    """

    where: str
    what: str
    repaired: bool = False
    todo: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.where}: {self.what}" + (
            " (repaired)" if self.repaired else f" -> {self.todo}" if self.todo else ""
        )


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found of a part that lies beside groups.

    Attributes:
        count: How many things were read in full, and are as they were kept.
        findings: What is wrong.
    """

    count: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was looked at, and what is wrong.

    Attributes:
        files: Data files that were read in full.
        keys: Online keys that were compared with history.
        findings: What is wrong.
        merged: What was merged in the background since the store was opened, for each group ("weather@1").
        models: Models whose files were read in full; those of MLflow are not.
    """

    files: int
    keys: int
    findings: tuple[Finding, ...]
    merged: Mapping[str, Merged] = field(default_factory=dict[str, Merged])
    models: int = 0

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return all(finding.repaired for finding in self.findings)

    def _repr_html_(self) -> str:
        return notebook.text(self)

    def __str__(self) -> str:
        """Return it as text."""
        head = f"{self.files:,} data files read, {self.keys:,} online keys compared with history"
        head += f", {self.models:,} models read" if self.models else ""
        merged = [f"{group}: {done}" for group, done in self.merged.items()]
        return "\n".join((head, *merged, *map(str, self.findings), "all is well" if self.healthy else "not well"))


def diagnose(
    parts: Parts,
    feed: OnlineFeed,
    upkeep: Upkeep,
    *,
    repair: bool,
    unlogged: Mapping[str, str],
    progress: Progress = unheard,
) -> Diagnosis:
    """Examine a store; see `Quality.doctor`.

    Args:
        parts: The store's parts.
        feed: Brings commits online.
        upkeep: The upkeep of history.
        repair: Whether to repair what can be repaired.
        unlogged: Views whose answers could not be logged, with the reason.
        progress: Told of the rows of data files that were read, and of the online keys that were compared.
    """
    findings = [Finding("online", parts.online.mended, repaired=True)] if parts.online.mended else []
    faults = parts.online.check()
    todo = "close the store and run `asof doctor --repair`: it is built again from history"
    findings += [Finding("online", fault, todo=todo) for fault in faults]
    files = keys = done = 0
    groups = parts.registry.groups()
    work = {group.id: _rows(parts, group) + (0 if faults else _keys(parts, group)) for group in groups}
    total = sum(work.values())
    for group in groups:
        begun = done
        if group.definition.external is not None:
            findings += _outside(parts, group)
            continue
        damaged: list[Finding] = []
        for file, fault in _files(parts, group):
            files += 1
            done = min(done + file.rows, begun + work[group.id])  # more may have been written meanwhile
            progress(done, total)
            todo = "bring the file back from a backup, or remove the group and load it again"
            damaged += [Finding("history", f"{group.ref}: {fault}", todo=todo)] if fault else []
        findings += [*_unequal(parts, group), *damaged]
        if group.definition.online and not damaged and not faults:  # reading damaged pages may end the process
            count, wrong = _online(parts, feed, group, repair=repair)
            keys += count
            findings += wrong
            if repair:
                upkeep.failures.pop(f"applying {group.ref} online", None)
        if repair and not damaged:
            upkeep.mirror(group)
        done = begun + work[group.id]
        progress(done, total)
    findings += _left(parts, upkeep, repair=repair)
    todo = "mend the cause; the next answers are logged again"
    findings += [Finding("serving log", f"answers of {view}: {why}", todo=todo) for view, why in unlogged.items()]
    return Diagnosis(files, keys, tuple(findings), dict(upkeep.merged))


def _left(parts: Parts, upkeep: Upkeep, *, repair: bool) -> list[Finding]:
    """Return what was left behind: files that nobody names, erasures and upkeep that did not come to their end."""
    findings: list[Finding] = []
    debris = upkeep.debris()
    if debris:
        if repair:
            parts.history.discard(debris)
        what = f"{len(debris)} files that no commit names"
        findings.append(Finding("debris", what, repair, "run `asof doctor --repair`"))
    if repair:
        upkeep.let_go_of_copies()
    todo = "close the store and open it again"
    findings += [
        Finding("erasure", f"erasure {begun.id} of {begun.entity} is not finished", todo=todo)
        for begun in parts.erasures.all()
        if begun.pending is not None
    ]
    failures = [f"{what}: {error}" for what, error in list(upkeep.failures.items())]
    return findings + [Finding("upkeep", failure, todo="run `asof compact`") for failure in failures]


def _files(parts: Parts, group: RegisteredGroup) -> Iterator[tuple[DataFile, str]]:
    """Yield the data files of a group, each with what is wrong with it."""
    for file, _ in parts.log.snapshot(group).files:
        yield file, parts.history.check(file.path)


def _outside(parts: Parts, group: RegisteredGroup) -> list[Finding]:
    """Return what keeps an external group from being read, or its rows from having an order."""
    try:
        rows, _ = pinned_rows(parts, group)
        for _ in parts.engine.scan(rows, columns=group.definition.columns):
            pass
        if group.definition.static:  # of others it depends on the time which rows answer
            for _ in parts.engine.scan(rows, columns=group.definition.columns, latest=True):
                pass
    except AsofError as error:
        return [Finding("external", f"{group.ref}: {error.what}", todo=error.todo or "look at its place")]
    return []


def _unequal(parts: Parts, group: RegisteredGroup) -> list[Finding]:
    """Return whether the families of a split group lack rows of each other."""
    files = parts.log.snapshot(group).files
    hot, cold = (sum(file.rows for file, _ in files if file.family == family) for family in FAMILIES)
    if hot == cold:
        return []
    what = f"{group.ref}: {hot:,} rows lie in the hot family, {cold:,} in the cold one"
    return [Finding("history", what, todo="remove the group and load it again")]


def _rows(parts: Parts, group: RegisteredGroup) -> int:
    return sum(file.rows for file, _ in parts.log.snapshot(group).files)


def _keys(parts: Parts, group: RegisteredGroup) -> int:
    return parts.online.count(group.id) if group.definition.online else 0


def _online(parts: Parts, feed: OnlineFeed, group: RegisteredGroup, *, repair: bool) -> tuple[int, list[Finding]]:
    todo = "run `asof doctor --repair`"
    findings: list[Finding] = []
    try:
        grower = None if group.source is None else Grower(parts, group)
    except AsofError as error:  # a user's function is not here: who has it repairs
        return 0, [Finding("online", f"{group.ref}: {error.what}", todo=error.todo)]
    commits = parts.log.commits(group.stored, limit=1)
    head = commits[0].number if commits else 0
    applied = _applied(parts, group)
    patience = PATIENCE_SECONDS
    while (applied.commit < head or applied.applying) and patience > 0:  # a living writer is about to apply it
        time.sleep(0.05)
        patience -= 0.05
        applied = _applied(parts, group)
    if feed.is_foreign(group, applied):
        if repair:
            feed.rebuild(group)
        what = f"{group.ref}: the online rows are not of this history; was one of the two restored from a backup?"
        return 0, [Finding("online", what, repair, todo)]
    unfinished = grower is not None and grower.is_unfinished()
    if applied.commit < head or applied.applying or unfinished:
        if repair:
            feed.catch_up(group)
        what = f"{group.ref} has commits up to {head}, {applied.commit} is applied"
        what = f"the windows of {group.ref} are not all built online" if unfinished else what
        findings.append(Finding("online", what, repair, todo))
        if not repair:
            return 0, findings
    try:
        count, wrong = _compare(parts, group) if grower is None else grower.compare()
    except AsofError as error:
        return 0, [*findings, Finding("online", f"{group.ref}: {error}", todo=todo)]
    if wrong:
        if repair:
            feed.rebuild(group)
        findings.append(
            Finding("online", f"{group.ref}: {wrong:,} of {count:,} keys differ from history", repair, todo)
        )
    return count, findings


def _same(online: bytes | None, history: bytes) -> bool:
    """Return whether two rows say the same; features that were added after a row was put are not in it."""
    if online is None or online == history:
        return online == history
    if online[:HEAD_BYTES] != history[:HEAD_BYTES]:
        return False
    values, expected = (
        msgspec.msgpack.decode(row[HEAD_BYTES:] or b"\x90", type=list[object]) for row in (online, history)
    )
    return repr(values) == repr(expected[: len(values)]) and not any(v is not None for v in expected[len(values) :])


def _compare(parts: Parts, group: RegisteredGroup) -> tuple[int, int]:
    """Return how many keys history has, and how many online rows differ (missing and surplus ones included)."""
    count = wrong = 0
    for _ in range(ATTEMPTS):
        before = _applied(parts, group)
        count, wrong = _compared(parts, group, before.commit)
        if not wrong or _applied(parts, group) == before:  # else somebody wrote meanwhile, and that is the difference
            break
    return count, wrong


def _applied(parts: Parts, group: RegisteredGroup) -> Applied:
    with parts.online.snapshot() as snapshot:
        return snapshot.applied.get(group.id, Applied())


def _compared(parts: Parts, group: RegisteredGroup, pin: int) -> tuple[int, int]:
    rows, _ = pinned_rows(parts, group, pin=pin)
    count = wrong = present = 0
    for batch in parts.engine.newest(rows):
        keys, values = encode_online(pa.Table.from_batches([batch]), group)
        for start in range(0, len(keys), BATCH_KEYS):
            with parts.online.snapshot() as snapshot:
                found = snapshot.get([(group.id, key) for key in keys[start : start + BATCH_KEYS]])
            present += len(found) - found.count(None)
            wrong += sum(not _same(a, b) for a, b in zip(found, values[start : start + BATCH_KEYS], strict=True))
        count += len(keys)
    surplus = parts.online.count(group.id) - present
    return count, wrong + max(surplus, 0)
