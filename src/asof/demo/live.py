"""Step 8: a day of landings as a live stream: Kafka, `asof.streams.run`, and the windows that count them."""

import json
import threading
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.clock import MICROSECOND
from asof.definitions.durations import show_duration
from asof.demo.broker import Broker, Place
from asof.demo.context import NOW, Context
from asof.errors import TransientError
from asof.streams import Figures, positions, run

DAY = timedelta(days=1)
STEP, QUICK_STEP = timedelta(hours=1), timedelta(hours=4)
LATER = timedelta(hours=3)
"""How much later than the others the message comes that is late; once more, it comes as long after that."""

FROM = NOW + timedelta(hours=15)
"""The late message is the first that should have come by then: busy hours lie before and after it."""

DELAY = timedelta(minutes=90)
"""How long after a landing its message comes, as `examples/flights/features.py` has it for history."""

WINDOW = "count_24h"
LOOK_SECONDS = 0.001
PATIENCE_SECONDS = 120.0

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Special:
    """What a message did to the window of its carrier.

    Attributes:
        what: What is odd about it.
        landed: Its event time.
        came: When it was sent, by the store's clock.
        before: Landings in 24 hours, online, before it came.
        after: And when the stream had taken it.
    """

    what: str
    landed: datetime
    came: datetime
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Live:
    """What came of the day.

    Attributes:
        messages: Messages sent.
        events: Landings among them: all but the message that was sent again.
        seconds: How long the day took.
        p50_ms: Median time from sent to counted by its carrier's window online.
        worst_ms: The longest.
        specials: The late message, and the repeated one.
        wrong: Carriers whose windows at the end are not what the day's landings make them.
    """

    messages: int
    events: int
    seconds: float
    p50_ms: float
    worst_ms: float
    specials: list[Special]
    wrong: int


def replay(context: Context, day: "Day") -> Live:
    """Send the landings of the day after the clock, in the order in which they are heard of, and see them count."""
    screen = context.screen
    screen.heading('A day as a live stream: asof.streams.run(store, "arrivals", "kafka://127.0.0.1/arrivals")')
    step = QUICK_STEP if context.quick else STEP
    with screen.progress("steps of the day", DAY // step) as advance:
        day.wait_for_stream()
        start = perf_counter()
        for number in range(DAY // step):
            day.go_on(NOW + step * (number + 1))
            advance(1)
        seconds = perf_counter() - start
    live = day.told(seconds)
    _show(context, live, step)
    return live


class Day:
    """The day, as far as it went."""

    def __init__(self, context: Context) -> None:
        """Start the broker; nothing is sent yet."""
        rows = _heard_of(context, NOW, NOW + DAY)
        self._landed = [*_heard_of(context, NOW - DAY, NOW), *rows]
        self._store = context.store
        self._clock = context.clock
        self._broker = Broker("arrivals")
        self._stop = threading.Event()
        self._heard = Figures()
        self._stream: Future[Figures] | None = None
        self._waiting = rows
        self._sent: list[Row] = []
        self._again = 0
        self._took_ms: list[float] = []
        self._specials: list[Special] = []
        late = next(row for row in rows if row["heard"] >= FROM)
        self._late = late
        self._due = [(late["heard"] + LATER, "three hours late"), (late["heard"] + 2 * LATER, "the same once more")]
        self._waiting.remove(late)

    @contextmanager
    def reading(self) -> Generator["Day"]:
        """Have the stream read into the store, by a thread, while the block runs.

        A broker gives out partitions some seconds after it is asked: begin early.
        """
        with ThreadPoolExecutor(max_workers=1) as pool:
            stream = partial(run, self._store, "arrivals", self._broker.url, stop=self._stop, progress=self._hear)
            self._stream = pool.submit(stream)
            try:
                yield self
            finally:
                self._stop.set()
        self._stream.result()

    def wait_for_stream(self) -> None:
        """Return when the stream has partitions to read."""
        start = perf_counter()
        while not self._heard.partitions:
            self._rest(start)

    def _hear(self, figures: Figures) -> None:
        self._heard = figures

    def go_on(self, until: datetime) -> None:
        """Turn the clock on, and send what is heard of by then; return when it counts."""
        while self._due and self._due[0][0] <= until:
            at, what = self._due.pop(0)
            self._go_on_to(at)
            self._send_special(what)
        self._go_on_to(until)

    def _go_on_to(self, until: datetime) -> None:
        self._clock.now = until
        heard = [row for row in self._waiting if row["heard"] <= until]
        self._waiting = [row for row in self._waiting if row["heard"] > until]
        wanted = {carrier: self._count(carrier) + more for carrier, more in _by_carrier(heard).items()}
        start = perf_counter()
        self._send(heard)
        self._sent += heard
        while wanted:
            for carrier in [carrier for carrier, count in wanted.items() if self._count(carrier) >= count]:
                self._took_ms.append((perf_counter() - start) * 1000)
                del wanted[carrier]
            self._rest(start)

    def _send_special(self, what: str) -> None:
        """Send the late message, or the same again, and see what its carrier's window makes of it."""
        late, again = self._late, self._late in self._sent
        before = self._count(late["carrier"])
        ((partition, number),) = self._send([late])
        start = perf_counter()
        # Whether it was taken is known by the stream's position: a repeated message shows in nothing else.
        while int(positions(self._store, "arrivals").get(("arrivals", partition), -1)) < number:
            self._rest(start)
        while not again and self._count(late["carrier"]) == before:
            self._rest(start)
        after = self._count(late["carrier"])
        self._specials.append(Special(what, late["landed"], self._clock.now, before, after))
        if again:
            self._again += 1
        else:
            self._sent.append(late)

    def told(self, seconds: float) -> Live:
        """Return what came of it."""
        return Live(
            messages=len(self._sent) + self._again,
            events=len(self._sent),
            seconds=seconds,
            p50_ms=float(np.median(self._took_ms)),
            worst_ms=max(self._took_ms),
            specials=self._specials,
            wrong=sum(self._count(carrier) != count for carrier, count in self._expected().items()),
        )

    def _expected(self) -> Mapping[str, int]:
        """Return how many landings of each carrier were heard of in the last 24 hours, by the file."""
        now = self._clock.now
        landed = [row for row in self._landed if now - DAY < row["landed"] <= now - DELAY]
        return _by_carrier(landed)

    def _send(self, rows: Sequence[Row]) -> list[Place]:
        return self._broker.send([(row["carrier"], _message(row)) for row in rows])

    def _count(self, carrier: str) -> int:
        return int(self._store.online("carrier_arrivals", {"carrier": carrier}).values[WINDOW])

    def _rest(self, since: float) -> None:
        """Wait a little for the stream.

        Raises:
            TransientError: It took too long. AsofError: The stream has ended with it.
        """
        if self._stream is not None and self._stream.done():
            self._stream.result()
        if perf_counter() - since > PATIENCE_SECONDS:
            raise TransientError("a message did not count", where="stream arrivals")
        sleep(LOOK_SECONDS)


def _show(context: Context, live: Live, step: timedelta) -> None:
    screen = context.screen
    screen.say(
        f"{live.messages} messages through a broker on loopback, in {live.seconds:.1f} s: the store's clock went from"
        f" {NOW:%d %b %H:%M} to {NOW + DAY:%d %b %H:%M}, {show_duration(step // MICROSECOND)} at a time. From sent to"
        " counted by the windows that are served:"
        f" [bold]p50 {live.p50_ms:.0f} ms, at most {live.worst_ms:.0f} ms[/bold]. Two of them:"
    )
    screen.table(
        ("message", "landed", "came", "landings of its carrier in 24 h, online"),
        [
            (each.what, f"{each.landed:%H:%M}", f"{each.came:%H:%M}", f"{each.before} -> {each.after}")
            for each in live.specials
        ],
    )
    screen.say(
        "In the end the windows of "
        + ("all carriers" if not live.wrong else f"[red]all carriers but {live.wrong}[/red]")
        + f" hold what the {live.events} landings of the file make them."
    )


def _heard_of(context: Context, after: datetime, until: datetime) -> list[Row]:
    """Return the landings that are heard of in (after, until], in order."""
    events: pa.Table = context.data.arrival_events()
    bounds = [pa.scalar(moment - DELAY, events.schema.field("landed").type) for moment in (after, until)]
    chosen = events.filter(pc.and_(pc.greater(events["landed"], bounds[0]), pc.less_equal(events["landed"], bounds[1])))
    return [row | {"heard": row["landed"] + DELAY} for row in chosen.to_pylist()]


def _message(row: Row) -> bytes:
    """Return a landing as a message of JSON, times in RFC 3339."""
    return json.dumps(
        {name: value for name, value in row.items() if name != "heard"}, default=datetime.isoformat
    ).encode()


def _by_carrier(rows: Sequence[Row]) -> Mapping[str, int]:
    return Counter(row["carrier"] for row in rows)
