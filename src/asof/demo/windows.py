"""Step 6: windows over actual landings, and the leak again."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions.durations import show_duration
from asof.demo.context import NOW_US, Context
from asof.demo.model import Aucs, Model, compare
from asof.demo.rolling import Rolled, over_the_timetable, over_what_was_known
from asof.demo.training import QUICK_STRIDE

LAST_TRAINING_MONTH = 11


@dataclass(frozen=True, slots=True)
class Windows:
    """What came of the windows.

    Attributes:
        model: Trained on them, point in time.
        aucs: What either model is worth.
        unknown: Per group, events in windows over the timetable that nobody had heard of.
        differing: Rows whose windows, computed by hand over what was known, differ from the store's.
    """

    model: Model
    aucs: Aucs
    unknown: Mapping[str, int]
    differing: int


def roll(context: Context) -> Windows:
    """Train on windows, with the leak and without, and show what either is worth."""
    screen = context.screen
    screen.heading('The leak again, in windows: Mean("arr_delay", over="6h"), Count(..., where=late)')
    spine = _spine(context)
    with screen.progress(f"{spine.num_rows:,} departures with windows"):
        start = perf_counter()
        frame = context.store.historical(context.live.name, spine, time="as_of").to_arrow()
        seconds = perf_counter() - start
    events = context.data.arrival_events()
    naive = [each for group in context.windows for each in over_the_timetable(frame, events, group)]
    careful = [each for group in context.windows for each in over_what_was_known(frame, events, group)]
    part = f", one in {QUICK_STRIDE}" if context.quick else ""
    screen.say(
        f"{frame.num_rows:,} departures since October{part}, with windows over the landings of their carrier and on"
        f' their route, in {seconds:.1f} s. A window over the file, .groupby("carrier").rolling("6h",'
        ' on="sched_dep"), ends with the very flight that is to be predicted:'
    )
    _show(context, naive)
    differing = sum(each.differing for each in careful)
    screen.say(
        "The same windows by hand, in NumPy, over the time from which a landing was known"
        + (" agree with the store everywhere." if not differing else f" differ from the store in {differing:,} rows.")
    )
    model, aucs = _trained(context, frame, naive)
    unknown = {group.name: sum(e.unknown for e in naive if e.group == group.name) for group in context.windows}
    return Windows(model, aucs, unknown, differing)


def _show(context: Context, naive: list[Rolled]) -> None:
    context.screen.table(
        ("group", "window", "events in them", "not known yet", "share", "rows that differ"),
        [
            (
                each.group,
                show_duration(each.length_us),
                each.held,
                each.unknown,
                f"{each.unknown / max(each.held, 1):.1%}",
                each.differing,
            )
            for each in naive
        ],
    )


def _trained(context: Context, frame: pa.Table, naive: list[Rolled]) -> tuple[Model, Aucs]:
    screen = context.screen
    leaky = frame
    for each in naive:
        for name, values in each.columns.items():
            leaky = leaky.set_column(leaky.schema.get_field_index(name), name, values)
    made = {feature.name for group in context.windows for feature in group.features}
    with screen.progress("three models"):
        model, aucs = compare(frame, leaky, context.live.output_names(), last_month=LAST_TRAINING_MONTH, without=made)
    screen.table(
        ("ROC AUC in December, trained on October and November", "in the notebook", "when served"),
        [
            ("windows over the timetable, with the leak", aucs.promised, aucs.kept),
            ("point-in-time windows", aucs.honest, aucs.honest),
            ("no windows", aucs.without, aucs.without),
        ],
    )
    screen.say(
        f"The leak promises {aucs.promised:.2f} and keeps {aucs.kept:.2f}. Windows over what had landed and was known"
        f" are worth {aucs.honest - aucs.without:+.3f}."
    )
    return model, aucs


def _spine(context: Context) -> pa.Table:
    """Return the departures of the months of which there are events, up to the clock."""
    departures: pa.Table = context.data.departures()
    first_us = context.data.EVENTS_FROM_US
    asked_us = departures["as_of"].cast(pa.int64())
    scheduled_us = departures["sched_dep"].cast(pa.int64())
    chosen = departures.filter(pc.and_(pc.greater_equal(asked_us, first_us), pc.less_equal(scheduled_us, NOW_US)))
    return chosen.take(pa.array(range(0, chosen.num_rows, QUICK_STRIDE))) if context.quick else chosen
