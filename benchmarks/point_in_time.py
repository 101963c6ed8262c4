"""Point-in-time reads: `store.historical` beside the best of several hand-written DuckDB statements.

Both read the same Parquet files of the same store, a file a commit. The hand-written side knows its data (no ties, no
duplicates, no retirements, no ttl), makes no statuses and no report, and takes whichever statement is the fastest.
"""

import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path

from data import START, Hands, features, groups, history, spine, view
from hand_written import EVENT, LATE, Layout, answer
from measure import Table, median, own_peak_mib, peak_mib, seconds, take_turns, took

import asof
from asof.errors import DataWarning

LATE_SHARE = 20
"""One row in so many arrives late, by `write` at the end of its day."""

DEPTHS = (10, 100, 1000)


def run(folder, *, quick):
    """Return the table of this benchmark."""
    count, total, commits, rounds, size = (3, 3000, 3, 1, 500) if quick else (8, 1_000_000, 10, 3, 100_000)
    table = Table(
        f"Point in time, {size:,} spine rows x {count} groups x {total:,} rows in {commits} commits",
        "seconds for all groups; 'by hand' is the best of several DuckDB statements over the same files, in the same "
        "process, for the same answer; the ratio is that of the times, the cpu ratio that of the processor seconds; "
        "'late' has 5 % of its rows written at the end of their day, after the backfill of the others",
        rounds,
    )
    for per_key in DEPTHS[1:2] if quick else DEPTHS:
        places = {late: fill(folder, count, total, per_key, commits, late=late) for late in (False, True)}
        for known, late in (("event", False), ("served", False), ("served", True)):
            place = places[late]
            asked = spine(size, total // per_key, commits)
            table.add(
                rows_a_key=per_key,
                known=known + (", late" if late else ""),
                **measured(place, count, asked, known, rounds),
                **({} if quick else peaks(place, total // per_key, known)),
            )
    return [table]


def fill(folder, count, total, per_key, commits, *, late):
    """Make a store; with `late`, some rows of each day are written after the day's backfill."""
    place = folder / f"store-{per_key}-{late}"
    os.environ["ASOF_COMPACTION"] = "off"  # a file a commit, as the sides by hand expect it
    clock = Hands()
    declared = groups(count, online=False)
    with asof.open(place, clock=clock) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            for end, batch in history(at, total=total, per_key=per_key, commits=commits):
                clock.now = end
                cut = batch.num_rows // LATE_SHARE if late else 0
                store.backfill(group.name, batch.slice(cut))
                if cut:
                    store.write(group.name, batch.slice(0, cut))
    return place


def measured(place, count, asked, known, rounds):
    """Return the figures of both sides, after a look whether they agree."""
    with asof.open(place, clock=Hands(START + timedelta(days=400))) as store:
        layouts = [layout(place, at) for at in range(count)]
        late = any(layout.written for layout in layouts)
        ways = LATE if known == "served" and late else EVENT

        def ours():
            return store.historical("everything", asked, time="t", known=known).to_arrow()

        def by_hand(way):
            return lambda: answer(way, layouts, asked)

        expected = ours()
        for name, way in ways.items():
            if not answer(way, layouts, asked).equals(expected):
                raise AssertionError(f"{name} differs from the store's answer")
        best = min(ways, key=lambda name: min(seconds(by_hand(ways[name])) for _ in range(2)))
        figures = take_turns({"asof": ours, "hand": by_hand(ways[best])}, rounds, took)
    wall = {side: median([each.wall for each in took_]) for side, took_ in figures.items()}
    cpu = {side: median([each.cpu for each in took_]) for side, took_ in figures.items()}
    return {
        "asof_s": wall["asof"],
        "by_hand_s": wall["hand"],
        "ratio": wall["asof"] / wall["hand"],
        "cpu_ratio": cpu["asof"] / cpu["hand"],
        "best_by_hand": best,
    }


def layout(place, at):
    """Return the files of a group."""
    return Layout.of(place, f"g{at}", [feature.name for feature in features(at)])


def peaks(place, users, known):
    """Return the peak memory of each side, each in a process of its own."""
    return {f"{side}_peak_MiB": round(peak_mib(__file__, side, place, users, known)) for side in ("asof", "hand")}


def once(side, place, users, known):
    """Answer once, to measure the memory of this process."""
    place = Path(place)
    asked = spine(100_000, int(users), 10)
    if side == "asof":
        with asof.open(place, clock=Hands(START + timedelta(days=400))) as store:
            store.historical("everything", asked, time="t", known=known).to_arrow()
        return
    layouts = [layout(place, at) for at in range(8)]
    late = known == "served" and any(layout.written for layout in layouts)
    answer(next(iter((LATE if late else EVENT).values())), layouts, asked)


if __name__ == "__main__":
    once(*sys.argv[1:])
    print(own_peak_mib())
