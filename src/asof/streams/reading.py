"""Read a stream into a group: gather messages, store them with their positions in one transaction, and again.

A batch is gathered, stored and forgotten before the next one is asked for: so a slow store slows the reading, and
memory holds one batch. What fails for a while is tried again with the batch at hand; whether it was stored after all is
what the positions say, since they moved with it or did not.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame
from asof.errors import AsofError, BackendError, DataError, TransientError
from asof.ingest.prepare import Options
from asof.ingest.write import Writer
from asof.parts import Parts
from asof.records import Commit, Step, Taken
from asof.registry.port import StalePositionsError
from asof.registry.registered import RegisteredGroup
from asof.streams.figures import Batch, Figures
from asof.streams.intake import Intake, Sorted
from asof.streams.port import Message, Stream

TICK_SECONDS = 0.1
"""How long one poll waits when nothing comes: so soon a stop is heard."""

FIRST_PAUSE_SECONDS = 0.05
LAST_PAUSE_SECONDS = 5.0

LIVE_SECONDS = 0.5
"""How often the broker hears of us while we wait for the store."""

FIGURES_SECONDS = 0.5
LOST_SECONDS = 30.0
"""How long without any partition counts as idle, where `until_idle` is shorter: others may hold them all."""

DEFINITION_ATTEMPTS = 5

Open = Callable[[Callable[[Sequence[str]], Mapping[str, str]]], Stream]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stream is read; see `asof.streams.run`."""

    name: str
    batch_rows: int
    batch_seconds: float
    until_idle: float | None
    most_quarantined: int
    progress: Callable[[Figures], None] | None
    stop: threading.Event = field(default_factory=threading.Event)
    stored: Callable[[Batch], None] | None = None


class _ElsewhereError(Exception):
    """The positions are not where we left them: somebody else has our partition."""


class Reading:
    """One run."""

    def __init__(
        self,
        parts: Parts,
        writer: Writer,
        group: RegisteredGroup,
        *,
        opened: Open,
        intake: Intake,
        settings: Settings,
    ) -> None:
        """Begin nothing yet."""
        self._parts = parts
        self._writer = writer
        self._group = group
        self._opened = opened
        self._intake = intake
        self._settings = settings
        self._positions: dict[str, str] = {}
        self._figures = Figures()
        self._begun = self._active = time.monotonic()
        self._told = 0.0
        self._bad_in_a_row = 0
        self._trouble: TransientError | None = None
        self._at_hand: int | None = None

    @property
    def figures(self) -> Figures:
        """How far it is."""
        return self._figures

    def run(self) -> Figures:
        """Read until it is stopped, or idle.

        Raises:
            DataError: Too many messages in a row cannot be stored. BackendError, NotFoundError: See `asof.streams.run`.
        """
        pause = FIRST_PAUSE_SECONDS
        while not self._settings.stop.is_set():
            batches = self._figures.batches
            try:
                with closing(self._opened(self._resume)) as stream:
                    self._read(stream)
            except _ElsewhereError:
                self._again("another member took a partition over")
                self._settings.stop.wait(FIRST_PAUSE_SECONDS)
            except TransientError as error:
                if self._settings.stop.is_set():
                    raise
                pause = FIRST_PAUSE_SECONDS if self._figures.batches > batches else pause
                self._again(str(error))
                self._settings.stop.wait(pause)
                pause = min(2 * pause, LAST_PAUSE_SECONDS)
            else:
                break
        return self._figures

    def _resume(self, partitions: Sequence[str]) -> Mapping[str, str]:
        """Return how far partitions were taken, which this member was just given."""
        found = self._parts.streams.positions(self._group, self._settings.name)
        known = {partition: place for (_, partition), place in found.items() if partition in partitions}
        for partition in partitions:
            self._positions[partition] = known.get(partition, "")
        return known

    def _read(self, stream: Stream) -> None:
        self._active = time.monotonic()
        alone = True
        while not self._settings.stop.is_set():
            batch = self._gather(stream)
            if alone and stream.held:  # it may take seconds to be given partitions: nobody was idle then
                alone, self._active = False, time.monotonic()
            if batch:
                self._store(stream, batch)
                stream.report({partition: self._positions[partition] for partition in {m.partition for m in batch}})
                self._active = time.monotonic()
                self._count(trouble="")
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            self._tell(stream)
            if not batch and self._idle(stream):
                break
        self._count(trouble="")
        self._tell(stream, last=True)

    def _idle(self, stream: Stream) -> bool:
        most = self._settings.until_idle
        if most is None:
            return False
        return time.monotonic() - self._active > (most if stream.held else max(most, LOST_SECONDS))

    def _gather(self, stream: Stream) -> list[Message]:
        """Return messages of partitions that are still ours: as many as a batch has, or as came in its time."""
        settings = self._settings
        found: list[tuple[int, Message]] = []
        until = 0.0
        while len(found) < settings.batch_rows:
            wait = until - time.monotonic() if found else TICK_SECONDS
            if found and wait <= 0:
                break
            try:
                came = stream.poll(settings.batch_rows - len(found), wait)
            except TransientError as error:
                if not found:
                    raise
                self._trouble = error  # what came before it is good
                break
            if came and not found:
                until = time.monotonic() + settings.batch_seconds
            held = stream.held
            found += [(held[message.partition], message) for message in came if message.partition in held]
            if not found:
                break
        held = stream.held
        return [message for number, message in found if held.get(message.partition) == number]

    def _store(self, stream: Stream, batch: Sequence[Message]) -> None:
        """Store a batch with its positions, however long it takes."""
        reached = {message.partition: message.place for message in batch}
        name = self._settings.name
        steps = tuple(Step(name, each, self._positions[each], place) for each, place in reached.items())
        pause = FIRST_PAUSE_SECONDS
        begun = time.monotonic()
        while True:
            try:
                self._publish(batch, steps)
                break
            except (TransientError, StalePositionsError) as error:
                stored = self._stored(steps, error)
                self._again(str(error))
                if stored:
                    self._serve(stream)
                    self._count(batches=self._figures.batches + 1, messages=self._figures.messages + len(batch))
                    break
                self._wait(stream, pause, error)
                pause = min(2 * pause, LAST_PAUSE_SECONDS)
        self._positions |= reached
        self._behind(batch)
        self._observe(time.monotonic() - begun)

    def _publish(self, batch: Sequence[Message], steps: tuple[Step, ...]) -> None:
        for last in (False,) * DEFINITION_ATTEMPTS + (True,):
            found = self._intake.sort(batch, self._group, now_us=self._parts.now_us())
            if found.letters and self._redefined():  # nothing is put aside by a definition of yesterday
                continue
            self._look_out(batch, found)
            self._at_hand = _newest_us(found.rows, self._group)
            options = Options(
                on_conflict="last", meta={"stream": self._settings.name}, taken=Taken(steps, found.letters)
            )
            try:
                commit = self._push(found.rows, options)
            except DataError:  # it fitted the definition of a moment ago
                if last or not self._redefined():
                    raise
                continue
            self._bad_in_a_row = 0 if found.rows.num_rows else self._bad_in_a_row + len(found.letters)
            self._count(
                messages=self._figures.messages + len(batch),
                rows=self._figures.rows + commit.rows,
                quarantined=self._figures.quarantined + commit.quarantined,
                reasons=dict(Counter(self._figures.reasons) + Counter(found.reasons)),
                batches=self._figures.batches + 1,
            )
            return

    def _redefined(self) -> bool:
        """Look the group up; return whether it is another one than it was."""
        before, self._group = self._group, self._parts.registry.group(self._group.ref)
        return self._group != before

    def _push(self, rows: Frame, options: Options) -> Commit:
        return self._writer.push(self._group.ref, rows, options)

    def _look_out(self, batch: Sequence[Message], found: Sorted) -> None:
        """Refuse to put a whole stream into quarantine.

        Raises:
            DataError: So many messages in a row could not be stored.
        """
        count = self._bad_in_a_row + len(found.letters)
        if not found.rows.num_rows and count >= self._settings.most_quarantined:
            first = found.letters[0]
            raise DataError(
                f"{count:,} messages in a row cannot be stored; the last ones begin with {first.place} of partition "
                f"{first.partition}: {first.reason}",
                where=f"stream {self._settings.name}",
                todo="see whether --format and --schema are right, or allow more with --most-quarantined",
                data={"messages": len(batch)},
            )

    def _stored(self, steps: Sequence[Step], error: AsofError) -> bool:
        """Return whether a batch was stored, though there was an error.

        Raises:
            _ElsewhereError: The positions are neither before it nor behind it.
        """
        try:
            found = self._parts.streams.positions(self._group, self._settings.name)
        except BackendError:  # not even that can be asked: it will come out at the next try
            return False
        now = [found.get((step.stream, step.partition), "") for step in steps]
        if now == [step.reached for step in steps]:
            return True
        if now != [step.before for step in steps] or isinstance(error, StalePositionsError):
            raise _ElsewhereError from error
        return False

    def _serve(self, stream: Stream) -> None:
        """Have the online store catch up: it failed after a batch was stored in history."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                self._writer.feed.serve(self._group)
                break
            except TransientError as error:
                self._again(str(error))
                self._wait(stream, pause, error)
                pause = min(2 * pause, LAST_PAUSE_SECONDS)

    def _wait(self, stream: Stream, pause: float, error: AsofError) -> None:
        """Wait for the store, and stay a member meanwhile.

        Raises:
            AsofError: The error, if we are to stop.
        """
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            if self._settings.stop.wait(min(left, LIVE_SECONDS)):
                raise error
            stream.poll(0, 0.0)
            self._tell(stream)

    def _behind(self, batch: Sequence[Message]) -> None:
        newest = max((message.at_us for message in batch if message.at_us is not None), default=None)
        if newest is not None:
            self._count(behind_seconds=max(self._parts.now_us() - newest, 0) / 1e6)

    def _observe(self, seconds: float) -> None:
        """Say that a batch was stored, and can be read."""
        newest = self._at_hand
        if newest is not None:
            self._count(newest_event_us=max(newest, self._figures.newest_event_us or newest))
        if self._settings.stored is not None:
            age = None if newest is None else max(self._parts.now_us() - newest, 0) / 1e6
            self._settings.stored(Batch(seconds, age))

    def _again(self, trouble: str) -> None:
        self._count(retries=self._figures.retries + 1, trouble=trouble)
        self._tell(None)

    def _count(self, **values: Any) -> None:  # noqa: ANN401 - those of Figures
        self._figures = replace(self._figures, **values)

    def _tell(self, stream: Stream | None, *, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._told < FIGURES_SECONDS and not last:
            return
        self._told = now
        self._count(seconds=now - self._begun)
        if stream is not None:
            held, lag = stream.held, stream.lag()
            total = sum(lag.values()) if held.keys() <= lag.keys() else None
            behind = 0.0 if total == 0 else self._figures.behind_seconds
            self._count(partitions=len(held), lag=total, behind_seconds=behind)
        if self._settings.progress is not None:
            self._settings.progress(self._figures)


def _newest_us(rows: pa.Table, group: RegisteredGroup) -> int | None:
    """Return the greatest event time of rows; None if there is none."""
    name = group.definition.event_time
    return None if name is None else pc.max(rows.column(name).cast(pa.int64())).as_py()
