"""Steps 4 and 5: the training set point in time, the leak of the usual join, and what both are worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc

from asof.demo.context import NOW_US, Context
from asof.demo.leak import Leak, careful_join, naive_join
from asof.demo.model import Aucs, compare
from asof.records import Status
from asof.training.report import STATUSES

QUICK_STRIDE = 20
LAST_TRAINING_MONTH = 9


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The training set and how it came about.

    Attributes:
        frame: The spine with the features.
        seconds: Time to build it.
        statuses: Values per group and status.
        leaks: What the naive join did, per group that takes time to be known.
        careful: What the same join does on the time from which a row was known.
    """

    frame: pa.Table
    seconds: float
    statuses: Mapping[str, Mapping[Status, int]]
    leaks: list[Leak]
    careful: list[Leak]


def build(context: Context) -> TrainingSet:
    """Build the training set, and compare it with the naive join."""
    screen = context.screen
    screen.heading('Build the training set: store.historical("departure", spine, time="as_of")')
    spine = _spine(context)
    with screen.progress(f"{spine.num_rows:,} departures, each as of two hours before its schedule"):
        start = perf_counter()
        answer = context.store.historical(context.view.name, spine, time="as_of")
        frame = answer.to_arrow()
        seconds = perf_counter() - start
    part = f", one in {QUICK_STRIDE}" if context.quick else ""
    screen.say(
        f"{frame.num_rows:,} departures up to the clock{part}, {len(context.view.features)} features each, in"
        f" {seconds:.1f} s ([bold]{frame.num_rows / seconds:,.0f} rows/s[/bold]). Values by group and status:"
    )
    statuses = answer.report.counts
    screen.table(
        ("group", *(status.lower() for status in STATUSES)),
        [(name, *(counts[status] for status in STATUSES)) for name, counts in statuses.items()],
    )
    screen.say(
        "[dim]MISSING: no row of that key was known. EXPIRED: older than the ttl, such as an aircraft whose last"
        " flight out of New York landed three days ago or more.[/dim]"
    )
    with screen.progress("the same with pandas.merge_asof, as tutorials do"):
        leaks = naive_join(context.data, context.features, frame)
        careful = careful_join(context.tables, context.features, frame)
    _show_leaks(context, leaks, careful)
    return TrainingSet(frame=frame, seconds=seconds, statuses=statuses, leaks=leaks, careful=careful)


def _show_leaks(context: Context, leaks: list[Leak], careful: list[Leak]) -> None:
    screen = context.screen
    screen.say(
        "\nThe usual join, pandas.merge_asof on the time that the file has (first two lines), takes a flight's"
        " delay from its scheduled departure on, and a day's figures from its first minute on. The last column"
        " counts rows that differ from the store's:"
    )
    screen.table(
        ("group", "joined on", "rows found", "leaked", "share", "differ"),
        [
            (
                leak.group,
                leak.stamp,
                leak.answered,
                leak.leaked,
                f"{leak.leaked / max(leak.answered, 1):.1%}",
                leak.differing,
            )
            for leak in (*leaks, *careful)
        ],
    )
    leaked, answered = sum(leak.leaked for leak in leaks), sum(leak.answered for leak in leaks)
    screen.say(
        f"[bold red]{leaked:,}[/bold red] of the {answered:,} rows that it found were not known yet at the time of"
        " the prediction. That is the leak."
    )
    differing = sum(join.differing for join in careful)
    screen.say(
        "Joined on the time from which a row was known (last two lines), pandas"
        + (" agrees with the store everywhere." if differing == 0 else f" differs in {differing:,} rows.")
    )


def train(context: Context, training: TrainingSet) -> Aucs:
    """Train with and without the leak, and show what either is worth."""
    screen = context.screen
    screen.heading('Train "arrives over 15 minutes late" on nine months, test on three')
    naive = training.frame
    for leak in training.leaks:
        for name, values in leak.columns.items():
            naive = naive.set_column(naive.schema.get_field_index(name), name, values)
    with screen.progress("two models (scikit-learn, gradient boosting)"):
        _, aucs = compare(training.frame, naive, context.view.output_names(), last_month=LAST_TRAINING_MONTH)
    screen.table(
        ("ROC AUC of the model trained on", "in the notebook", "when served"),
        [
            ("the usual join, with the leak", aucs.promised, aucs.kept),
            ("the point-in-time training set", aucs.honest, aucs.honest),
        ],
    )
    worse = ": worse than the model that never saw it" if aucs.kept < aucs.honest else ""
    screen.say(
        f"The leak promises {aucs.promised:.2f} and keeps {aucs.kept:.2f}{worse}. That is why point in time matters."
    )
    return aucs


def _spine(context: Context) -> pa.Table:
    departures: pa.Table = context.data.departures()
    before = departures.filter(pc.less_equal(departures["sched_dep"].cast(pa.int64()), NOW_US))
    return before.take(pa.array(range(0, before.num_rows, QUICK_STRIDE))) if context.quick else before
