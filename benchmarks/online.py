"""Online reads in process: the store's call beside raw LMDB get + msgpack decode of the same bytes; about 3 minutes."""

import shutil
from copy import copy
from datetime import timedelta

import lmdb
import msgspec
import numpy as np
import pyarrow as pa
from data import START, USER, Hands, groups, rows, start_us, timestamps, view
from measure import Table, calls_us, median, percentile, take_turns

import asof
from asof import Feature, FeatureGroup, FeatureView

HEAD_BYTES = 16


MIXED = {"count": "int64", "day": "int64", "city": "string", "note": "string", "score": "float64", "member": "bool"}
"""Types of the features of each mixed group."""

MIXED_GROUPS = 4


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, calls, rounds = (500, 200, 1) if quick else (100_000, 4000, 7)
    declared = groups(online=True)
    mixed = [
        FeatureGroup(f"mixed{at}", entity=USER, event_time="ts", features=mixed_features(at), online=True)
        for at in range(MIXED_GROUPS)
    ]
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, view(declared))
        store.apply(*mixed, FeatureView("mixed", features=mixed))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
        for at, group in enumerate(mixed):
            store.backfill(group.name, mixed_rows(at, keys))
    shutil.copytree(folder / "store" / "online", folder / "raw")  # LMDB forbids to open a folder twice in a process
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, calls)]
    with asof.open(folder / "store") as store, Raw(folder / "raw", keys) as raw:
        floats, others = raw.of(range(8)), raw.of(range(8, 8 + MIXED_GROUPS))
        check_equal(store, "everything", floats, asked[:100])
        check_equal(store, "mixed", others, asked[:100])
        return [
            one(store, floats, asked, rounds),
            many(store, "everything", floats, batches_of(asked, 100), rounds),
            many(store, "everything", floats, batches_of(asked * 5, 1000), rounds),
            many(store, "mixed", others, batches_of(asked, 100), rounds),
        ]


def mixed_features(group):
    """Return features of several types, named after their group."""
    return [Feature(f"m{group}_{name}", dtype) for name, dtype in MIXED.items()]


def mixed_rows(group, keys):
    """Return rows of a mixed group: a fifth of the notes and a tenth of the scores are null."""
    rng = np.random.default_rng(100 + group)
    cities = np.array(["Aachen", "Berlin", "Coburg", "Dresden", "Emden"])
    columns = {
        "count": rng.integers(0, 100, keys),
        "day": rng.integers(0, 1 << 40, keys),
        "city": cities[rng.integers(0, len(cities), keys)],
        "note": pa.array([f"note {number}" for number in range(keys)], mask=rng.random(keys) < 0.2),
        "score": pa.array(rng.random(keys), mask=rng.random(keys) < 0.1),
        "member": rng.random(keys) < 0.5,
    }
    times = timestamps(start_us() + np.arange(keys))
    return pa.table({"user": np.arange(keys), "ts": times, **{f"m{group}_{n}": c for n, c in columns.items()}})


class Raw:
    """The same bytes, read by hand: one transaction, one get a group, one decode a row."""

    def __init__(self, folder, keys):
        """Open the copy, and learn how keys are encoded."""
        self.env = lmdb.open(str(folder), max_dbs=64, map_size=1 << 40, readonly=True, lock=False)
        with self.env.begin() as txn:
            names = [bytes(key) for key, _ in txn.cursor() if key[:1] == b"g"]
        self.tables = [self.env.open_db(name) for name in sorted(names, key=lambda name: int(name[1:]))]
        self.keys = [(key + (1 << 63)).to_bytes(8, "big") for key in range(keys)]
        self.decode = msgspec.msgpack.Decoder().decode

    def __enter__(self):
        """Use it in a block."""
        return self

    def __exit__(self, *_):
        """Close the file."""
        self.env.close()

    def of(self, groups):
        """Return the same for some of the groups."""
        other = copy(self)
        other.tables = [self.tables[at] for at in groups]
        return other

    def one(self, asked):
        """Return the values of one user."""
        key = self.keys[asked["user"]]
        decode = self.decode
        values = []
        with self.env.begin() as txn:
            get = txn.get
            for table in self.tables:
                values += decode(get(key, db=table)[HEAD_BYTES:])
        return values

    def many(self, asked):
        """Return the values of many users, in one transaction."""
        decode = self.decode
        tables = self.tables
        answers = []
        with self.env.begin() as txn:
            get = txn.get
            for one in asked:
                key = self.keys[one["user"]]
                values = []
                for table in tables:
                    values += decode(get(key, db=table)[HEAD_BYTES:])
                answers.append(values)
        return answers

    def transaction(self, _):
        """Do nothing but begin and end a transaction."""
        with self.env.begin():
            pass


def check_equal(store, name, raw, asked):
    """Both must give the same values."""
    for one, vector in zip(asked, store.online(name, asked), strict=True):
        if list(vector.values.values()) != raw.one(one):
            raise AssertionError(one)


def one(store, raw, asked, rounds):
    """Measure one entity a call."""
    sides = {
        "raw LMDB get + decode": raw.one,
        "store.online(...).values": lambda keys: store.online("everything", keys).values,
        "... + statuses + receipt": lambda keys: everything(store.online("everything", keys)),
        "empty LMDB transaction": raw.transaction,
    }
    table = Table("Online, one entity, 8 groups / 55 features", "microseconds a call, in process", rounds)
    return compare(table, sides, lambda call: calls_us(call, asked), rounds)


def everything(vector):
    """Ask a vector for all it has."""
    return vector.values, vector.statuses, vector.receipt


def many(store, name, raw, batches, rounds):
    """Measure many entities a call."""
    sides = {
        "raw LMDB get + decode": raw.many,
        "[v.values for v in store.online(...)]": lambda keys: [v.values for v in store.online(name, keys)],
        "store.online(...).to_arrow()": lambda keys: store.online(name, keys).to_arrow(),
    }
    what = "8 groups / 55 features"
    if name == "mixed":
        what = f"{MIXED_GROUPS} groups / {MIXED_GROUPS * len(MIXED)} features: ints, strings, floats, bools, nulls"
    else:
        sides["store.online(...).to_numpy()"] = lambda keys: store.online(name, keys).to_numpy()
    table = Table(f"Online, {len(batches[0]):,} entities a call, {what}", "microseconds a call, in process", rounds)
    return compare(table, sides, lambda call: calls_us(call, batches), rounds)


def batches_of(asked, count):
    """Cut what is asked into calls."""
    return [asked[at : at + count] for at in range(0, len(asked), count)]


def compare(table, sides, measure, rounds):
    """Add a row a side; the ratio is that of the medians to the first side's."""
    figures = take_turns(sides, rounds, measure)
    first = None
    for name, took in figures.items():
        p50 = median([percentile(each, 50) for each in took])
        p99 = median([percentile(each, 99) for each in took])
        first = first or p50
        table.add(side=name, p50_us=p50, p99_us=p99, ratio_p50=p50 / first)
    return table
