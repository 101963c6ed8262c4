"""Steps 7 and 9: read vectors online, one by one and timed; prove that they equal history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle, islice
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape

from asof.definitions import FeatureView
from asof.demo.context import NOW_US, Context
from asof.demo.model import Model
from asof.demo.screen import Advance

if TYPE_CHECKING:
    from asof.store import Store

READS, QUICK_READS = 20_000, 2_000
WINDOW_READS, QUICK_WINDOW_READS = 500, 100
INSTANTS, QUICK_INSTANTS = 40, 10
SHOWN = 5
WARM_UP_SHARE = 40
STRIDE = 500
OF_THE_ROUTE = "arr_delay_last_3_7d"
KEYS = ["origin", "dest", "tailnum", "carrier"]

Keys = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one call of `store.online`, in microseconds."""

    reads: int
    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What verify found."""

    compared: int
    differences: int


def serve(context: Context, model: Model) -> tuple[Latency, Latency]:
    """Serve the departures that lie after the store's clock, and time it, without windows and with them."""
    screen = context.screen
    screen.heading('Serve: store.online("departure_live", {"carrier": "UA", "origin": "JFK", ...})')
    timetable: pa.Table = context.data.timetable()
    coming = timetable.filter(pc.greater(timetable["sched_dep"].cast(pa.int64()), NOW_US))
    keys: Sequence[Keys] = coming.select(KEYS).to_pylist()
    reads, window_reads = (QUICK_READS, QUICK_WINDOW_READS) if context.quick else (READS, WINDOW_READS)
    with screen.progress(
        f"{coming.num_rows} departures after the clock, again and again", reads + window_reads
    ) as advance:
        view, live = (
            measure(context.store, each, [{key: row[key] for key in each.spine_keys} for row in keys], many, advance)
            for each, many in ((context.view, reads), (context.live, window_reads))
        )
    _show_vector(context, model, _due(coming))
    screen.say(
        f"[bold]p50 {view.p50_us:.0f} µs, p99 {view.p99_us:.0f} µs[/bold] a read of {context.view.name}:"
        f" {len(context.view.features)} features, values included ({reads:,} reads, one by one, of"
        f" {coming.num_rows:,} departures after the clock). With the windows, {len(context.live.features)} features:"
        f" p50 {live.p50_us:.0f} µs, p99 {live.p99_us:.0f} µs ({window_reads:,} reads)."
    )
    return view, live


def measure(store: "Store", view: FeatureView, keys: Sequence[Keys], reads: int, advance: Advance) -> Latency:
    """Read a view again and again, going around the keys; the values are taken from each answer."""
    taken_ns = np.fromiter(_timed(store, view.name, islice(cycle(keys), reads), advance), dtype=np.int64)
    p50, p99 = np.percentile(taken_ns[reads // WARM_UP_SHARE :] / 1_000, [50, 99])
    return Latency(reads=reads, p50_us=float(p50), p99_us=float(p99))


def verify(context: Context) -> Proof:
    """Prove that what is served equals what is trained on."""
    screen = context.screen
    screen.heading('Prove it: store.verify("departure_live")')
    instants = QUICK_INSTANTS if context.quick else INSTANTS
    with screen.progress("moments of the year, replayed and compared", instants + 1) as advance:
        done = 0

        def report_progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        report = context.store.verify(context.live.name, instants=instants, progress=report_progress)
    proof = Proof(compared=report.compared, differences=len(report.differences))
    colour = "green" if proof.differences == 0 else "red"
    every_moment = report.keys * len(context.live.features)
    today = "; so was the store itself, as it stands now" if proof.compared > report.instants * every_moment else ""
    counts = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items() if count)
    screen.say(
        f"{report.rows:,} rows went, in the order in which they became known, into a fresh online store"
        f" (in memory) whose clock moved through the year. At {report.instants} moments it was read and"
        f" compared with history{today}."
    )
    screen.say(
        f"[bold]{proof.compared:,} values compared: [{colour}]{proof.differences:,} differences[/{colour}][/bold]"
    )
    screen.say(f"[dim]They were {counts}.[/dim]")
    for difference in report.differences[:SHOWN]:
        screen.say(escape(str(difference)))
    return proof


def _timed(store: "Store", view: str, keys: Iterator[Keys], advance: Advance) -> Iterator[int]:
    for number, key in enumerate(keys, start=1):
        start = perf_counter_ns()
        _ = store.online(view, key).values
        yield perf_counter_ns() - start
        if number % STRIDE == 0:
            advance(STRIDE)


def _due(coming: pa.Table) -> pa.Table:
    """Return the first departure that is to be predicted just now."""
    return coming.filter(pc.greater_equal(coming["as_of"].cast(pa.int64()), NOW_US)).slice(0, 1)


def _show_vector(context: Context, model: Model, departure: pa.Table) -> None:
    """Show one answer, the first feature of each group and those of the last landings; what the model makes of it."""
    screen, view = context.screen, context.live
    row = departure.to_pylist()[0]
    vector = context.store.online(view.name, {key: row[key] for key in KEYS})
    first: dict[str, str] = {}
    for lookup in view.lookups():
        first.setdefault(lookup.group.name, lookup.shown[0][1])
    group = context.features.route_arrivals
    alone = context.store.online(group.name, {key: row[key] for key in group.keys})  # a group can be asked, too
    shown = [*((of, name, vector) for of, name in first.items()), (group.name, OF_THE_ROUTE, alone)]
    screen.say(
        f"One of them: {row['carrier']} {row['flight']}, {row['origin']} to {row['dest']},"
        f" aircraft {row['tailnum']}, scheduled {row['sched_dep']:%d %b %H:%M} UTC"
    )
    screen.table(
        ("group", "feature", "value", "status", "event time"),
        [
            (
                of,
                name,
                _text(answer.values[name]),
                str(answer.statuses[name]),
                _moment(answer.event_times[name]),
            )
            for of, name, answer in shown
        ],
    )
    asked = departure
    for name in model.features:
        asked = asked.append_column(name, pa.array([vector.values[name]], pa.float64()))
    chance = float(model.predict(asked)[0])
    outcome = {True: "It was.", False: "It was not.", None: "It never arrived."}[row["late"]]
    screen.say(f"The model says: late with a probability of {chance:.0%}. {outcome}")


def _text(value: object) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _moment(event_time: datetime | None) -> str:
    return "" if event_time is None else f"{event_time:%d %b %H:%M}"
