"""Online reads in process: the store's call beside raw LMDB get + msgpack decode of the same bytes."""

import shutil
from datetime import timedelta

import lmdb
import msgspec
import numpy as np
from data import START, Hands, groups, rows, start_us, view
from measure import Table, calls_us, median, percentile, take_turns

import asof

HEAD_BYTES = 16


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, calls, rounds = (500, 200, 1) if quick else (100_000, 4000, 9)
    declared = groups(online=True)
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
    shutil.copytree(folder / "store" / "online", folder / "raw")  # LMDB forbids to open a folder twice in a process
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, calls)]
    with asof.open(folder / "store") as store, Raw(folder / "raw", keys) as raw:
        check_equal(store, raw, asked[:100])
        return [one(store, raw, asked, rounds), hundred(store, raw, asked, rounds)]


class Raw:
    """The same bytes, read by hand: one transaction, one get a group, one decode a row."""

    def __init__(self, folder, keys):
        """Open the copy, and learn how keys are encoded."""
        self.env = lmdb.open(str(folder), max_dbs=64, map_size=1 << 40, readonly=True, lock=False)
        with self.env.begin() as txn:
            names = [bytes(key) for key, _ in txn.cursor() if key[:1] == b"g"]
        self.tables = [self.env.open_db(name) for name in sorted(names)]
        self.keys = [(key + (1 << 63)).to_bytes(8, "big") for key in range(keys)]
        self.decode = msgspec.msgpack.Decoder().decode

    def __enter__(self):
        """Use it in a block."""
        return self

    def __exit__(self, *_):
        """Close the file."""
        self.env.close()

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

    def hundred(self, asked):
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


def check_equal(store, raw, asked):
    """Both must give the same numbers."""
    for one in asked:
        if list(store.online("everything", one).values.values()) != raw.one(one):
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


def hundred(store, raw, asked, rounds):
    """Measure a hundred entities a call."""
    batches = [asked[at : at + 100] for at in range(0, len(asked), 100)]
    sides = {
        "raw LMDB get + decode": raw.hundred,
        "[v.values for v in store.online(...)]": lambda keys: [v.values for v in store.online("everything", keys)],
        "store.online(...).to_numpy()": lambda keys: store.online("everything", keys).to_numpy(),
        "store.online(...).to_arrow()": lambda keys: store.online("everything", keys).to_arrow(),
    }
    table = Table("Online, 100 entities a call, 8 groups / 55 features", "microseconds a call, in process", rounds)
    return compare(table, sides, lambda call: calls_us(call, batches), rounds)


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
