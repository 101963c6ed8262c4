"""Point-in-time reads of histories and spines of many shapes: asof beside the best of what one writes by hand.

All sides read the same Parquet files of the same store, one group, and their answers are compared. By hand is somebody
who knows his data: he takes the fastest of several statements of DuckDB, or of two ways of Polars' `join_asof`.
"""

import os
import warnings
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars_side
import pyarrow as pa
import pyarrow.compute as pc
from data import DAY_US, START, Hands, start_us, timestamps
from hand_written import EVENT, LATE, NARROW, Layout, answer
from measure import Table, median, seconds, take_turns

import asof
from asof import Entity, Feature, FeatureGroup
from asof.errors import DataWarning

LATE_SHARE = 20
"""One row in so many arrives late, by `write` at the end of its day."""


@dataclass(frozen=True)
class Shape:
    """A history, and what is asked of it.

    Attributes:
        name: What it is called.
        rows: Rows of the history.
        per_key: Rows a key.
        spine: Rows of the spine.
        features: Features, all asked for.
        keys: Type of each key column.
        commits: Days; each is a commit, so a file.
        late: Whether some rows arrive late, and `served` is asked.
        few: Keys lie within this share of all keys, and times within this share of all days.
    """

    name: str
    rows: int
    per_key: int
    spine: int
    features: int = 7
    keys: dict = field(default_factory=lambda: {"user": "int64"})
    commits: int = 10
    late: bool = False
    few: float = 1.0


SHAPES = (
    Shape("shallow", 4_000_000, 10, 400_000),
    Shape("deep", 4_000_000, 1000, 400_000),
    Shape("tiny spine, keys everywhere", 50_000_000, 100, 1000),
    Shape("tiny spine, keys and times close together", 50_000_000, 100, 1000, few=0.1),
    Shape("huge spine", 20_000, 10, 2_000_000),
    Shape("wide", 300_000, 10, 30_000, features=300),
    Shape("string keys", 2_000_000, 10, 200_000, keys={"user": "string"}),
    Shape("composite keys", 2_000_000, 10, 200_000, keys={"country": "string", "user": "int64", "device": "int32"}),
    Shape("served, 5 % late", 2_000_000, 10, 200_000, late=True),
    Shape("served, 5 % late, deep", 2_000_000, 1000, 200_000, late=True),
)


def run(folder, *, quick):
    """Return the table of this benchmark."""
    rounds = 1 if quick else 3
    table = Table(
        "Point in time, one group, by the shape of history and spine",
        "seconds; 'duckdb' and 'polars' are the best of several ways by hand over the same files for the same answer, "
        "'ratio' is asof against the better of the two; what asof read is counted for each pass over the files",
        rounds,
    )
    places = {}
    for shape in SHAPES:
        if quick:
            small = {"rows": 3000, "spine": 200, "features": min(shape.features, 30)}
            shape = Shape(**(vars(shape) | small))  # noqa: PLW2901 - the same shape, small
        made = (shape.rows, shape.per_key, shape.features, tuple(shape.keys.items()), shape.late)
        if made not in places:
            places[made] = fill(folder / f"store-{len(places)}", shape)
        table.add(
            shape=shape.name,
            spine=shape.spine,
            rows=shape.rows,
            rows_a_key=shape.per_key,
            features=shape.features,
            **measured(places[made], shape, rounds),
        )
    return [table]


def fill(place, shape):
    """Make a store; a file a commit, as the sides by hand expect it."""
    os.environ["ASOF_COMPACTION"] = "off"
    clock = Hands()
    group = FeatureGroup(
        "g", entity=Entity("user", keys=shape.keys), event_time="ts",
        features=[Feature(name, "float64") for name in names(shape)],
    )  # fmt: skip
    with asof.open(place, clock=clock) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        store.apply(group)
        each = shape.rows // shape.commits
        for day in range(shape.commits):
            rng = np.random.default_rng((shape.rows, day))
            clock.now = START + timedelta(days=day + 1)
            users = rng.integers(0, max(shape.rows // shape.per_key, 1), each)
            batch = pa.table(
                {
                    **key_columns(shape, users),
                    "ts": timestamps(start_us() + day * DAY_US + rng.integers(0, DAY_US, each)),
                    **{name: rng.random(each) for name in names(shape)},
                }
            )
            cut = each // LATE_SHARE if shape.late else 0
            store.backfill("g", batch.slice(cut))
            if cut:
                store.write("g", batch.slice(0, cut))
    return place


def names(shape):
    """Return the names of the features."""
    return [f"f{at}" for at in range(shape.features)]


def key_columns(shape, users):
    """Return the key columns of users."""
    columns = {
        "int64": lambda: pa.array(users),
        "int32": lambda: pa.array((users % 3).astype(np.int32)),
        "string": lambda: pc.binary_join_element_wise("user", pc.cast(pa.array(users), pa.string()), "-"),
    }
    made = {name: columns[dtype]() for name, dtype in shape.keys.items()}
    if "country" in made:
        made["country"] = pa.array(np.array(["at", "be", "ch", "de", "es"])[users % 5])
    return made


def spine(shape):
    """Return the spine."""
    rng = np.random.default_rng(7)
    users = rng.integers(0, max(int(shape.rows // shape.per_key * shape.few), 1), shape.spine)
    times = start_us() + rng.integers(DAY_US // 2, max(int(shape.commits * shape.few), 1) * DAY_US, shape.spine)
    return pa.table({**key_columns(shape, users), "t": timestamps(times)})


def measured(place, shape, rounds):
    """Return the figures of all sides, after a look whether they agree."""
    asked, known = spine(shape), "served" if shape.late else "event"
    layout = Layout.of(place, "g", names(shape), tuple(shape.keys))
    narrow = NARROW | {"arg_max": EVENT["arg_max"]}  # the others take ten times as long
    ways = LATE if shape.late else narrow if shape.spine * 10 < shape.rows else EVENT
    with asof.open(place, clock=Hands(START + timedelta(days=400))) as store:
        sides = {
            "asof": {"": lambda: store.historical("g", asked, time="t", known=known).to_arrow()},
            "duckdb": {name: lambda way=way: answer(way, [layout], asked) for name, way in ways.items()},
            "polars": {
                name: lambda way=way: polars_side.answer(way, layout, asked) for name, way in polars_side.WAYS.items()
            },
        }
        expected = sides["asof"][""]()
        best = {}
        for side, works in sides.items():
            took = {}
            for name, work in works.items():
                found = []
                took[name] = seconds(lambda work=work, found=found: found.append(work()))
                if not found[0].cast(expected.schema).equals(expected):
                    raise AssertionError(f"{shape.name}: {side} {name} differs from the store's answer")
            best[side] = min(took, key=took.get)
        told = store.historical("g", asked, time="t", known=known, explain=True).report.plan.profiles["g"]
        figures = take_turns({side: sides[side][name] for side, name in best.items()}, rounds)
    wall = {side: median(took) for side, took in figures.items()}
    return {
        "asof_s": wall["asof"],
        "duckdb_s": wall["duckdb"],
        "polars_s": wall["polars"],
        "ratio": wall["asof"] / min(wall["duckdb"], wall["polars"]),
        "best_of_duckdb": best["duckdb"],
        "plan": told.plan,
        "files_read": f"{told.files_read} of {told.files}",
        "row_groups_read": f"{told.row_groups_read} of {told.row_groups}",
    }
