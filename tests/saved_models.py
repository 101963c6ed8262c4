"""Loaders of the tests of models: they must lie in a module that can be imported."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa


class Warm:
    """A model of an own kind: warm above a limit, and how far from it."""

    def __init__(self, limit):
        self.limit = limit

    def predict(self, frame):
        return frame["temp"].to_numpy() - self.limit

    def judged(self, frame):
        return {"warm": frame["temp"].to_numpy() > self.limit, "far": np.abs(self.predict(frame))}

    def named(self, table):
        return pa.array(["warm" if (each or 0) > self.limit else "cold" for each in table["temp"].to_pylist()])

    def sized(self, table):
        """Other values for another number of rows."""
        return np.full(len(table), float(len(table)))

    def placed(self, table):
        """Other values at another place."""
        return np.arange(len(table))

    def fewer(self, frame):
        return self.predict(frame)[1:]

    def ragged(self, frame):
        return [[1.0], [1.0, 2.0]]

    def one(self, frame):
        return {"prediction": 0.5}

    def broken(self, frame):
        raise RuntimeError("no such weather")


def warm(path):
    return Warm(json.loads(Path(path).read_text())["limit"])


def of_folder(path):
    return Warm(json.loads((Path(path) / "parts" / "limit.json").read_text())["limit"])


def sums(path):
    return lambda matrix: matrix.sum(axis=1)


def failing(path):
    raise OSError("what is this?")
