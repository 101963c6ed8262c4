"""What scripts/try_torch.py tries, in an environment that has PyTorch and Hugging Face's datasets."""

import struct
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch_nets
from environments import told
from pyarrow import parquet
from torch.utils.data import DataLoader, TensorDataset

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView, TimeSplit
from asof.clock import to_us
from asof.errors import UsageError
from asof.transforms import Impute, Standard

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOURS = 2_000
AIRPORTS = ("EWR", "JFK", "LGA")


def made_store(folder):
    """Make a store with weather of three airports, and departures that are late where it is bad."""
    types = {
        "temp": "float64", "visib": "float32", "gusts": "int64", "fog": "bool", "sky": "string", "day": "date",
        "heard": "timestamp", "sensors": "vector<float32, 3>",
    }  # fmt: skip
    weather = FeatureGroup(
        "weather", entity=Entity("airport", keys={"origin": "string"}), event_time="at", online=True,
        features=[Feature(name, dtype) for name, dtype in types.items()],
    )  # fmt: skip
    numbers = ("temp", "visib", "gusts", "fog")
    told_features = [weather[name] for name in (*numbers, "sensors")]
    departure = FeatureView("departure", features=told_features, transforms={numbers: [Impute("median"), Standard()]})
    store = asof.open(folder / "store", clock=lambda: NOW)
    store.apply(weather, departure, FeatureView("everything", features=[weather]))
    lots = np.random.default_rng(7)
    hours = [
        {
            "origin": origin,
            "at": NOW - timedelta(hours=hour),
            "temp": float(lots.normal(50, 20)),
            "visib": None if lots.random() < 0.1 else float(np.float32(lots.uniform(0, 10))),
            "gusts": None if lots.random() < 0.3 else int(lots.integers(0, 60)),
            "fog": bool(lots.random() < 0.2),
            "sky": ("clear", "rain", None)[lots.integers(3)],
            "day": (NOW - timedelta(hours=hour)).date(),
            "heard": None if lots.random() < 0.1 else NOW - timedelta(hours=hour),
            "sensors": [float(np.float32(each)) for each in lots.normal(0, 1, 3)],
        }
        for hour in range(HOURS)
        for origin in AIRPORTS
    ]
    store.backfill("weather", hours)
    late = [30.0 * (row["fog"] or 0) + 0.5 * (row["gusts"] or 20) + 4 * row["sensors"][0] for row in hours]
    spine = [{"origin": row["origin"], "at": row["at"], "late": value} for row, value in zip(hours, late, strict=True)]
    words = {"spine": spine, "time": "at", "label": "late", "split": TimeSplit(shares={"train": 0.8, "test": 0.2})}
    return (
        store,
        store.training_set("departures", "departure", **words),
        store.training_set("all", "everything", **words),
    )


def every(loader):
    """Return the (airport, microsecond) of each row that a loader gives, in its order."""
    return [pair for batch in loader for pair in zip(batch["origin"], batch["at"].tolist(), strict=True)]


def streamed(made, numbers):
    """Read by DataLoaders: none of the rows is lost or there twice. Rows of `numbers` have no null text."""

    def loader(*, workers=0, **words):
        more = {"multiprocessing_context": "fork"} if workers else {}
        return DataLoader(made.torch("train", **words), batch_size=None, num_workers=workers, **more)

    table = made.to_arrow("train")
    rows = [(row["origin"], to_us(row["at"])) for row in table.select(["origin", "at"]).to_pylist()]
    told(every(loader(batch_size=256)) == rows, f"PyTorch: {len(rows):,} rows in their order, in batches of 256")
    mixed = every(loader(batch_size=256, shuffle=True, seed=1))
    told(mixed != rows and sorted(mixed) == sorted(rows), "PyTorch: shuffled, each row once")
    told(mixed == every(loader(batch_size=256, shuffle=True, seed=1)), "PyTorch: the same seed gives the same order")
    for words in ({}, {"shuffle": True}):
        found = every(loader(workers=2, batch_size=100, **words))
        told(sorted(found) == sorted(rows), f"PyTorch: two workers share the rows {words or ''}")
        ranks = [every(loader(workers=2, batch_size=100, shard=(rank, 3), **words)) for rank in range(3)]
        told(
            sorted(chain.from_iterable(ranks)) == sorted(rows),
            f"PyTorch: three ranks of two workers each do too {words or ''}",
        )
    shuffled = made.torch("train", batch_size=500, shuffle=True)
    kept = DataLoader(shuffled, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context="fork")
    first = every(kept)
    shuffled.set_epoch(1)
    second = every(kept)
    told(first != second and sorted(first) == sorted(second), "PyTorch: workers that stay hear of the next epoch")
    single = every(DataLoader(numbers.torch("train"), batch_size=64, num_workers=2, multiprocessing_context="fork"))
    told(sorted(single) == sorted(rows), "PyTorch: row by row, put together by its own collate")
    try:
        list(DataLoader(made.torch(), batch_size=None, num_workers=1, multiprocessing_context="spawn"))
        said = ""
    except UsageError as error:
        said = error.todo
    told("fork" in said, "PyTorch: workers that start anew are refused, with what to do")
    wanted = torch.tensor(table["late"].to_pylist()[:4], dtype=torch.float64)
    told(torch.equal(next(iter(loader(batch_size=4)))["late"], wanted), "PyTorch: labels are tensors")


def typed(made):
    """Look at the types of columns, and at their nulls."""
    table = made.to_arrow()
    batch = next(iter(DataLoader(made.torch(batch_size=len(made)), batch_size=None)))
    types = {name: column.dtype for name, column in batch.items() if isinstance(column, torch.Tensor)}
    wanted = {
        "at": torch.int64, "late": torch.float64, "temp": torch.float64, "visib": torch.float32,
        "gusts": torch.float64, "fog": torch.bool, "day": torch.int64, "heard": torch.int64, "sensors": torch.float32,
    }  # fmt: skip
    told(types == wanted, f"PyTorch: types {', '.join(f'{name} {str(dtype)[6:]}' for name, dtype in types.items())}")
    told(batch["sky"] == table["sky"].to_pylist(), "PyTorch: text is a list, null None")
    told(batch["sensors"].shape == (len(made), 3), "PyTorch: a vector is a matrix")
    gusts = np.array([np.nan if each is None else each for each in table["gusts"].to_pylist()])
    told(
        np.array_equal(batch["gusts"].numpy(), gusts, equal_nan=True),
        "PyTorch: integers with nulls are float64 with NaN",
    )
    heard = batch["heard"].numpy().view("datetime64[us]")
    told(np.isnat(heard).sum() == table["heard"].null_count > 0, "PyTorch: a null time is the least int64, NaT")


def predicted(folder, store, made):
    """Fit a net, keep it with its loader, and predict in batches, one by one, and from the shell."""
    torch.manual_seed(0)
    x, y = (torch.from_numpy(each).float() for each in made.xy("train", takes="numpy"))
    net = torch_nets.Net(x.shape[1])
    optimizer, loss = torch.optim.Adam(net.parameters(), lr=0.01), torch.nn.MSELoss()
    for _ in range(10):
        for rows, labels in DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True):
            optimizer.zero_grad()
            loss(net(rows), labels).backward()
            optimizer.step()
    test, truth = made.xy("test", takes="numpy")
    error, spread = abs(net.predict(test) - truth).mean(), abs(truth - truth.mean()).mean()
    told(error < spread / 2, f"PyTorch: a net of two layers: mean error {error:.1f}, of the mean {spread:.1f}")
    torch.save(net.state_dict(), folder / "net.pt")
    kept = store.models.register(
        "late", path=folder / "net.pt", loader=torch_nets.load, training_set=made, takes="numpy", stage="production",
    )  # fmt: skip
    told(kept.outputs, f"PyTorch: kept as {kept.ref}, {'called row by row' if kept.said.alone else 'called by blocks'}")
    predictor = store.models.load("late@production")
    spine = [{"origin": origin, "at": NOW} for origin in [*AIRPORTS, "nowhere"]]
    online = [each.value for each in predictor.predict_many([{"origin": row["origin"]} for row in spine])]
    batch = predictor.predict(spine, time="at", known="served").to_arrow()
    many = predictor.predict(spine * 3_000, time="at", known="served").to_arrow()
    told(bits(batch["prediction"].to_pylist()) == bits(online), "PyTorch: online is batch, bit for bit")
    told(bits(many["prediction"].to_pylist()) == bits(online * 3_000), "PyTorch: so it is for 12,000 rows")
    parquet.write_table(batch.select(["origin", "at"]), folder / "spine.parquet")
    out = folder / "out.parquet"
    words = [folder / "store", "late@production", folder / "spine.parquet", "--time", "at", "--known", "served"]
    command = [Path(sys.executable).with_name("asof"), "predict", *words, "--out", out]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    told(bits(parquet.read_table(out)["prediction"].to_pylist()) == bits(online), "PyTorch: so it is by `asof predict`")


def bits(values):
    return [struct.pack(">f", value) for value in values]


def huggingface(made):
    """Read by Hugging Face: rows, batches, its own map and shuffle, and a DataLoader over it."""
    rows = made.to_arrow("train").to_pylist()
    told(list(made.huggingface("train")) == rows, f"Hugging Face: {len(rows):,} rows in their order, as they are")
    sizes = [len(batch["late"]) for batch in made.huggingface("train", batch_size=1_000)]
    told(sum(sizes) == len(rows) and set(sizes[:-1]) == {1_000}, "Hugging Face: batches of 1,000")
    mixed = list(made.huggingface("train", shuffle=True, seed=3))
    key = lambda row: (row["origin"], row["at"])  # noqa: E731
    told(mixed != rows and sorted(mixed, key=key) == sorted(rows, key=key), "Hugging Face: shuffled, each row once")
    doubled = made.huggingface("train").map(lambda row: {"twice": 2 * row["late"]}).shuffle(seed=1, buffer_size=500)
    wanted = sorted(2 * row["late"] for row in rows)
    told(sorted(row["twice"] for row in doubled) == wanted, "Hugging Face: its map and its shuffle")
    numbers = made.huggingface("train").select_columns(["late", "temp", "sensors"]).with_format("torch")
    for workers in (0, 2):
        more = {"multiprocessing_context": "fork"} if workers else {}
        found = [
            late
            for batch in DataLoader(numbers, batch_size=64, num_workers=workers, **more)
            for late in batch["late"].tolist()
        ]
        told(len(found) == len(rows), f"Hugging Face: as tensors, by a DataLoader with {workers} workers")


def main() -> None:
    """Try all of it."""
    print(f"torch {version('torch')}, datasets {version('datasets')}, pyarrow {version('pyarrow')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="asof-torch-") as folder:
        store, made, everything = made_store(Path(folder))
        with store:
            streamed(everything, made)
            typed(everything)
            huggingface(everything)
            predicted(Path(folder), store, made)
    print("training sets are read by PyTorch and Hugging Face as docs/training-sets.md says")


if __name__ == "__main__":
    main()
